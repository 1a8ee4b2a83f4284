package starling

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/starlingp2p/starling/chain/chaintest"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// quiet is a wire without a network: what is tested here is the order of
// starting and stopping, at times that a real one does not keep.
type quiet struct {
	ready chan struct{}
	end   chan error // what Run ends with by itself
}

func newQuiet() *quiet { return &quiet{make(chan struct{}), make(chan error, 1)} }

func (*quiet) Caps() wire.Caps { return wire.Caps{Name: "quiet"} }

func (*quiet) ParseAddr(string) (peer.Addr, error) { return peer.Addr{}, wire.ErrUnsupported }

func (*quiet) Dial(context.Context, peer.Addr) error                    { return wire.ErrUnsupported }
func (*quiet) Addrs() []peer.Addr                                       { return nil }
func (*quiet) Locate(peer.Addr) (e netip.AddrPort, id peer.ID, ok bool) { return }
func (q *quiet) Ready() <-chan struct{}                                 { return q.ready }

func (q *quiet) Run(ctx context.Context, _ wire.Host) error {
	select {
	case err := <-q.end:
		return err
	case <-ctx.Done():
		return nil
	}
}

// part is a service made of one function.
type part struct {
	kind string
	run  func(ctx context.Context, ready func()) error
}

func (p part) Kind() string                                { return p.kind }
func (p part) Needs() []string                             { return nil }
func (p part) Build(*Builder) (Part, error)                { return p, nil }
func (p part) Run(ctx context.Context, ready func()) error { return p.run(ctx, ready) }

// quietNode is a node on a quiet wire.
func quietNode(t *testing.T, w wire.Wire, parts ...part) *Node {
	t.Helper()
	n, err := New(Config{Seed: 1}, chaintest.NewChain(chaintest.Config{}), w)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range parts {
		if err := n.Register(p); err != nil {
			t.Fatal(err)
		}
	}
	return n
}

// wantPart checks that an error names a part and what it was doing.
func wantPart(t *testing.T, err error, name, op string, cause error) {
	t.Helper()
	var p *PartError
	if !errors.As(err, &p) || p.Part != name || p.Op != op || cause != nil && !errors.Is(err, cause) {
		t.Errorf("Run = %v, want %s %s", err, op, name)
	}
}

func TestAPartThatDoesNotStopIsNamedAfterFiveSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, release := newQuiet(), make(chan struct{})
		close(w.ready)
		n := quietNode(t, w, part{"stubborn", func(_ context.Context, ready func()) error {
			ready()
			<-release
			return nil
		}})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- n.Run(ctx) }()
		<-n.Ready()
		began := time.Now()
		cancel()
		err := <-ended
		if took := time.Since(began); took != stopWithin {
			t.Errorf("stopped after %v, want %v", took, stopWithin)
		}
		wantPart(t, err, "service stubborn", "stop", nil)
		close(release)
	})
}

func TestAPartThatFailsWhileRunningStopsTheNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, broken := newQuiet(), errors.New("broken")
		close(w.ready)
		n := quietNode(t, w, part{"fragile", func(_ context.Context, ready func()) error {
			ready()
			ready() // once too often does no harm
			time.Sleep(time.Minute)
			return broken
		}}, part{"done", func(_ context.Context, ready func()) error {
			ready()
			return nil // its work is done, which is no failure
		}})
		wantPart(t, n.Run(t.Context()), "service fragile", "run", broken)
	})
}

func TestAWireThatEndsStopsTheNode(t *testing.T) {
	for _, cause := range []error{nil, errors.New("cable cut")} {
		synctest.Test(t, func(t *testing.T) {
			w := newQuiet()
			close(w.ready)
			n := quietNode(t, w)
			time.AfterFunc(time.Second, func() { w.end <- cause })
			wantPart(t, n.Run(t.Context()), "wire", "run", cause)
		})
	}
}

func TestANodeCanBeStoppedWhileItStarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		n := quietNode(t, newQuiet()) // it never listens
		if err := n.Run(ctx); err != nil {
			t.Errorf("Run = %v, want nil", err)
		}
		select {
		case <-n.Ready():
			t.Error("a node that never started says that it is ready")
		default:
		}
	})
}

func TestAServiceThatEndsBeforeItIsReadyFailsTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newQuiet()
		close(w.ready)
		n := quietNode(t, w, part{"hasty", func(context.Context, func()) error { return nil }})
		wantPart(t, n.Run(t.Context()), "service hasty", "start", nil)
	})
}

func TestValidateReportsEveryProblem(t *testing.T) {
	err := Config{
		MaxPeers: 20_000, MaxInbound: -1, MinScore: 5, DiscoveryInterval: time.Millisecond,
		SyncPeers: -1, SyncWait: -time.Second, SyncBytes: 1, ValidationWorkers: -1, Serving: Budget{PeerRate: -1}, Relay: "gossip",
	}.Validate()
	for _, field := range []string{"MaxPeers", "MaxInbound", "MinScore", "DiscoveryInterval", "SyncPeers", "SyncWait", "SyncBytes", "ValidationWorkers", "Serving.PeerRate", "Relay"} {
		if err == nil || !strings.Contains(err.Error(), "starling: "+field) {
			t.Errorf("the error does not name %s: %v", field, err)
		}
	}
	for _, cfg := range []Config{{}, DevConfig(), {SyncPeers: 5, SyncWait: 10 * time.Second, MaxPeers: 1}, {Relay: "flood"}} {
		if err := cfg.Validate(); err != nil {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
}
