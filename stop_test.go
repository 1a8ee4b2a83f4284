package starling

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/chain/chaintest"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// waits is a part that is ready at once and ends with its context.
func waits(ctx context.Context, ready func()) error {
	ready()
	<-ctx.Done()
	return nil
}

// begin runs a node until stop is called, which gives what Run gave.
func begin(t *testing.T, n *Node) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	<-n.Ready()
	return func() error { cancel(); return <-ended }
}

// lateWire notes when it is told to stop.
type lateWire struct {
	*quiet
	told time.Time
}

func (w *lateWire) Run(ctx context.Context, _ wire.Host) error {
	<-ctx.Done()
	w.told = time.Now()
	time.Sleep(time.Second) // it tells its peers
	return nil
}

func TestAStubbornPartLeavesTheOthersTimeToStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, release := &lateWire{quiet: newQuiet()}, make(chan struct{})
		close(w.ready)
		n := quietNode(t, w, part{"patient", func(ctx context.Context, ready func()) error {
			ready()
			<-ctx.Done()
			time.Sleep(500 * time.Millisecond)
			return nil
		}}, part{"stubborn", func(_ context.Context, ready func()) error {
			ready()
			<-release
			return nil
		}})
		stop := begin(t, n)
		began := time.Now()
		err := stop()
		wantPart(t, err, "service stubborn", "stop", nil)
		if many, ok := err.(interface{ Unwrap() []error }); ok && len(many.Unwrap()) != 1 {
			t.Errorf("others are named too: %v", err)
		}
		if at := w.told.Sub(began); at != servicesWithin {
			t.Errorf("the wire was told to stop after %v, want %v", at, servicesWithin)
		}
		close(release)
	})
}

func TestAWireThatEndsDuringTheStartIsNoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newQuiet()
		close(w.ready)
		n := quietNode(t, w, part{"slow", func(ctx context.Context, _ func()) error {
			<-ctx.Done()
			return nil
		}})
		time.AfterFunc(time.Minute, func() { w.end <- nil })
		wantPart(t, n.Run(t.Context()), "wire", "run", nil)
	})
}

func TestAServiceThatIsNeverReadyEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newQuiet()
		close(w.ready)
		n := quietNode(t, w, part{"never", func(ctx context.Context, _ func()) error {
			<-ctx.Done()
			return context.Cause(ctx)
		}})
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if err := n.Run(ctx); err != nil {
			t.Errorf("Run = %v, want nil", err)
		}
	})
}

func TestVerbsFailOnceTheNodeHasStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newQuiet()
		close(w.ready)
		n := quietNode(t, w)
		c, ctx := n.Client(), t.Context()
		events := c.Subscribe(ctx, 0)
		verbs := map[string]func() error{
			"Request":       func() error { _, err := c.Request(ctx, "a", "", nil); return err },
			"Broadcast":     func() error { _, err := c.Broadcast(ctx, "a", nil); return err },
			"JoinTopic":     func() error { return c.JoinTopic(ctx, "a") },
			"LeaveTopic":    func() error { return c.LeaveTopic(ctx, "a") },
			"SubmitBlock":   func() error { return c.SubmitBlock(ctx, chain.Block{}) },
			"PublishBlock":  func() error { _, err := c.PublishBlock(ctx, chain.Block{}); return err },
			"TrustBlock":    func() error { return c.TrustBlock(ctx, chain.Block{}) },
			"PublishTxs":    func() error { _, err := c.PublishTxs(ctx, nil); return err },
			"SendConsensus": func() error { return c.SendConsensus(ctx, "", nil) },
			"SetTarget":     func() error { return c.SetTarget(ctx, chain.Ref{}) },
			"Connect":       func() error { return c.Connect(ctx, "a") },
			"Disconnect":    func() error { return c.Disconnect(ctx, "a") },
			"Ban":           func() error { return c.Ban(ctx, "a", 0, "") },
			"Unban":         func() error { return c.Unban(ctx, "a") },
		}
		check := func(when string) {
			for name, verb := range verbs {
				if err := verb(); !errors.Is(err, ErrNotRunning) {
					t.Errorf("%s %s = %v, want ErrNotRunning", name, when, err)
				}
			}
		}
		check("before Run")
		if err := begin(t, n)(); err != nil {
			t.Fatal(err)
		}
		check("after Run")
		if err := c.WaitForPeers(ctx, 1); !errors.Is(err, ErrNotRunning) {
			t.Errorf("WaitForPeers after Run = %v, want ErrNotRunning", err)
		}
		if _, ok := <-events.C(); ok {
			t.Error("a node without peers had an event")
		}
		// Views give what is known.
		if s := c.Status(); s.Wire != "quiet" || len(c.Peers()) != 0 || len(c.KnownPeers(8)) != 0 || len(c.Bans()) != 0 {
			t.Errorf("status after Run = %+v", s)
		}
	})
}

func TestASubscriptionEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBus()
		ctx, cancel := context.WithCancel(t.Context())
		first, second := b.subscribe(ctx, 1), b.subscribe(t.Context(), 1)
		b.publish(Alarm{Text: "one"})
		b.publish(Alarm{Text: "two"})
		if first.Dropped() != 1 {
			t.Errorf("%d events were dropped, want the newest", first.Dropped())
		}
		cancel()
		synctest.Wait()
		if ev := <-first.C(); ev != (Alarm{Text: "one"}) {
			t.Errorf("event = %v, want the oldest", ev)
		}
		if _, ok := <-first.C(); ok || len(b.subs) != 1 {
			t.Errorf("%d subscriptions are left, want the other one", len(b.subs))
		}
		b.close()
		b.close()
		<-second.C()
		if _, ok := <-second.C(); ok {
			t.Error("a subscription outlived its bus")
		}
		if _, ok := <-b.subscribe(t.Context(), 1).C(); ok {
			t.Error("a closed bus takes subscriptions")
		}
	})
}

func TestWaitForPeersEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := quietNode(t, newQuiet())
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		err := n.Client().WaitForPeers(ctx, 3)
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "0 of 3") {
			t.Errorf("WaitForPeers = %v, want the deadline and how many there were", err)
		}
		if len(n.bus.subs) != 0 {
			t.Errorf("%d subscriptions are left", len(n.bus.subs))
		}
	})
}

// brings is a service that brings methods and protocols.
type brings struct {
	part
	methods   []Method
	protocols []Protocol
}

func (b brings) Build(*Builder) (Part, error) { return b, nil }
func (b brings) Methods() []Method            { return b.methods }
func (b brings) Protocols() []Protocol        { return b.protocols }

func TestWhatServicesBringIsChecked(t *testing.T) {
	call := func(context.Context, json.RawMessage) (any, error) { return nil, nil }
	answer := func(context.Context, peer.ID, []byte) ([]byte, error) { return nil, nil }
	tests := []struct {
		name string
		two  brings
		want string
	}{
		{"two methods of one name", brings{methods: []Method{{Name: "x_y", Call: call}}}, `"x_y"`},
		{"a method without a call", brings{methods: []Method{{Name: "x_z"}}}, `"x_z"`},
		{"two protocols of one name", brings{protocols: []Protocol{{Name: "p", Request: answer}}}, `"p"`},
		{"a protocol that does nothing", brings{protocols: []Protocol{{Name: "q"}}}, `"q"`},
		{"a protocol of a bad name", brings{protocols: []Protocol{{Name: "P q", Request: answer}}}, `"P q"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := quietNode(t, newQuiet())
			one := brings{part{"one", waits}, []Method{{Name: "x_y", Call: call}}, []Protocol{{Name: "p", Request: answer}}}
			tt.two.part = part{"two", waits}
			for _, s := range []Service{one, tt.two} {
				if err := n.Register(s); err != nil {
					t.Fatal(err)
				}
			}
			err := n.Run(t.Context())
			wantPart(t, err, "service two", "build", nil)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Run = %v, want it to name %s", err, tt.want)
			}
			if ms := n.Methods(); len(ms) != 1 || ms[0].Name != "x_y" {
				t.Errorf("Methods = %v, want those of the first", ms)
			}
		})
	}
}

func TestAServiceNeedsAKind(t *testing.T) {
	n := quietNode(t, newQuiet())
	for _, s := range []Service{nil, part{"", waits}} {
		if err := n.Register(s); err == nil {
			t.Errorf("Register(%v) = nil, want an error", s)
		}
	}
}

func TestNewReportsLimitsAndAddressesTogether(t *testing.T) {
	n, err := New(Config{MaxPeers: -1, MinScore: math.NaN(), Static: []string{"one", "two"}, Seeds: []string{"three"}},
		chaintest.NewChain(chaintest.Config{}), newQuiet())
	if n != nil || err == nil {
		t.Fatalf("New = %v, %v; want no node and an error", n, err)
	}
	for _, want := range []string{"MaxPeers", "MinScore", "Static", "Seeds"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not name %s: %v", want, err)
		}
	}
}

// faultyChain panics where a peer can make it look.
type faultyChain struct{ *chaintest.Chain }

func (faultyChain) Check(chain.Block) chain.Verdict { panic("a bug") }

func TestAPanicInACheckRejectsAndStopsNothing(t *testing.T) {
	n, err := New(Config{}, faultyChain{chaintest.NewChain(chaintest.Config{})}, newQuiet())
	if err != nil {
		t.Fatal(err)
	}
	for range 2 * validationQuota { // its place is given back
		v := n.host.Check(t.Context(), &talker{}, wire.Block{Block: chain.Block{Header: chain.Header{Ref: chain.Ref{Number: 1}}}})
		if v.Action != chain.Reject || v.Reason != "panic" {
			t.Fatalf("Check = %v, want a rejection", v)
		}
	}
}
