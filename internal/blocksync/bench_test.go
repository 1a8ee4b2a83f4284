package blocksync

import (
	"context"
	"testing"
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/chain/chaintest"
	"github.com/starlingp2p/starling/wire"
)

// trusting is a chain that verifies nothing and takes everything at once, so
// that only the scheduler's own cost is measured.
type trusting struct {
	*chaintest.Chain
	status chain.Status
}

func (c *trusting) Status() chain.Status { return c.status }

func (c *trusting) Import(_ context.Context, bs []chain.Block) (int, error) {
	c.status.Head = bs[len(bs)-1].Ref()
	return len(bs), nil
}

// BenchmarkCoreForward is the cost of a synced block in the core: decisions
// only, four peers, no verification, no disk.
func BenchmarkCoreForward(b *testing.B) {
	const blocks = 4096
	full := chaintest.NewChain(chaintest.Config{Seed: 7})
	full.Extend(blocks)
	st := full.Status()
	b.ReportAllocs()
	for b.Loop() {
		fresh := &trusting{Chain: chaintest.NewChain(chaintest.Config{Seed: 7})}
		fresh.status = fresh.Chain.Status()
		driveCore(b, fresh, full, st)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/blocks, "ns/block")
}

// driveCore answers at once whatever the core asks.
func driveCore(b *testing.B, mine *trusting, full *chaintest.Chain, st chain.Status) {
	ctx := context.Background()
	c := NewCore(CoreConfig{Caps: nativeCaps})
	now := time.Unix(1, 0)
	queue := []Input{Ready{Status: mine.status, Head: mine.Genesis().Header}}
	for _, id := range []string{"a", "b", "c", "d"} {
		queue = append(queue, Joined{Peer: newFake(id, full).id, Claims: st})
	}
	for len(queue) > 0 {
		in := queue[0]
		queue = queue[1:]
		now = now.Add(100 * time.Microsecond)
		for _, e := range c.Step(now, in) {
			switch e := e.(type) {
			case Ask:
				r, err := serve(ctx, full, e.Request)
				queue = append(queue, Answered{ID: e.ID, Response: r, Err: err})
			case VerifyHeaders:
				queue = append(queue, VerifiedHeaders{ID: e.ID, N: len(e.Headers), Linked: true, Base: *e.Parent})
			case VerifyBodies:
				queue = append(queue, VerifiedBodies{ID: e.ID, Errs: make([]error, len(e.Blocks))})
			case Import:
				bs := make([]chain.Block, len(e.Items))
				for i, it := range e.Items {
					bs[i] = it.Block
				}
				n, err := mine.Import(ctx, bs)
				queue = append(queue, Imported{ID: e.ID, N: n, Err: err, Status: mine.status, Head: bs[n-1].Header})
			case Lookup:
				h := mine.Genesis().Header
				queue = append(queue, Looked{ID: e.ID, Found: []*chain.Header{&h}})
			}
		}
	}
	if mine.status.Head.Number != st.Head.Number {
		b.Fatalf("head is %d, want %d: %+v", mine.status.Head.Number, st.Head.Number, c.Snapshot())
	}
}

// BenchmarkCoreFollow is the cost of one gossiped block in the core.
func BenchmarkCoreFollow(b *testing.B) {
	c := NewCore(CoreConfig{Caps: nativeCaps})
	full := chaintest.NewChain(chaintest.Config{Seed: 7})
	now := time.Unix(1, 0)
	st := full.Status()
	c.Step(now, Ready{Status: st, Head: full.Genesis().Header})
	c.Step(now, Joined{Peer: "p", Claims: st})
	parent := full.Genesis().Header
	b.ReportAllocs()
	for n := uint64(1); b.Loop(); n++ {
		h := chain.Header{Ref: chain.Ref{Number: n}, Parent: parent.Ref.Hash, Bytes: parent.Bytes}
		h.Ref.Hash[0], h.Ref.Hash[1], h.Ref.Hash[2], h.Ref.Hash[3] = byte(n), byte(n>>8), byte(n>>16), 1
		in := []Input{Offered{From: "p", Block: chain.Block{Header: h}}}
		for len(in) > 0 {
			next := in[0]
			in = in[1:]
			for _, e := range c.Step(now, next) {
				switch e := e.(type) {
				case VerifyHeaders:
					in = append(in, VerifiedHeaders{ID: e.ID, N: 1})
				case VerifyBodies:
					in = append(in, VerifiedBodies{ID: e.ID, Errs: make([]error, 1)})
				case Import:
					st.Head = h.Ref
					in = append(in, Imported{ID: e.ID, N: 1, Status: st, Head: h})
				}
			}
		}
		parent = h
	}
	if c.Snapshot().Head.Number == 0 {
		b.Fatal("nothing was imported")
	}
}

// BenchmarkSync is a whole sync through the shell, in memory: 1,024 blocks of
// 64 KiB from two peers, verified.
func BenchmarkSync(b *testing.B) {
	const blocks, bytes = 1024, 64 << 10
	full := chaintest.NewChain(chaintest.Config{Seed: 7})
	if _, err := full.Import(b.Context(), full.BuildOn(full.Genesis().Header, blocks, chaintest.Make{Size: bytes})); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(blocks * bytes)
	for b.Loop() {
		fresh := chaintest.NewChain(chaintest.Config{Seed: 7})
		done := make(chan struct{})
		s, err := New(Config{Chain: fresh, Caps: nativeCaps, OnHead: func(st chain.Status, _ []chain.Ref) {
			if st.Head.Number == blocks {
				close(done)
			}
		}})
		if err != nil {
			b.Fatal(err)
		}
		ctx, stop := context.WithCancel(b.Context())
		ended := make(chan error, 1)
		go func() { ended <- s.Run(ctx) }()
		for _, id := range []string{"a", "b"} {
			p := newFake(id, full)
			p.rtt = 0
			s.Join(p, full.Status())
		}
		<-done
		stop()
		<-ended
	}
}

var _ wire.Session = (*fakePeer)(nil)
