package blocksync

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/chain/chaintest"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// TestQueuesOfAnyCapacity: buffers hide cycles, so none at all must do too.
func TestQueuesOfAnyCapacity(t *testing.T) {
	for _, capacity := range []int{-1, 1, 2} {
		t.Run(fmt.Sprint(max(capacity, 0)), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				full, fresh := source(400)
				n := start(t, fresh, func(c *Config) {
					c.OfferQueue, c.EventQueue, c.Inbox, c.Workers = capacity, capacity, capacity, 1
					c.MaxInFlightPerPeer = 1
				})
				ps := names("p", 3, full)
				n.join(ps...)
				n.reaches(400, time.Minute)
				for _, b := range full.Extend(5) {
					n.Offer(ps[0], b) // may be dropped, and is fetched then
				}
				for _, p := range ps {
					n.Claimed(p.id, full.Status())
				}
				n.reaches(405, 20*time.Second)
				n.innocent(ps...)
				inOrder(t, n)
			})
		})
	}
}

// TestStalledImportHoldsMemory: with the disk stalled, what is held stays
// bounded, the owner answers, and it goes on afterwards. (S-04)
func TestStalledImportHoldsMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := chaintest.Config{Seed: 7}
		full, fresh := chaintest.NewChain(cfg), chaintest.NewChain(cfg)
		if _, err := full.Import(t.Context(), full.BuildOn(full.Genesis().Header, 600, chaintest.Make{Size: 32 << 10})); err != nil {
			t.Fatal(err)
		}
		const bound = 4 << 20
		n := start(t, fresh, func(c *Config) { c.MaxBytes = bound })
		until := make(chan struct{})
		fresh.StallImport(until)
		ps := names("p", 3, full)
		n.join(ps...)
		for range 6000 {
			time.Sleep(10 * time.Millisecond)
			s := n.Status()
			n.mostMem = max(n.mostMem, s.BytesHeld+s.BytesAsked)
		}
		if n.mostMem > bound+2*maxAnswer { // one more than fits, and answers larger than was expected
			t.Errorf("%d bytes held and asked for, bound %d", n.mostMem, bound)
		}
		if s := n.Status(); !strings.Contains(s.StuckReason, "import") {
			t.Errorf("StuckReason = %q, want that it waits for the import", s.StuckReason)
		}
		close(until)
		n.reaches(600, time.Minute)
		n.innocent(ps...)
	})
}

// TestSlowListenersStallNobodyElse: OnEvent that never returns loses events,
// and counts them; requests and imports go on.
func TestSlowListenersStallNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		full, fresh := source(100)
		let := make(chan struct{})
		n := start(t, fresh, func(c *Config) {
			c.EventQueue = 1
			c.OnEvent = func(Event) { <-let }
		})
		p := newFake("p", full)
		n.join(p)
		n.reaches(100, time.Minute)
		for range 10 {
			n.Leave("p")
			full.Extend(20)
			n.join(p)
			n.reaches(full.Head().Header.Ref.Number, time.Minute)
			time.Sleep(time.Second)
		}
		if s := n.Status(); s.Drops.Events == 0 {
			t.Error("no event was dropped")
		}
		close(let)
	})
}

// TestOwnTroublePausesAndGoesOn: reads go on, the reason is stated, the blocks
// that were fetched are not fetched again. (S-03)
func TestOwnTroublePausesAndGoesOn(t *testing.T) {
	for name, trouble := range map[string]error{"full": chain.ErrFull, "I/O": syscall.EIO} {
		for _, backward := range []bool{false, true} {
			t.Run(fmt.Sprint(name, backward), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					full, fresh := source(2000)
					n := start(t, fresh, func(c *Config) { c.BackwardOnly = backward })
					fresh.FailImport(fmt.Errorf("writing: %w", trouble))
					fresh.FailStage(fmt.Errorf("writing: %w", trouble))
					p := newFake("p", full)
					n.join(p)
					if backward {
						if err := n.SetTarget(t.Context(), full.Head().Ref()); err != nil {
							t.Fatal(err)
						}
					}
					time.Sleep(10 * time.Minute)
					synctest.Wait()
					s := n.Status()
					if s.Mode != ModeStuck || !strings.Contains(s.StuckReason, trouble.Error()) {
						t.Errorf("status = %+v, want stuck for %v", s, trouble)
					}
					fresh.FailImport(nil)
					fresh.FailStage(nil)
					n.reaches(2000, 2*time.Minute)
					for h, k := range p.bodies {
						if k > 1 {
							t.Fatalf("body of %s was fetched %d times", h.Short(), k)
						}
					}
					n.innocent(p)
				})
			})
		}
	}
}

// TestCorruptStoreIsLeftToTheOperator: nothing is fetched any more.
func TestCorruptStoreIsLeftToTheOperator(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		full, fresh := source(300)
		n := start(t, fresh, nil)
		fresh.FailImport(chain.ErrCorrupt)
		p := newFake("p", full)
		n.join(p)
		time.Sleep(time.Minute)
		before := p.kinds()
		fresh.FailImport(nil)
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if s := n.Status(); s.Mode != ModeStuck || !strings.Contains(s.StuckReason, "corrupt") {
			t.Errorf("status = %+v, want stuck for corrupt data", s)
		}
		if after := p.kinds(); after["headers"] != before["headers"] || after["bodies"] != before["bodies"] {
			t.Errorf("requests went on: %v, then %v", before, after)
		}
		n.innocent(p)
	})
}

// TestQuarantineDropsTheFurthestAhead, and holds its bound.
func TestQuarantineDropsTheFurthestAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := chaintest.Config{Seed: 7}
		full, fresh := chaintest.NewChain(cfg), chaintest.NewChain(cfg)
		blocks := full.BuildOn(full.Genesis().Header, 300, chaintest.Make{Size: 32 << 10})
		if _, err := full.Import(t.Context(), blocks); err != nil {
			t.Fatal(err)
		}
		const bound = 4 << 20
		n := start(t, fresh, func(c *Config) { c.MaxBytes = bound })
		p := newFake("p", full)
		for i := len(blocks) - 1; i >= 100; i-- { // the first 100 are missing, and nobody is there
			n.Offer(p, blocks[i])
			synctest.Wait()
			if s := n.Status(); s.BytesHeld > bound/2 {
				t.Fatalf("quarantine holds %d bytes, bound %d", s.BytesHeld, bound/2)
			}
		}
		s := n.Status()
		if s.Drops.Quarantine == 0 || s.QueuedGaps != 1 {
			t.Errorf("status = %+v, want drops and one gap", s)
		}
		if s.StuckReason == "" || !strings.Contains(s.StuckReason, "no peers") {
			t.Errorf("StuckReason = %q, want no peers", s.StuckReason)
		}
		n.join(p)
		n.reaches(300, time.Minute)
		if k := p.bodies[blocks[100].Header.Ref.Hash]; k != 0 {
			t.Errorf("the lowest block in quarantine was fetched %d times", k)
		}
		n.innocent(p)
	})
}

func TestOfferNeverBlocksAndKeepsTheNearest(t *testing.T) {
	m := newMailbox(3, 1<<20)
	full := chaintest.NewChain(chaintest.Config{})
	for _, b := range full.Build(10) {
		m.offer("p", b)
	}
	l := m.open()
	if len(l.offers) != 3 || l.offers[2].Block.Header.Ref.Number != 3 || m.dropped() != 7 {
		t.Errorf("%d offers up to %d, %d dropped; want 1 to 3, and 7 dropped", len(l.offers), l.offers[len(l.offers)-1].Block.Header.Ref.Number, m.dropped())
	}
}

func TestImportLocalIsDurableAndTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, fresh := source(0)
		n := start(t, fresh, nil)
		for range 20 {
			b := fresh.Next(fresh.Head().Header, chaintest.Make{})
			if err := n.ImportLocal(t.Context(), b); err != nil {
				t.Fatal(err)
			}
			if fresh.Head().Ref() != b.Ref() {
				t.Fatalf("head = %v, want %v", fresh.Head().Ref(), b.Ref())
			}
		}
		synctest.Wait()
		n.mu.Lock()
		if len(n.heads) != 20 || n.heads[19].Head.Number != 20 {
			t.Errorf("%d head events", len(n.heads))
		}
		n.mu.Unlock()
		if s := n.Status(); s.Head.Number != 20 {
			t.Errorf("status = %+v, want head 20", s)
		}
		bad := fresh.Next(fresh.Head().Header, chaintest.Make{Forged: true})
		if err := n.ImportLocal(t.Context(), bad); !errors.Is(err, chain.ErrInvalid) {
			t.Errorf("ImportLocal of a forged block = %v, want ErrInvalid", err)
		}
		n.kill()
		if err := n.ImportLocal(context.Background(), bad); !errors.Is(err, ErrClosed) {
			t.Errorf("ImportLocal after Run = %v, want ErrClosed", err)
		}
		if err := n.SetTarget(context.Background(), bad.Ref()); !errors.Is(err, ErrClosed) {
			t.Errorf("SetTarget after Run = %v, want ErrClosed", err)
		}
		if err := n.Run(context.Background()); !errors.Is(err, ErrRunning) {
			t.Errorf("second Run = %v, want ErrRunning", err)
		}
	})
}

// TestStopsAtAnyTime: whatever is under way, Run returns with everything
// joined. (S-10)
func TestStopsAtAnyTime(t *testing.T) {
	for ms := 0; ms < 400; ms += 23 {
		synctest.Test(t, func(t *testing.T) {
			full, fresh := source(1000)
			n := start(t, fresh, nil)
			ps := names("p", 3, full)
			ps[0].lie = never
			n.join(ps...)
			time.Sleep(time.Duration(ms) * time.Millisecond)
			began := time.Now()
			n.kill()
			if took := time.Since(began); took > time.Second {
				t.Errorf("stopping at %d ms took %v", ms, took)
			}
		})
	}
}

// TestLimitedPeerIsLeftAloneForItsTime: a request before that would be a flood.
func TestLimitedPeerIsLeftAloneForItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		full, fresh := source(2000)
		n := start(t, fresh, nil)
		p := newFake("p", full)
		var refused, floods atomic.Int64
		var served atomic.Int64
		p.lie = func(_ context.Context, _ wire.Request, honest func() (wire.Response, error)) (wire.Response, error) {
			now := time.Now().UnixNano()
			// What crossed the refusal on its way is no flood.
			if since := time.Duration(now - refused.Load()); since > time.Millisecond && since < 2*time.Second {
				floods.Add(1)
			}
			if served.Add(1)%5 == 0 {
				refused.Store(now)
				return nil, &wire.Refusal{Code: wire.RefusedLimit, Limit: "peer-bytes", RetryAfter: 2 * time.Second}
			}
			return honest()
		}
		p.rtt = 0
		n.join(p)
		n.reaches(2000, 5*time.Minute)
		if f := floods.Load(); f > 0 {
			t.Errorf("%d requests inside the quiet time", f)
		}
		n.innocent(p)
	})
}

// TestUnverifiedHeadersOfALiarAreBounded: 1 MiB before anything is verified. (L-06)
func TestUnverifiedHeadersOfALiarAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		full, fresh := source(10)
		n := start(t, fresh, nil)
		liar := newFake("liar", full)
		liar.lie = onlyFor("headers", func(_ context.Context, rq wire.Request, _ func() (wire.Response, error)) (wire.Response, error) {
			r := rq.(wire.GetHeaders).Range
			var out wire.Headers
			parent := full.Genesis().Header.Ref.Hash
			for i := range r.Count { // they link, and are 64 KiB each
				h := chain.Header{Ref: chain.Ref{Number: r.From.Number + uint64(i), Hash: chain.Hash{byte(i), byte(i >> 8), 1}}, Parent: parent, Bytes: make([]byte, 64<<10)}
				parent = h.Ref.Hash
				out.Headers = append(out.Headers, h)
			}
			return out, nil
		})
		st := full.Status()
		st.Head = chain.Ref{Number: 1 << 30, Hash: chain.Hash{8}}
		st.Weight = chain.WeightOf(1 << 30)
		n.Join(liar, st)
		most := 0
		for range 2000 {
			time.Sleep(time.Millisecond)
			synctest.Wait()
			most = max(most, n.Status().BytesHeld)
		}
		if most > 1<<20+64<<10 {
			t.Errorf("%d bytes of a liar's headers were held", most)
		}
		if n.charged("liar")[peer.InvalidBlock] == 0 {
			t.Errorf("liar was charged %v", n.charged("liar"))
		}
	})
}
