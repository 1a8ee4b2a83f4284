package blocksync

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/starlingp2p/starling/chain/chaintest"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// On a wire of one block a request, a peer that takes more is asked for more,
// and its answers are put in order with those of the others; when it leaves,
// the others bring what it was asked for.
func TestPeersThatTakeMoreAreAskedForMore(t *testing.T) {
	for _, leaves := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			full, fresh := source(2000)
			n := start(t, fresh, func(c *Config) { c.Caps = blocksCaps; c.BackwardOnly = true })
			ps := names("p", 3, full)
			ps[0].batch = wire.Batch{Blocks: 64, Bytes: 4 << 20}
			n.join(ps...)
			if err := n.SetTarget(t.Context(), full.Head().Ref()); err != nil {
				t.Fatal(err)
			}
			if leaves {
				time.Sleep(100 * time.Millisecond)
				n.Leave(ps[0].id)
			}
			t.Log(n.reaches(2000, time.Minute))
			n.innocent(ps...)
			inOrder(t, n)
			for i, p := range ps {
				p.mu.Lock()
				if one := p.longest <= 1; one != (i > 0) {
					t.Errorf("peer %d was asked for %d blocks at once", i, p.longest)
				}
				if i == 0 && !leaves && p.asked["blocks"] > 400 {
					t.Errorf("it was asked %d times", p.asked["blocks"])
				}
				p.mu.Unlock()
			}
		})
	}
}

// Threat L-01: whoever gives a block below one of its own that is not its
// ancestor lies for certain. Threat E-13: whoever gives another block than the
// trusted one and nothing else may be on another branch.
func TestAWrongBlockBelowOnesOwnIsALie(t *testing.T) {
	const wrong = 150
	for _, tt := range []struct {
		name string
		lies func(number uint64) bool
		want peer.Offense
	}{
		{"below its own", func(n uint64) bool { return n == wrong }, peer.WrongBlock},
		{"everywhere", func(uint64) bool { return true }, peer.UnlinkedAnswer},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				full, fresh := source(300)
				other := chaintest.NewChain(chaintest.Config{Seed: 7})
				if _, err := other.Import(t.Context(), other.BuildOn(other.Genesis().Header, 300, chaintest.Make{Branch: 5})); err != nil {
					t.Fatal(err)
				}
				n := start(t, fresh, func(c *Config) { c.Caps = blocksCaps; c.BackwardOnly = true })
				liar, honest := newFake("liar", full), newFake("honest", full)
				liar.lie = func(ctx context.Context, rq wire.Request, honest func() (wire.Response, error)) (wire.Response, error) {
					if tt.lies(rq.(wire.GetBlocks).Range.From.Number) {
						return serve(ctx, other, rq)
					}
					return honest()
				}
				n.join(liar)
				if err := n.SetTarget(t.Context(), full.Head().Ref()); err != nil {
					t.Fatal(err)
				}
				time.Sleep(10 * time.Second)
				n.join(honest)
				n.reaches(300, time.Minute)
				n.innocent(honest)
				got := n.charged(liar.id)
				if len(got) != 1 || got[tt.want] == 0 { // once in each attempt: here nobody drops it
					t.Errorf("the liar is charged with %v, want %s", got, tt.want)
				}
				liar.mu.Lock()
				defer liar.mu.Unlock()
				if liar.lies != got[tt.want] || honest.lies != 0 {
					t.Errorf("it is told of %d answers of the liar, want %d", liar.lies, got[tt.want])
				}
			})
		})
	}
}

// Threat Z-03: where the protocol lets a peer hold an answer back for a while,
// only longer silences count.
func TestSilencesThatTheWireAllowsAreNotCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		full, fresh := source(100)
		n := start(t, fresh, func(c *Config) {
			c.Caps = blocksCaps
			c.Caps.Patience, c.BackwardOnly = 21*time.Second, true
		})
		p := newFake("mute", full)
		p.lie = never
		n.join(p)
		if err := n.SetTarget(t.Context(), full.Head().Ref()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(90 * time.Second)
		n.innocent(p)
		time.Sleep(10 * time.Minute)
		if n.charged(p.id)[peer.NoAnswer] == 0 {
			t.Error("ten minutes of silence cost nothing")
		}
	})
}

// A gap that is filled within seconds is not written to the stage first; one that
// takes longer is, and so is what would take more memory.
func TestAFastGapIsNotStaged(t *testing.T) {
	for _, tt := range []struct {
		name  string
		rate  int // bytes a second
		bytes int // of memory
		stage bool
	}{
		{"fast", 64 << 20, 64 << 20, false},
		{"slow", 1 << 20, 64 << 20, true},
		{"large", 64 << 20, 2 << 20, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := chaintest.Config{Seed: 7}
				full, fresh := chaintest.NewChain(cfg), chaintest.NewChain(cfg)
				if _, err := full.Import(t.Context(), full.BuildOn(full.Genesis().Header, 400, chaintest.Make{Size: 32 << 10})); err != nil {
					t.Fatal(err)
				}
				n := start(t, fresh, func(c *Config) { c.Caps, c.BackwardOnly, c.MaxBytes = rangesCaps, true, tt.bytes })
				p := newFake("p", full)
				p.rate, p.rtt = tt.rate, 2*time.Millisecond
				n.join(p)
				if err := n.SetTarget(t.Context(), full.Head().Ref()); err != nil {
					t.Fatal(err)
				}
				staged := 0
				for fresh.Status().Head.Number < 400 {
					time.Sleep(time.Millisecond)
					synctest.Wait()
					staged = max(staged, n.Status().Staged)
					if n.Status().BytesHeld > tt.bytes+2*maxAnswer {
						t.Fatalf("%d bytes are held", n.Status().BytesHeld)
					}
				}
				if (staged > 0) != tt.stage {
					t.Errorf("%d blocks were staged", staged)
				}
			})
		})
	}
}
