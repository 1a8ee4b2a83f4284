package swarm

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// Whoever asks is told what was tried, what came of it, and why the rest waits.
func TestOutlookSaysWhatWasTriedAndWhatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var skipped []NotDialled
		s := start(t, Config{
			Static: []peer.Addr{at("s@2.0.0.2:1"), at("r@10.0.0.1:1")}, Seeds: []peer.Addr{at("w@2.1.0.2:1")}, NetRestrict: prefixes("2.0.0.0/8"),
			Dial: func(_ context.Context, a peer.Addr) error {
				if strings.HasPrefix(a.Text, "w@") {
					return &peer.RefusedError{Reason: peer.WrongGenesis, Remote: true, Detail: "theirs 0xbad"}
				}
				return errUnreachable
			},
			Discover: func(context.Context) error { return errors.New("nobody") },
			OnEvent: func(ev Event) {
				if n, ok := ev.(NotDialled); ok {
					skipped = append(skipped, n)
				}
			},
		})
		s.Report(wire.Found{Source: wire.SourceKademlia, Peers: []wire.FoundPeer{
			{ID: "b", Addrs: []peer.Addr{at("b@2.7.0.2:1")}}, {ID: "c", Addrs: []peer.Addr{at("c@3.0.0.2:1")}}, {ID: "d", Addrs: []peer.Addr{at("d@2.8.0.2:22")}},
		}})
		s.Admit(wire.Link{Direction: peer.Inbound, Endpoint: netip.MustParseAddrPort("9.9.9.9:9")})
		time.Sleep(time.Minute)
		o := s.Outlook()
		if !o.Listens || !o.Dials || !o.Discovers || !o.Restricted || o.Sessions != 0 || o.Knocks != 1 || o.LastKnock.IsZero() || o.Admitted != 0 {
			t.Errorf("%+v", o)
		}
		if o.Rounds == 0 || o.FailedRounds != o.Rounds || o.Named != 3 || o.Taken != 1 || o.NotTaken["net-restricted"] != 1 || o.NotTaken["unwanted"] != 1 {
			t.Errorf("discovery: %+v", o)
		}
		if o.Book != 1 || o.Looked != 1 || o.Waiting[peer.BackOff] != 1 || o.NextDial.IsZero() {
			t.Errorf("the book: %+v", o)
		}
		byName := map[string]FixedView{}
		for _, f := range o.Fixed {
			byName[f.Addr.Text[:1]] = f
		}
		if f := byName["s"]; !f.Static || f.Tries < 3 || f.Last != peer.DialFailed || f.LastByRemote || f.NotDialled || !f.Next.After(f.LastAt) {
			t.Errorf("the static peer: %+v", f)
		}
		if f := byName["r"]; f.Tries != 0 || f.Last != peer.NetRestricted || !f.NotDialled {
			t.Errorf("the static peer out of bounds: %+v", f)
		}
		if f := byName["w"]; !f.Seed || f.Tries != 1 || f.Last != peer.WrongGenesis || !f.LastByRemote || f.LastDetail != "theirs 0xbad" || time.Until(f.Next) < 20*time.Hour {
			t.Errorf("the seed of another network: %+v", f)
		}
		err := s.Connect(t.Context(), peer.Addr{Text: strings.Repeat("x", 1<<20)})
		if !errors.Is(err, peer.Refuse(peer.BadAddr)) {
			t.Errorf("Connect = %v", err)
		}
		synctest.Wait()
		if !slices.ContainsFunc(skipped, func(n NotDialled) bool { return n.Reason == peer.NetRestricted && n.ID == "r" }) {
			t.Errorf("what was not dialled is told as %.300q", fmt.Sprint(skipped))
		}
		if last := skipped[len(skipped)-1]; last.Reason != peer.BadAddr || len(last.Addr.Text) > maxAddrText {
			t.Errorf("an address of %d bytes is told", len(last.Addr.Text))
		}
	})
}

// However large the book is, a question costs the owner little.
func TestOutlookLooksAtPartOfALargeBook(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	c := newCore(Config{Dial: func(context.Context, peer.Addr) error { return nil }, Endpoint: endpointOfAddr}.withDefaults(), now, now, memory{})
	for i := range 4 * maxLooked {
		c.book.add(now, at(fmt.Sprintf("p%d@%d.%d.0.1:1", i, 20+i/250, i%250)), "", origin{source: wire.SourceKademlia, group: fmt.Sprint(i)})
	}
	o := c.outlook(now)
	if o.Book < 2*maxLooked || o.Looked != maxLooked || o.Waiting[peer.OK] != maxLooked {
		t.Errorf("of %d addresses %d were looked at: %v", o.Book, o.Looked, o.Waiting)
	}
}
