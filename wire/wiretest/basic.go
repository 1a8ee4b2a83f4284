package wiretest

import (
	"errors"
	"fmt"
	"time"

	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

func basicChecks() []Check {
	return []Check{
		{Name: "CapsAreConstant", Rule: "Caps is constant, and makes sense", run: capsAreConstant},
		{Name: "AddressesSurviveTheirText", Rule: "what Addrs gives, ParseAddr reads back; nonsense it refuses", run: addressesRoundTrip},
		{Name: "IdleBeforeRun", Rule: "before Run is listening there are no addresses, and Dial fails with ErrClosed", run: idleBeforeRun},
		{Name: "RunIsCalledOnce", Rule: "a second Run is an error", run: runOnce},
	}
}

func capsAreConstant(l *lab) error {
	n, err := l.start(1, nil)
	if err != nil {
		return err
	}
	c := n.wire.Caps()
	if c.Name == "" || c.MaxInFlight < 1 || c.RequestTimeout <= 0 {
		return fmt.Errorf("Caps = %+v: a name, MaxInFlight and RequestTimeout are needed", c)
	}
	if _, ok := n.wire.(wire.Publisher); ok != (c.Gossip == wire.GossipTopics) {
		return fmt.Errorf("Caps.Gossip = %v and Publisher = %v: topics are what a Publisher has", c.Gossip, ok)
	}
	again, err := l.world.New(Options{Number: 2, Genesis: genesis, Network: network})
	if err != nil {
		return err
	}
	if d := n.wire.Caps(); d != c || again.Caps() != c {
		return fmt.Errorf("Caps = %+v, then %+v", c, d)
	}
	return nil
}

func addressesRoundTrip(l *lab) error {
	n, err := l.start(1, nil)
	if err != nil {
		return err
	}
	as := n.wire.Addrs()
	if len(as) == 0 {
		return errors.New("Addrs is empty though Run is listening")
	}
	for _, a := range as {
		if b, err := n.wire.ParseAddr(a.String()); err != nil || b != a {
			return fmt.Errorf("ParseAddr(%q) = %v, %v; want the same address", a, b, err)
		}
	}
	long := make([]byte, 1<<16)
	for i := range long {
		long[i] = 'a'
	}
	for _, s := range []string{"", " ", "nonsense", "://", "/ip4/1.2.3.4", "enode://x@1.2.3.4:1", "1.2.3.4:99999", "\x00\xff", string(long)} {
		if a, err := n.wire.ParseAddr(s); err == nil {
			return fmt.Errorf("ParseAddr(%.20q) = %v, want an error", s, a)
		}
	}
	return nil
}

func idleBeforeRun(l *lab) error {
	w, err := l.world.New(Options{Number: 1, Genesis: genesis, Network: network})
	if err != nil {
		return err
	}
	if as := w.Addrs(); len(as) > 0 {
		return fmt.Errorf("Addrs = %v before Run", as)
	}
	a, err := w.ParseAddr(l.world.Stranger)
	if err != nil {
		return err
	}
	if err := w.Dial(l.ctx, a); !errors.Is(err, wire.ErrClosed) {
		return fmt.Errorf("Dial before Run = %v, want ErrClosed", err)
	}
	n, err := l.start(2, nil)
	if err != nil {
		return err
	}
	if i, ok := n.wire.(wire.Identified); ok && i.Self() == "" {
		return errors.New("Self is empty though Run is listening")
	}
	if err := n.stop(); err != nil {
		return err
	}
	if as := n.wire.Addrs(); len(as) > 0 {
		return fmt.Errorf("Addrs = %v after Run", as)
	}
	if err := n.wire.Dial(l.ctx, a); !errors.Is(err, wire.ErrClosed) {
		return fmt.Errorf("Dial after Run = %v, want ErrClosed", err)
	}
	return nil
}

func runOnce(l *lab) error {
	n, err := l.start(1, nil)
	if err != nil {
		return err
	}
	got := make(chan error, 1)
	l.goes(func() { got <- n.wire.Run(l.ctx, &Host{}) })
	late := time.NewTimer(soon)
	defer late.Stop()
	select {
	case err := <-got:
		if err == nil {
			return errors.New("a second Run = nil, want an error")
		}
		return nil
	case <-late.C:
		return errors.New("a second Run is running")
	}
}

// reasonIs checks an error of Dial.
func reasonIs(err error, want peer.Reason) error {
	r, bad := refusal(err)
	if bad != nil {
		return bad
	}
	if r.Reason != want {
		return fmt.Errorf("Dial = %v, want reason %q", err, want)
	}
	return nil
}
