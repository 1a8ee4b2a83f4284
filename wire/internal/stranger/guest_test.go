package stranger

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake is a wire with one peer, which tells more of its chain after a while.
type fake struct {
	wire.Wire
	ready  chan struct{}
	broken error
	host   wire.Host
}

func (f *fake) Ready() <-chan struct{} { return f.ready }

func (f *fake) Run(ctx context.Context, h wire.Host) error {
	if f.broken != nil {
		return f.broken
	}
	f.host = h
	close(f.ready)
	<-ctx.Done()
	return nil
}

func (f *fake) Dial(ctx context.Context, a peer.Addr) error {
	s := session{}
	if err := f.host.Open(ctx, s, chain.Status{Network: "test"}); err != nil {
		return err
	}
	f.host.Report(wire.Skewed{Session: s, Skew: time.Minute})
	time.AfterFunc(time.Second, func() {
		f.host.Report(wire.Claimed{Session: s, Status: chain.Status{Network: "test", Head: chain.Ref{Number: 9}}})
	})
	return nil
}

type session struct{ wire.Session }

func (session) Close(peer.Reason)     {}
func (session) Done() <-chan struct{} { return nil }

func (session) Ping(context.Context) (time.Duration, error) { return time.Millisecond, nil }

func TestAGuestHasOneSessionAndServesNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		g, err := Enter(ctx, &fake{ready: make(chan struct{})})
		if err != nil {
			t.Fatal(err)
		}
		defer g.Leave()
		s, err := g.Dial(ctx, peer.Addr{})
		if err != nil {
			t.Fatal(err)
		}
		if took, err := Ping(ctx, s); err != nil || took != time.Millisecond {
			t.Errorf("Ping = %v, %v", took, err)
		}
		short, cancel := context.WithTimeout(ctx, time.Millisecond)
		defer cancel()
		if g.Claimed(short) {
			t.Error("the peer has told more at once")
		}
		if !g.Claimed(ctx) {
			t.Error("the peer has told no more")
		}
		if c, skew, timed := g.Claims(); c.Head.Number != 9 || skew != time.Minute || !timed {
			t.Errorf("Claims = %+v, %v, %v", c, skew, timed)
		}
		if _, err := g.host.Serve(ctx, s, nil); !errors.Is(err, wire.ErrUnsupported) {
			t.Errorf("Serve = %v", err)
		}
		if v := g.host.Check(ctx, s, nil); v.Action != chain.Ignore {
			t.Errorf("Check = %+v", v)
		}
		began := time.Now()
		Part(s) // it does not end
		if took := time.Since(began); took != partTime {
			t.Errorf("parted after %v, want %v", took, partTime)
		}
		g.host.sessions <- s // a second one that nobody has asked for finds no room
		if err := g.host.Open(ctx, s, chain.Status{}); err == nil {
			t.Error("a second session was taken")
		}
	})
}

func TestAWireThatDoesNotRunIsNotEntered(t *testing.T) {
	want := errors.New("no")
	if _, err := Enter(t.Context(), &fake{ready: make(chan struct{}), broken: want}); !errors.Is(err, want) {
		t.Errorf("Enter = %v, want %v", err, want)
	}
	if _, err := Ping(t.Context(), struct{ wire.Session }{}); !errors.Is(err, wire.ErrUnsupported) {
		t.Errorf("Ping = %v", err)
	}
}
