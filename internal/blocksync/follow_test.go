package blocksync

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/chain/chaintest"
	"github.com/starlingp2p/starling/wire"
)

func TestGossipWithKnownParentIsImportedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		full, fresh := source(20)
		n := start(t, fresh, nil)
		p := newFake("p", full)
		n.join(p)
		n.reaches(20, time.Minute)
		before := p.kinds()
		for range 50 {
			for _, b := range full.Extend(1) {
				n.Offer(p, b)
			}
			if took := n.reaches(full.Head().Header.Ref.Number, time.Second); took > 10*time.Millisecond {
				t.Fatalf("import of a gossiped block took %v", took)
			}
		}
		if got := p.kinds(); got["headers"] != before["headers"] || got["bodies"] != before["bodies"] || got["blocks"] != before["blocks"] {
			t.Errorf("requests while following gossip: %v, before %v", got, before)
		}
		n.innocent(p)
	})
}

func TestGapAtTheTipIsFilled(t *testing.T) {
	for _, caps := range []wire.Caps{nativeCaps, blocksCaps, rangesCaps, hashCaps} {
		for _, missing := range []int{1, 3, 40, 700} {
			t.Run(caps.Name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					full, fresh := source(50)
					n := start(t, fresh, func(c *Config) { c.Caps = caps; c.BackwardOnly = true })
					ps := names("p", 3, full)
					n.join(ps...)
					if _, err := fresh.Import(t.Context(), blocksOf(t, full, 1, 50)); err != nil {
						t.Fatal(err)
					}
					time.Sleep(time.Second)
					// The chain moved under the sync's feet before it was told of
					// anything; from here on blocks are missed.
					full.Extend(missing)
					for _, b := range full.Extend(2) {
						n.Offer(ps[0], b)
					}
					took := n.reaches(uint64(52+missing), 30*time.Second)
					t.Logf("%d missing: %v", missing, took)
					if missing <= 3 && took > 2*time.Second {
						t.Errorf("a gap of %d took %v", missing, took)
					}
					if _, ok := saw[GapClosed](n); !ok {
						t.Error("no GapClosed was told")
					}
					n.innocent(ps...)
					inOrder(t, n)
				})
			})
		}
	}
}

// blocksOf gives canonical blocks lo to hi.
func blocksOf(t *testing.T, c *chaintest.Chain, lo, hi uint64) []chain.Block {
	t.Helper()
	bs, err := c.Blocks(context.Background(), chain.Range{From: chain.Ref{Number: lo}, Count: int(hi - lo + 1)})
	if err != nil || len(bs) != int(hi-lo+1) {
		t.Fatalf("Blocks %d to %d = %d, %v", lo, hi, len(bs), err)
	}
	return bs
}

// inOrder checks that every block was imported after its parent, and once.
func inOrder(t *testing.T, n *node) {
	t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	done := map[chain.Hash]bool{n.chain.Genesis().Header.Ref.Hash: true}
	for i, ref := range n.order {
		b, err := n.chain.Block(context.Background(), ref)
		if err != nil {
			t.Fatalf("imported %v is not in the chain: %v", ref, err)
		}
		if i > 0 && !done[b.Header.Parent] {
			t.Fatalf("%v was imported before its parent", ref)
		}
		if done[ref.Hash] {
			t.Fatalf("%v was imported twice", ref)
		}
		done[ref.Hash] = true
	}
}

func TestTrustedTargetIsReachedBackwards(t *testing.T) {
	for _, caps := range []wire.Caps{nativeCaps, blocksCaps, rangesCaps, hashCaps} {
		t.Run(caps.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				full, fresh := source(3000)
				n := start(t, fresh, func(c *Config) { c.Caps = caps; c.BackwardOnly = true; c.MaxBytes = 4 << 20 })
				ps := names("p", 3, full)
				n.join(ps...)
				time.Sleep(time.Second)
				if h := fresh.Status().Head.Number; h != 0 {
					t.Fatalf("synced to %d without a target", h)
				}
				if err := n.SetTarget(t.Context(), full.Head().Ref()); err != nil {
					t.Fatal(err)
				}
				t.Log(n.reaches(3000, time.Minute), n.mostMem)
				n.innocent(ps...)
				inOrder(t, n)
				synctest.Wait()
				if got := n.Status(); got.Staged != 0 || got.BytesHeld != 0 {
					t.Errorf("status at the end = %+v", got)
				}
			})
		})
	}
}

// TestStagedBlocksSurviveACrash: what was staged is not fetched again. (S-01)
func TestStagedBlocksSurviveACrash(t *testing.T) {
	for _, caps := range []wire.Caps{nativeCaps, blocksCaps, rangesCaps} {
		t.Run(caps.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				full, fresh := source(3000)
				p := newFake("p", full)
				p.rate = 256 << 10
				n := start(t, fresh, func(c *Config) { c.Caps = caps; c.BackwardOnly = true })
				n.join(p)
				if err := n.SetTarget(t.Context(), full.Head().Ref()); err != nil {
					t.Fatal(err)
				}
				for range 3000 {
					if time.Sleep(10 * time.Millisecond); n.Status().Staged >= 800 {
						break
					}
				}
				n.kill()
				again := fresh.Reopen()
				refs, err := again.Staged(t.Context())
				if err != nil || len(refs) < 800 {
					t.Fatalf("Staged after the crash = %d, %v", len(refs), err)
				}
				p2 := newFake("p2", full)
				n2 := start(t, again, func(c *Config) { c.Caps = caps; c.BackwardOnly = true })
				n2.join(p2)
				n2.reaches(3000, time.Minute)
				for _, ref := range refs {
					if p2.bodies[ref.Hash] > 0 {
						t.Fatalf("staged block %v was fetched again", ref)
					}
				}
				n2.innocent(p2)
				inOrder(t, n2)
				if left, _ := again.Staged(t.Context()); len(left) > 0 {
					t.Errorf("%d blocks are left on the stage", len(left))
				}
			})
		})
	}
}

// TestHeavierForkIsTaken and the peer's branch from far below is found by
// probing. (L-07)
func TestHeavierForkIsTaken(t *testing.T) {
	for _, caps := range []wire.Caps{nativeCaps, rangesCaps, hashCaps} {
		t.Run(caps.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				full, mine := source(200)
				shared := blocksOf(t, full, 1, 170)
				if _, err := mine.Import(t.Context(), shared); err != nil {
					t.Fatal(err)
				}
				fork := mine.BuildOn(mine.Head().Header, 29, chaintest.Make{Branch: 5})
				if _, err := mine.Import(t.Context(), fork); err != nil {
					t.Fatal(err)
				}
				n := start(t, mine, func(c *Config) { c.Caps = caps })
				p := newFake("p", full)
				n.join(p)
				n.reaches(200, 20*time.Second)
				synctest.Wait()
				r, ok := saw[Reorg](n)
				if !ok || r.Depth != 29 {
					t.Errorf("Reorg = %+v, %v; want a depth of 29", r, ok)
				}
				n.innocent(p)
			})
		})
	}
}

// TestAProvenPeerDoesNotLeadWhereWeAre: who gave us our chain, and has no other,
// does not take the place of a stranger with a heavier one. (L-07)
func TestAProvenPeerDoesNotLeadWhereWeAre(t *testing.T) {
	for _, caps := range []wire.Caps{nativeCaps, rangesCaps, hashCaps} {
		t.Run(caps.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				heavy, light := source(60)
				if _, err := light.Import(t.Context(), blocksOf(t, heavy, 1, 20)); err != nil {
					t.Fatal(err)
				}
				if _, err := light.Import(t.Context(), light.BuildOn(light.Head().Header, 30, chaintest.Make{Branch: 5})); err != nil {
					t.Fatal(err)
				}
				_, mine := source(0)
				n := start(t, mine, func(c *Config) { c.Caps = caps })
				known := newFake("known", light)
				n.join(known)
				n.reaches(50, 20*time.Second)
				stranger := newFake("stranger", heavy)
				n.join(stranger)
				n.reaches(60, 20*time.Second)
				n.innocent(known, stranger)
			})
		})
	}
}

// TestForkThatIsTooDeepIsRefusedOnce: the chain's rule stands, with an alarm
// and without a loop. (L-07)
func TestForkThatIsTooDeepIsRefusedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := chaintest.Config{Seed: 7, MaxReorg: 1000}
		full := chaintest.NewChain(cfg)
		full.Extend(200)
		cfg.MaxReorg = 64
		mine := chaintest.NewChain(cfg)
		fork := mine.BuildOn(mine.Head().Header, 150, chaintest.Make{Branch: 5})
		if _, err := mine.Import(t.Context(), fork); err != nil {
			t.Fatal(err)
		}
		n := start(t, mine, nil)
		p := newFake("p", full)
		n.join(p)
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		told := 0
		for _, e := range n.told() {
			if _, ok := e.(ReorgRefused); ok {
				told++
			}
		}
		if told == 0 || told > 2 {
			t.Errorf("ReorgRefused was told %d times in ten minutes, want once or twice", told)
		}
		asked := p.kinds()
		if asked["headers"] > 60 || asked["bodies"] > 10 {
			t.Errorf("requests in ten minutes: %v", asked)
		}
		n.innocent(p)
		for _, b := range full.Extend(1) {
			n.Offer(p, b) // by gossip, the same fork
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if got := p.kinds(); got["headers"]+got["bodies"]+got["blocks"] > 100 {
			t.Errorf("requests after gossip: %v", got)
		}
		if mine.Status().Head.Number != 150 {
			t.Errorf("head = %v, want its own 150", mine.Status().Head)
		}
		n.innocent(p)
	})
}

// TestPartitionHealsWithinSeconds: ten minutes without peers, then one tip.
// (K-03)
func TestPartitionHealsWithinSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		full, mine := source(10)
		n := start(t, mine, nil)
		ps := names("p", 4, full)
		n.join(ps...)
		n.reaches(10, time.Minute)
		for _, p := range ps {
			n.Leave(p.id)
		}
		full.Extend(600)
		time.Sleep(10 * time.Minute)
		n.join(ps...)
		if took := n.reaches(610, 30*time.Second); took > 5*time.Second {
			t.Errorf("healed after %v", took)
		}
		n.innocent(ps...)
	})
}

// TestSilenceOfAllPeersHeals: the sessions stay, nothing is answered,
// claims are old; then everything comes back. (K-03)
func TestSilenceOfAllPeersHeals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		full, mine := source(10)
		n := start(t, mine, nil)
		ps := names("p", 4, full)
		cut := make(chan struct{})
		for _, p := range ps {
			p.lie = func(ctx context.Context, _ wire.Request, honest func() (wire.Response, error)) (wire.Response, error) {
				select {
				case <-cut:
					return honest()
				case <-ctx.Done():
					return nil, ctx.Err()
				}
			}
		}
		n.join(ps...)
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if got := n.Status(); got.StuckReason == "" {
			t.Errorf("status while nobody answers = %+v, want a reason", got)
		}
		full.Extend(600)
		for _, p := range ps {
			n.Claimed(p.id, full.Status())
		}
		close(cut)
		n.reaches(610, 30*time.Second)
	})
}

// TestOrphanOnTheStageDelaysNothing: what was staged for a branch that nobody
// has any more keeps no one from syncing.
func TestOrphanOnTheStageDelaysNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		full, mine := source(300)
		orphans := full.BuildOn(blocksOf(t, full, 40, 40)[0].Header, 200, chaintest.Make{Branch: 77})
		if err := mine.Stage(t.Context(), orphans[150:]); err != nil {
			t.Fatal(err)
		}
		n := start(t, mine, nil)
		ps := names("p", 3, full)
		n.join(ps...)
		if took := n.reaches(300, time.Minute); took > 10*time.Second {
			t.Errorf("synced after %v", took)
		}
		full.Extend(30)
		for _, p := range ps {
			n.Claimed(p.id, full.Status())
		}
		if took := n.reaches(330, time.Minute); took > 10*time.Second {
			t.Errorf("synced on after %v", took)
		}
		n.innocent(ps...)
	})
}

// TestStagedBlocksAreToldBeforeTheFirstImport: a sync backwards shows how far it is.
func TestStagedBlocksAreToldBeforeTheFirstImport(t *testing.T) {
	full, fresh := source(3000)
	w := newWorld(fresh, CoreConfig{Caps: nativeCaps, BackwardOnly: true})
	w.add(&actor{id: "p", chain: full, act: slowly(w, 256<<10)}, full.Status())
	w.step(Targeted{full.Head().Ref()})
	if !w.run(time.Minute, func() bool { return w.core.Snapshot().Fetched >= 800 }) {
		t.Fatalf("after a minute: %+v", w.core.Snapshot())
	}
	if h := fresh.Status().Head.Number; h != 0 {
		t.Errorf("%d blocks were imported before the path was whole", h)
	}
	w.run(time.Minute, func() bool { return fresh.Status().Head.Number == 3000 })
	w.run(time.Second, nil)
	if s := w.core.Snapshot(); s.Fetched != 0 || s.Head.Number != 3000 {
		t.Errorf("at the end %d are told, head %v", s.Fetched, s.Head)
	}
}
