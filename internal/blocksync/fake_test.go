package blocksync

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/chain/chaintest"
	"github.com/starlingp2p/starling/internal/pause"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Wires as services see them.
var (
	nativeCaps = wire.Caps{
		Name: "native", ProvenIdentity: true, Skeleton: true, BodiesApart: true, ByNumber: true, ByHash: true,
		MaxBatch: wire.Batch{Headers: 512, Bodies: 128, Blocks: 128, Bytes: 4 << 20}, MaxInFlight: 8,
	}
	// leavingCaps is a wire whose answers with bodies leave out what a peer lacks.
	leavingCaps = func() wire.Caps { c := nativeCaps; c.BodiesLeftOut = true; return c }()
	// blocksCaps is a wire that has whole blocks by number only, one a request.
	blocksCaps = wire.Caps{Name: "blocks", ByNumber: true, MaxBatch: wire.Batch{Blocks: 1, Bytes: 4 << 20}, MaxInFlight: 4}
	// rangesCaps has ranges of whole blocks, by number only.
	rangesCaps = wire.Caps{Name: "ranges", ByNumber: true, MaxBatch: wire.Batch{Blocks: 32, Bytes: 4 << 20}, MaxInFlight: 4}
	// hashCaps has headers, and whole blocks by hash; nothing by number.
	hashCaps = wire.Caps{
		Name: "hashes", Skeleton: true, ByHash: true,
		MaxBatch: wire.Batch{Headers: 128, Blocks: 32, Bytes: 4 << 20}, MaxInFlight: 4, SilentRefusal: true,
	}
)

// fakePeer answers from a chain, over a link of some latency and rate. lie, if
// set, has the last word about an answer.
type fakePeer struct {
	id    peer.ID
	chain *chaintest.Chain
	rtt   time.Duration
	rate  int // bytes per second; 0: no bound
	lie   func(ctx context.Context, rq wire.Request, honest func() (wire.Response, error)) (wire.Response, error)
	done  chan struct{}
	batch wire.Batch

	mu       sync.Mutex
	asked    map[string]int // by kind
	inFlight int
	most     int
	lies     int                // that it is told of
	longest  int                // range that was asked for
	bodies   map[chain.Hash]int // how often each was given
	busy     time.Time          // until when the link is
}

func newFake(id string, c *chaintest.Chain) *fakePeer {
	return &fakePeer{id: peer.ID(id), chain: c, rtt: 20 * time.Millisecond, done: make(chan struct{}), asked: map[string]int{}, bodies: map[chain.Hash]int{}}
}

func (p *fakePeer) Peer() peer.Info       { return peer.Info{ID: p.id} }
func (p *fakePeer) Batch() wire.Batch     { return p.batch }
func (p *fakePeer) Close(peer.Reason)     {}
func (p *fakePeer) Done() <-chan struct{} { return p.done }
func (p *fakePeer) Send(context.Context, wire.Lane, wire.Message) error {
	return wire.ErrUnsupported
}

func (p *fakePeer) Rejected() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lies++
}

func (p *fakePeer) Request(ctx context.Context, rq wire.Request) (wire.Response, error) {
	p.mu.Lock()
	p.asked[wire.KindOf(rq)]++
	p.inFlight++
	p.most = max(p.most, p.inFlight)
	if r, ok := rq.(wire.GetBlocks); ok {
		p.longest = max(p.longest, r.Range.Count)
	}
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		p.inFlight--
		p.mu.Unlock()
	}()
	honest := func() (wire.Response, error) { return serve(ctx, p.chain, rq) }
	var resp wire.Response
	var err error
	if p.lie != nil {
		resp, err = p.lie(ctx, rq, honest)
	} else {
		resp, err = honest()
	}
	if werr := p.travel(ctx, resp); werr != nil {
		return nil, werr
	}
	p.count(resp)
	return resp, err
}

// travel takes the time of a round trip and of the bytes, one answer after another.
func (p *fakePeer) travel(ctx context.Context, resp wire.Response) error {
	wait := p.rtt
	if p.rate > 0 {
		took := time.Duration(float64(bytesOf(resp)) / float64(p.rate) * float64(time.Second))
		p.mu.Lock()
		start := time.Now()
		if p.busy.After(start) {
			start = p.busy
		}
		p.busy = start.Add(took)
		wait += time.Until(p.busy)
		p.mu.Unlock()
	}
	return pause.For(ctx, wait)
}

func (p *fakePeer) count(resp wire.Response) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch resp := resp.(type) {
	case wire.Bodies:
		for _, h := range resp.Hashes {
			p.bodies[h]++
		}
	case wire.Blocks:
		for _, b := range resp.Blocks {
			p.bodies[b.Header.Ref.Hash]++
		}
	}
}

func (p *fakePeer) kinds() map[string]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.asked)
}

func bytesOf(resp wire.Response) int {
	n := 0
	switch resp := resp.(type) {
	case wire.Headers:
		n = size(resp.Headers, nil)
	case wire.Bodies:
		for _, b := range resp.Bodies {
			n += len(b.Body) + len(b.Extra)
		}
	case wire.Blocks:
		for _, b := range resp.Blocks {
			n += b.Size()
		}
	}
	return n
}

// serve answers as an honest node does.
func serve(ctx context.Context, c *chaintest.Chain, rq wire.Request) (wire.Response, error) {
	refuse := func(err error) error {
		if errors.Is(err, chain.ErrNotFound) {
			return &wire.Refusal{Code: wire.RefusedNotFound}
		}
		return err
	}
	switch rq := rq.(type) {
	case wire.GetHeaders:
		hs, err := c.Headers(ctx, rq.Range)
		if err != nil {
			return nil, refuse(err)
		}
		return wire.Headers{Headers: hs}, nil
	case wire.GetBlocks:
		bs, err := c.Blocks(ctx, rq.Range)
		if err != nil {
			return nil, refuse(err)
		}
		return wire.Blocks{Blocks: bs}, nil
	case wire.GetBlocksByHash:
		var out wire.Blocks
		for _, h := range rq.Hashes {
			if b, err := c.Block(ctx, chain.Ref{Hash: h}); err == nil {
				out.Blocks = append(out.Blocks, b)
			}
		}
		return out, nil
	case wire.GetBodies:
		var out wire.Bodies
		for _, h := range rq.Hashes {
			if b, err := c.Block(ctx, chain.Ref{Hash: h}); err == nil {
				out.Hashes = append(out.Hashes, h)
				out.Bodies = append(out.Bodies, wire.Body{Body: b.Body, Extra: b.Extra})
			}
		}
		return out, nil
	}
	return nil, wire.ErrUnsupported
}

// node is a Sync under test with what it did.
type node struct {
	*Sync
	t     *testing.T
	chain *chaintest.Chain
	stop  context.CancelFunc
	ended chan error

	mu      sync.Mutex
	charges map[peer.ID]map[peer.Offense]int
	events  []Event
	heads   []chain.Status
	order   []chain.Ref // imported
	mostMem int
}

// start runs a Sync over c inside a bubble.
func start(t *testing.T, c *chaintest.Chain, change func(*Config)) *node {
	t.Helper()
	n := &node{t: t, chain: c, ended: make(chan error, 1), charges: map[peer.ID]map[peer.Offense]int{}}
	cfg := Config{
		Chain: c, Caps: nativeCaps, Seed: 1, Workers: 2,
		Charge: func(s wire.Session, o peer.Offense, _ string) {
			n.mu.Lock()
			defer n.mu.Unlock()
			id := s.Peer().ID
			if n.charges[id] == nil {
				n.charges[id] = map[peer.Offense]int{}
			}
			n.charges[id][o]++
		},
		OnHead: func(st chain.Status, refs []chain.Ref) {
			n.mu.Lock()
			defer n.mu.Unlock()
			n.heads = append(n.heads, st)
			n.order = append(n.order, refs...)
		},
		OnEvent: func(e Event) {
			n.mu.Lock()
			defer n.mu.Unlock()
			n.events = append(n.events, e)
		},
	}
	if change != nil {
		change(&cfg)
	}
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	n.Sync = s
	ctx, cancel := context.WithCancel(t.Context())
	n.stop = cancel
	go func() { n.ended <- s.Run(ctx) }()
	t.Cleanup(n.kill)
	return n
}

// kill ends the node and waits for it.
func (n *node) kill() {
	n.stop()
	if err, ok := <-n.ended; ok {
		close(n.ended)
		if !errors.Is(err, context.Canceled) {
			n.t.Errorf("Run = %v, want context canceled", err)
		}
	}
}

func (n *node) join(ps ...*fakePeer) {
	for _, p := range ps {
		n.Join(p, p.chain.Status())
	}
}

// reaches waits until the head is at a number, in fake time.
func (n *node) reaches(number uint64, within time.Duration) time.Duration {
	n.t.Helper()
	began := time.Now()
	for {
		synctest.Wait()
		snap := n.Status()
		n.mostMem = max(n.mostMem, snap.BytesHeld+snap.BytesAsked)
		if n.chain.Status().Head.Number >= number {
			return time.Since(began)
		}
		if time.Since(began) > within {
			n.t.Fatalf("head is %v after %v, want %d; status %+v; charges %v; events %v", n.chain.Status().Head, within, number, snap, n.charges, n.told())
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func (n *node) charged(id peer.ID) map[peer.Offense]int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return maps.Clone(n.charges[id])
}

// innocent fails the test if one of the peers was charged.
func (n *node) innocent(ps ...*fakePeer) {
	n.t.Helper()
	for _, p := range ps {
		if got := n.charged(p.id); len(got) > 0 {
			n.t.Errorf("honest peer %s was charged: %v", p.id, got)
		}
	}
}

func (n *node) told() []Event {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]Event(nil), n.events...)
}

// saw reports whether an event of a kind was told.
func saw[E Event](n *node) (E, bool) {
	for _, e := range n.told() {
		if e, ok := e.(E); ok {
			return e, true
		}
	}
	var zero E
	return zero, false
}

// source is a chain of n blocks, and a fresh one that has its genesis only.
func source(n int) (full, fresh *chaintest.Chain) {
	cfg := chaintest.Config{Seed: 7}
	full, fresh = chaintest.NewChain(cfg), chaintest.NewChain(cfg)
	full.Extend(n)
	return full, fresh
}

func names(prefix string, n int, c *chaintest.Chain) []*fakePeer {
	var ps []*fakePeer
	for i := range n {
		ps = append(ps, newFake(fmt.Sprintf("%s%02d", prefix, i), c))
	}
	return ps
}
