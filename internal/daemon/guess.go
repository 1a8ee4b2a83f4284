package daemon

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/starlingp2p/starling/internal/why"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// ProbeTry is a wire that was tried on an address that does not say its wire.
type ProbeTry struct {
	Wire   string `json:"wire"`
	Speaks bool   `json:"speaks"`
	Reason string `json:"reason,omitempty"` // why not
}

// tryTimeout bounds what one wire may take where several are tried.
const tryTimeout = 12 * time.Second

// errNoWire: somebody listens, and speaks no wire that is to be found by trying.
var errNoWire = errors.New("somebody listens there, and speaks no wire that can be found by trying")

// guess tries those wires one after the other on HOST:PORT, which does not say
// what is spoken there, and gives the first that is. Wires on libp2p greet alike,
// so one greeting answers for all of them; whoever does not speak libp2p is
// greeted by each of the others. The wire that is given with a nil error may be
// spoken by nobody: then the node speaks libp2p, and none of our protocols.
func guess(ctx context.Context, kinds []wireKind, address string) (k wireKind, p wire.Probed, tries []ProbeTry, err error) {
	var greeted wireKind // speaks libp2p
	for _, k = range kinds {
		switch {
		case !k.takes("host:port"):
			continue
		case k.find != nil && greeted.name != "":
			tries = append(tries, ProbeTry{Wire: k.name, Reason: tries[len(tries)-1].Reason})
			continue
		case k.find != nil:
			greeted = k
		}
		try, cancel := context.WithTimeout(ctx, tryTimeout)
		p, err = k.probe(try, address, why.ProberAgent+Version, 0)
		cancel()
		if err == nil && k.find != nil {
			return guessSpoken(ctx, kinds, k, p, address)
		}
		if err == nil && p.Peer.ID != "" {
			return k, p, append(tries, ProbeTry{Wire: k.name, Speaks: true}), nil
		}
		if nobodyThere(err) {
			return k, p, nil, err
		}
		tries = append(tries, ProbeTry{Wire: k.name, Reason: notSpoken(p, err)})
	}
	return k, p, tries, fmt.Errorf("%w (%s)", errNoWire, told(tries))
}

// told is what was tried in one line; wires that failed alike are named together.
func told(tries []ProbeTry) string {
	var b strings.Builder
	for i, t := range tries {
		switch {
		case i > 0 && tries[i-1].Reason == t.Reason:
			b.WriteString(", ")
		case i > 0:
			fmt.Fprintf(&b, ": %s; ", tries[i-1].Reason)
		}
		b.WriteString(t.Wire)
	}
	if len(tries) > 0 {
		b.WriteString(": " + tries[len(tries)-1].Reason)
	}
	return b.String()
}

// guessSpoken tells by the protocols of a node that speaks libp2p, as k found
// it, which wire it is, and probes it on that.
func guessSpoken(ctx context.Context, kinds []wireKind, k wireKind, p wire.Probed, address string) (wireKind, wire.Probed, []ProbeTry, error) {
	var (
		tries  []ProbeTry
		spoken *wireKind
		err    error
	)
	for _, other := range kinds {
		if other.find == nil || !other.takes("host:port") {
			continue
		}
		t := ProbeTry{Wire: other.name, Speaks: other.isSpoken(p.Peer.Protocols)}
		switch {
		case t.Speaks && spoken == nil:
			spoken = &other
		case !t.Speaks:
			t.Reason = "it speaks libp2p, and no protocol of this wire"
		}
		tries = append(tries, t)
	}
	if spoken != nil && spoken.name != k.name {
		k = *spoken
		p, err = k.probe(ctx, address, why.ProberAgent+Version, 0)
	}
	return k, p, tries, err
}

// nobodyThere reports whether an error of a probe is that nobody listens at the
// address, so that another wire need not be tried. Where nothing came in time,
// somebody may listen who waits for other words.
func nobodyThere(err error) bool {
	var refused *peer.RefusedError
	if !errors.As(err, &refused) {
		return err != nil
	}
	return refused.Reason == peer.DialFailed || refused.Reason == peer.NameUnresolved
}

// notSpoken says in a few words why a wire is not spoken.
func notSpoken(p wire.Probed, err error) string {
	for _, s := range p.Steps {
		if err == nil {
			err = s.Err
		}
	}
	var refused *peer.RefusedError
	if !errors.As(err, &refused) {
		return peer.Clean(withoutPackage(err).Error())
	}
	return briefly(refused)
}

// briefly is a refusal in a few words.
func briefly(refused *peer.RefusedError) string {
	detail := refused.Detail
	if at := strings.LastIndex(detail, "] "); at >= 0 { // libp2p names each address that it dialled
		detail = detail[at+2:]
	}
	if detail == "" {
		return string(refused.Reason)
	}
	return string(refused.Reason) + ": " + detail
}
