package wiretest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

func refusalChecks() []Check {
	goodbye := func(c wire.Caps, _ World) bool { return c.Goodbye }
	status := func(_ wire.Caps, w World) bool { return !w.NoStatus }
	proven := func(c wire.Caps, _ World) bool { return c.ProvenIdentity }
	return []Check{
		{Name: "RefusalReachesTheDialler", Rule: "when the listener's Host refuses a session, Dial fails with its reason, by remote", run: refusalTravels, needs: goodbye},
		{Name: "RefusalByTheDiallersHost", Rule: "when the dialler's Host refuses a session, Dial fails with its reason, and no session is left", run: ownRefusal},
		{Name: "AdmitBeforeTheHandshake", Rule: "Admit is asked before a handshake, on both sides, and obeyed", run: admitFirst},
		{Name: "AdmitOnceTheIdentityIsKnown", Rule: "Admit is asked again with the identity, and obeyed before Open", run: admitIdentity, needs: proven},
		{Name: "WrongGenesisIsRefused", Rule: "a peer of another genesis is refused on both sides, saying which (H-05)", run: wrongGenesis, needs: status},
		{Name: "WrongNetworkIsRefused", Rule: "a peer of another network is refused on both sides, saying which (H-05)", run: wrongNetwork, needs: status},
		{Name: "WrongIdentityIsRefused", Rule: "if another peer answers at an address, Dial says so (H-06)", run: wrongIdentity, needs: proven},
		{Name: "SelfIsRefused", Rule: "a wire does not open a session with itself (H-07)", run: selfRefused},
		{Name: "NobodyThere", Rule: "Dial to where nobody listens fails in time, with a reason", run: nobodyThere},
	}
}

func refusing(r peer.Reason) func(context.Context, wire.Session, chain.Status) error {
	return func(context.Context, wire.Session, chain.Status) error { return peer.Refuse(r) }
}

func (l *lab) two(ha, hb *Host) (a, b *node, err error) {
	if a, err = l.start(1, ha); err != nil {
		return
	}
	b, err = l.start(2, hb)
	return
}

func noSessions(l *lab, nodes ...*node) error {
	return l.stays("no session", time.Second, func() bool {
		for _, n := range nodes {
			if len(n.host.Sessions()) > 0 {
				return false
			}
		}
		return true
	})
}

func refusalTravels(l *lab) error {
	a, b, err := l.two(nil, &Host{OnOpen: refusing(peer.TooManyPeers)})
	if err != nil {
		return err
	}
	r, err := refusal(l.dial(a, b))
	if err != nil {
		return err
	}
	if r.Reason != peer.TooManyPeers || !r.Remote {
		return fmt.Errorf("Dial = %v, want %q by the remote", r, peer.TooManyPeers)
	}
	if n := len(b.host.Opened()) + len(Reports[wire.Closed](b.host)); n > 0 {
		return errors.New("a session that the Host refused was reported Closed")
	}
	return noSessions(l, a, b)
}

func ownRefusal(l *lab) error {
	a, b, err := l.two(&Host{OnOpen: refusing(peer.TooManyPeers)}, nil)
	if err != nil {
		return err
	}
	r, err := refusal(l.dial(a, b))
	if err != nil {
		return err
	}
	if r.Reason != peer.TooManyPeers || r.Remote {
		return fmt.Errorf("Dial = %v, want %q by ourselves", r, peer.TooManyPeers)
	}
	return l.until("no session at the listener", func() bool { return len(b.host.Sessions()) == 0 }, b)
}

func admitFirst(l *lab) error {
	early := func(n wire.Link) peer.Reason {
		if n.ID == "" {
			return peer.Banned
		}
		return peer.OK
	}
	a, b, err := l.two(nil, &Host{OnAdmit: early})
	if err != nil {
		return err
	}
	if _, err := refusal(l.dial(a, b)); err != nil {
		return fmt.Errorf("listener refuses: %w", err)
	}
	links := b.host.Admits()
	if len(links) == 0 || links[0].ID != "" || links[0].Direction != peer.Inbound || links[0].Addr.IsZero() {
		return fmt.Errorf("the listener's Admit was asked about %+v", links)
	}
	for _, l := range links {
		if l.ID != "" {
			return errors.New("the handshake went on though Admit refused the link")
		}
	}
	c, err := l.start(3, &Host{OnAdmit: early})
	if err != nil {
		return err
	}
	if err := reasonIs(l.dial(c, a), peer.Banned); err != nil {
		return fmt.Errorf("dialler refuses: %w", err)
	}
	if links := c.host.Admits(); len(links) == 0 || links[0].Direction != peer.Outbound || !links[0].Asked {
		return fmt.Errorf("the dialler's Admit was asked about %+v", links)
	}
	return noSessions(l, a, b, c)
}

func admitIdentity(l *lab) error {
	late := func(n wire.Link) peer.Reason {
		if n.ID != "" {
			return peer.Banned
		}
		return peer.OK
	}
	a, b, err := l.two(nil, &Host{OnAdmit: late})
	if err != nil {
		return err
	}
	if _, err := refusal(l.dial(a, b)); err != nil {
		return err
	}
	if len(b.host.Opened()) > 0 {
		return errors.New("a session was opened though Admit refused the identity")
	}
	if id, ok := a.wire.(wire.Identified); ok {
		seen := false
		for _, k := range b.host.Admits() {
			seen = seen || k.ID == id.Self()
		}
		if !seen {
			return fmt.Errorf("Admit was never asked about %q", id.Self())
		}
	}
	return noSessions(l, a, b)
}

func mismatch(l *lab, o Options, want peer.Reason, ours, theirs string) error {
	a, err := l.start(1, nil)
	if err != nil {
		return err
	}
	b, err := l.startAs(o, nil)
	if err != nil {
		return err
	}
	r, err := refusal(l.dial(a, b))
	if err != nil {
		return err
	}
	if r.Reason != want {
		return fmt.Errorf("Dial = %v, want %q", r, want)
	}
	if !strings.Contains(r.Detail, ours) || !strings.Contains(r.Detail, theirs) {
		return fmt.Errorf("Dial = %v, which does not name %s and %s", r, ours, theirs)
	}
	if err := l.until("Refused at the listener", func() bool {
		for _, f := range Reports[wire.Refused](b.host) {
			if f.Reason == want {
				return true
			}
		}
		return false
	}, b); err != nil {
		return err
	}
	if len(a.host.Opened())+len(b.host.Opened()) > 0 {
		return errors.New("a session was offered to a Host")
	}
	return nil
}

func wrongGenesis(l *lab) error {
	return mismatch(l, Options{Number: 2, Genesis: otherGenesis, Network: network}, peer.WrongGenesis, genesis.String()[:10], otherGenesis.String()[:10])
}

func wrongNetwork(l *lab) error {
	theirs := "elsewhere"
	if l.world.NetworkText != nil {
		theirs = l.world.NetworkText(theirs)
	}
	return mismatch(l, Options{Number: 2, Genesis: genesis, Network: "elsewhere"}, peer.WrongNetwork, network, theirs)
}

func wrongIdentity(l *lab) error {
	a, b, err := l.two(nil, nil)
	if err != nil {
		return err
	}
	c, err := l.start(3, nil)
	if err != nil {
		return err
	}
	ab, err := b.addr()
	if err != nil {
		return err
	}
	b2, ok1 := b.wire.(wire.Identified)
	c2, ok2 := c.wire.(wire.Identified)
	if !ok1 || !ok2 {
		return nil
	}
	forged, err := a.wire.ParseAddr(strings.Replace(ab.Text, string(b2.Self()), string(c2.Self()), 1))
	if err != nil {
		return err
	}
	want := peer.WrongIdentity
	if l.world.BlindIdentity {
		want = peer.HandshakeFailed
	}
	if err := reasonIs(a.wire.Dial(l.ctx, forged), want); err != nil {
		return err
	}
	return noSessions(l, a, b, c)
}

func selfRefused(l *lab) error {
	a, err := l.start(1, nil)
	if err != nil {
		return err
	}
	if err := reasonIs(l.dial(a, a), peer.Self); err != nil {
		return err
	}
	return noSessions(l, a)
}

func nobodyThere(l *lab) error {
	a, err := l.start(1, nil)
	if err != nil {
		return err
	}
	addr, err := a.wire.ParseAddr(l.world.Stranger)
	if err != nil {
		return fmt.Errorf("World.Stranger: %w", err)
	}
	start := time.Now()
	if _, err := refusal(a.wire.Dial(l.ctx, addr)); err != nil {
		return err
	}
	if took := time.Since(start); took > 11*time.Second {
		return fmt.Errorf("Dial took %v", took)
	}
	return nil
}
