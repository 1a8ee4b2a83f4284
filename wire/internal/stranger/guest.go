package stranger

import (
	"context"
	"sync"
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// Anybody lets every link be and forgets what it is told.
type Anybody struct{}

// Admit is that of wire.Host.
func (Anybody) Admit(wire.Link) peer.Reason { return peer.OK }

// Report is that of wire.Host.
func (Anybody) Report(wire.Report) {}

// Wire is a wire that a prober can run.
type Wire interface {
	wire.Wire
	wire.Readier
}

// Guest is a wire that runs for one session. Its methods are for one goroutine.
type Guest struct {
	wire  Wire
	host  *host
	stop  context.CancelFunc
	ended chan error
}

// Enter runs a wire. Leave must be called, but on error.
func Enter(ctx context.Context, w Wire) (*Guest, error) {
	ctx, stop := context.WithCancel(ctx)
	g := &Guest{
		wire: w, stop: stop, ended: make(chan error, 1),
		host: &host{sessions: make(chan wire.Session, 1), told: make(chan struct{}, 1)},
	}
	go func() { g.ended <- w.Run(ctx, g.host) }()
	select {
	case <-w.Ready():
		return g, nil
	case err := <-g.ended:
		stop()
		return nil, err
	}
}

// Leave ends the wire, and the session with it.
func (g *Guest) Leave() {
	g.stop()
	<-g.ended
}

// Dial opens the session. It blocks until ctx ends.
func (g *Guest) Dial(ctx context.Context, a peer.Addr) (wire.Session, error) {
	if err := g.wire.Dial(ctx, a); err != nil {
		return nil, err
	}
	return <-g.host.sessions, nil // it was given to the Host before Dial returned
}

// Claims is the peer's latest account of its chain, and how far its clock is
// from ours, where it told.
func (g *Guest) Claims() (c chain.Status, skew time.Duration, timed bool) {
	g.host.mu.Lock()
	defer g.host.mu.Unlock()
	return g.host.claims, g.host.skew, g.host.timed
}

// Claimed waits until the peer has told more of its chain since the session
// began, or ctx ends; it reports which.
func (g *Guest) Claimed(ctx context.Context) bool {
	select {
	case <-g.host.told:
		return true
	case <-ctx.Done():
		return false
	}
}

// Ping measures a round trip. It blocks until ctx ends.
func Ping(ctx context.Context, s wire.Session) (time.Duration, error) {
	p, ok := s.(wire.Pinger)
	if !ok {
		return 0, wire.ErrUnsupported
	}
	return p.Ping(ctx)
}

// partTime is what a goodbye may take.
const partTime = time.Second

// Part ends a session, so that the peer is told who wanted that. It blocks
// until it has been, partTime at most.
func Part(s wire.Session) {
	s.Close(peer.Requested)
	late := time.NewTimer(partTime)
	defer late.Stop()
	select {
	case <-s.Done():
	case <-late.C:
	}
}

// host is the Host without a chain.
type host struct {
	Anybody
	sessions chan wire.Session
	told     chan struct{} // of capacity 1

	mu     sync.Mutex // a leaf
	claims chain.Status
	skew   time.Duration
	timed  bool
}

func (h *host) Open(_ context.Context, s wire.Session, c chain.Status) error {
	h.mu.Lock()
	h.claims = c
	h.mu.Unlock()
	select {
	case h.sessions <- s:
		return nil
	default:
		return peer.Refuse(peer.TooManyPeers)
	}
}

func (h *host) Report(r wire.Report) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch r := r.(type) {
	case wire.Skewed:
		h.skew, h.timed = r.Skew, true
	case wire.Claimed:
		h.claims = r.Status
		select {
		case h.told <- struct{}{}:
		default:
		}
	}
}

func (h *host) Check(context.Context, wire.Session, wire.Message) chain.Verdict {
	return chain.Ignored("a prober takes nothing")
}

func (h *host) Serve(context.Context, wire.Session, wire.Request) (wire.Response, error) {
	return nil, wire.ErrUnsupported
}
