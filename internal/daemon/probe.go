package daemon

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/starlingp2p/starling/internal/why"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// ProbeReply is what "starling probe" prints. Fields are added, never renamed.
type ProbeReply struct {
	V         int         `json:"v"`
	Wire      string      `json:"wire"`
	ID        string      `json:"id,omitempty"`
	Addr      string      `json:"addr,omitempty"` // at which it was reached
	Agent     string      `json:"agent,omitempty"`
	Protocols []string    `json:"protocols"`
	Listen    []string    `json:"listen"` // as it tells others
	Network   string      `json:"network,omitempty"`
	Genesis   string      `json:"genesis,omitempty"`
	Head      *BlockName  `json:"head,omitempty"`
	Finalized *BlockName  `json:"finalized,omitempty"`
	Earliest  uint64      `json:"earliest,omitempty"`
	ClockSkew string      `json:"clock_skew,omitempty"` // its clock against ours
	RTTms     float64     `json:"rtt_ms,omitempty"`
	Steps     []ProbeStep `json:"steps"`
	Tried     []ProbeTry  `json:"tried,omitempty"` // wires that were tried, where the address does not say its wire
	Error     string      `json:"error,omitempty"` // why it was not reached, in a look of --watch
}

// ProbeStep is one thing that was asked of the node.
type ProbeStep struct {
	Name     string  `json:"name"`
	OK       bool    `json:"ok"`
	Ms       float64 `json:"ms"`
	Reason   string  `json:"reason,omitempty"` // why it was refused
	ByRemote bool    `json:"by_remote,omitempty"`
	Detail   string  `json:"detail,omitempty"`
}

// probeTimeout bounds a probe as a whole.
const probeTimeout = 40 * time.Second

// Probe meets the node at an address as a stranger. wire may be empty: then the
// form of the address tells which it is, and, where several wires take that
// form, what the node says it speaks; HOST:PORT says nothing, so the wires are
// tried in turn. network is the id of the network, where the wire needs one to
// be heard; 0: those that are known are tried. The reply says what is known even
// where there is an error.
func Probe(ctx context.Context, wire, address string, network uint32) (ProbeReply, error) {
	r := ProbeReply{V: 1, Protocols: []string{}, Listen: []string{}, Steps: []ProbeStep{}}
	k, err := proberOf(wire, address, network)
	if err != nil {
		return r, err
	}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	p, err := meet(ctx, &k, &r, wire, address, network)
	r.Wire = k.name
	r.ID, r.Addr, r.Agent = string(p.Peer.ID), p.Peer.Addr.String(), p.Peer.Agent
	r.Protocols = append(r.Protocols, p.Peer.Protocols...)
	slices.Sort(r.Protocols)
	for _, a := range p.Peer.Listen {
		r.Listen = append(r.Listen, a.String())
	}
	if c := p.Claims; !c.Genesis.IsZero() || c.Network != "" {
		head := nameOf(c.Head)
		r.Network, r.Earliest = c.Network, c.Earliest
		if !c.Genesis.IsZero() {
			r.Genesis = c.Genesis.String()
		}
		if c.Head.Hash.IsZero() {
			head.Hash = "" // only its number was told
		}
		if c.Head.Number > 0 || head.Hash != "" {
			r.Head = &head
		}
		if c.Finalized.Number > 0 {
			final := nameOf(c.Finalized)
			r.Finalized = &final
		}
	}
	if !p.Time.IsZero() {
		r.ClockSkew = time.Until(p.Time).Round(100 * time.Millisecond).String()
	}
	r.RTTms = float64(p.RTT.Microseconds()) / 1000
	for _, s := range p.Steps {
		step := ProbeStep{Name: s.Name, OK: s.Err == nil, Ms: float64(s.Took.Microseconds()) / 1000}
		var refused *peer.RefusedError
		switch {
		case s.Err == nil:
		case errors.As(s.Err, &refused):
			step.Reason, step.ByRemote, step.Detail = string(refused.Reason), refused.Remote, refused.Detail
		default:
			step.Reason, step.Detail = "failed", peer.Clean(withoutPackage(s.Err).Error())
		}
		r.Steps = append(r.Steps, step)
	}
	if err != nil {
		return r, probeError(address, err)
	}
	return r, nil
}

// meet probes with the wire k, or with the one that it turns out to be.
func meet(ctx context.Context, k *wireKind, r *ProbeReply, name, address string, network uint32) (p wire.Probed, err error) {
	if name == "" && network == 0 && AddrForm(address) == "host:port" {
		*k, p, r.Tried, err = guess(ctx, wires(), address)
		return p, err
	}
	p, err = k.probe(ctx, address, why.ProberAgent+Version, network)
	if other, ok := betterProber(*k, address, p.Peer.Protocols); ok && name == "" {
		*k = other
		p, err = k.probe(ctx, address, why.ProberAgent+Version, network)
	}
	return p, err
}

// ErrNoProbe: no wire can probe that address.
var ErrNoProbe = errors.New("no wire can probe that")

// proberOf chooses the wire that an address is probed with. The id of a network
// is only for wires that ask for one.
func proberOf(name, address string, network uint32) (wireKind, error) {
	form := AddrForm(address)
	var first wireKind
	for _, k := range wires() {
		switch {
		case network != 0 && !k.byNetwork && name == k.name:
			return k, fmt.Errorf("%w: --network is the id of an Ontology network, which the wire %s has none of; leave it out", ErrNoProbe, name)
		case network != 0 && !k.byNetwork:
		case name == k.name && k.refuses(address) != nil:
			return k, fmt.Errorf("%w: %w", ErrNoProbe, k.refuses(address))
		case name == k.name:
			return k, nil
		case name != "" || !k.takes(form):
		case slices.Contains(k.forms, form) && first.name == "", k.marks != nil && k.marks(address):
			first = k
		}
	}
	switch {
	case name != "":
		return wireKind{}, fmt.Errorf("%w: --wire is %.40q, want one of %s", ErrNoProbe, name, strings.Join(WireNames(), ", "))
	case form == "host:port" && network == 0:
		return wires()[0], nil
	case first.name == "" && network != 0 && form != "":
		return wireKind{}, fmt.Errorf("%w: --network is the id of an Ontology network, whose nodes are at HOST:PORT; leave it out, or write %.120q as that", ErrNoProbe, address)
	case first.name == "":
		return wireKind{}, fmt.Errorf("%w: %.120q is no address; write it as /ip4/1.2.3.4/tcp/4001/p2p/ID, enode://ID@1.2.3.4:30303, enr:… or HOST:PORT", ErrNoProbe, address)
	}
	return first, nil
}

// betterProber is another wire that takes the address and to which a protocol
// that the node speaks belongs.
func betterProber(asked wireKind, address string, speaks []string) (wireKind, bool) {
	for _, k := range wires() {
		if k.name != asked.name && k.takes(AddrForm(address)) && k.isSpoken(speaks) {
			return k, true
		}
	}
	return wireKind{}, false
}

// probeError says what can be done about a peer that was not reached.
func probeError(address string, err error) error {
	if errors.Is(err, errNoWire) {
		return fmt.Errorf("%.200s: %w; a private Ontology network has to be named with --network ID, and a devp2p node by its enode://ID@HOST:PORT", address, err)
	}
	var refused *peer.RefusedError
	if !errors.As(err, &refused) {
		return withoutPackage(err)
	}
	hint := map[peer.Reason]string{
		peer.DialFailed:      "check the address, that the node runs, and that no firewall is between",
		peer.DialTimeout:     "nothing answers there: check the address and that the port is open to the outside",
		peer.WrongIdentity:   "another node is at that address; probe HOST:PORT to see which",
		peer.NameUnresolved:  "the name leads nowhere: check it and the machine's DNS",
		peer.HandshakeFailed: "what answers there does not speak this wire, or is another node than the address says; --wire chooses the wire",
		peer.ByRemote:        "the node closes on strangers: it may be full, restricted to ranges, or have banned this address",
	}[refused.Reason]
	if hint == "" {
		hint = "see the reason"
	}
	return fmt.Errorf("%.200s was not reached: %s; %s", address, briefly(refused), hint)
}
