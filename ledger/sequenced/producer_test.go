package sequenced_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/env"
	"github.com/starlingp2p/starling/ledger"
	"github.com/starlingp2p/starling/ledger/sequenced"
)

// produce runs a producer until stop is called.
func produce(t *testing.T, c sequenced.ProducerConfig) (p *sequenced.Producer, stop func()) {
	t.Helper()
	c.Key, c.Wall = key(1), env.SystemWall()
	p, err := sequenced.NewProducer(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	return p, func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Run = %v", err)
		}
	}
}

func TestProducerMakesABlockEachInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := family(t)
		l := open(t, f)
		p := pool(t, f, l)
		add(t, p, transfer(f, 2, 0, 10, 1), transfer(f, 2, 1, 5000, 1), transfer(f, 3, 0, 10, 1))
		var got []chain.Block
		_, stop := produce(t, sequenced.ProducerConfig{
			Family: f, State: l, Pool: p, Interval: 500 * time.Millisecond,
			Publish: func(ctx context.Context, b chain.Block) error {
				_, err := l.Import(ctx, []chain.Block{b})
				got = append(got, b)
				return err
			},
		})
		time.Sleep(5*time.Second + time.Millisecond)
		synctest.Wait()
		stop()
		if len(got) != 10 || l.Status().Head != got[9].Ref() {
			t.Fatalf("%d blocks, head %v; want 10", len(got), l.Status().Head)
		}
		for i, b := range got {
			if n, _ := f.Txs(b); i == 0 && len(n) != 2 || i > 0 && len(n) != 0 {
				t.Errorf("block %d has %d transactions", i, len(n))
			}
			if err := f.VerifyBody(b.Header, b.Body, nil); err != nil {
				t.Error(err)
			}
		}
		check(t, l)
	})
}

// A sequencer is not stopped by a network that does not take its blocks.
func TestProducingNeverWaitsForPublishing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := family(t)
		l := open(t, f)
		p, stop := produce(t, sequenced.ProducerConfig{
			Family: f, State: l, Pool: pool(t, f, l), Import: l.Import,
			Publish: func(ctx context.Context, b chain.Block) error { <-ctx.Done(); return ctx.Err() },
		})
		time.Sleep(20*time.Second + time.Millisecond)
		synctest.Wait()
		stop()
		made, _, dropped := p.Stats()
		if l.Status().Head.Number != 20 || made != 20 || dropped != 20-1-4 {
			t.Errorf("head %d, produced %d, dropped %d; want 20, 20, 15", l.Status().Head.Number, made, dropped)
		}
	})
}

// A block that is still being imported when the next is due is not handed over
// a second time.
func TestASlowImportIsNotStartedTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := family(t)
		l := open(t, f)
		seen := map[uint64]int{}
		_, stop := produce(t, sequenced.ProducerConfig{
			Family: f, State: l, Pool: pool(t, f, l),
			Publish: func(ctx context.Context, b chain.Block) error {
				seen[b.Ref().Number]++
				time.Sleep(2500 * time.Millisecond) // and a half intervals
				_, err := l.Import(ctx, []chain.Block{b})
				return err
			},
		})
		time.Sleep(30 * time.Second)
		synctest.Wait()
		stop()
		for n, times := range seen {
			if times > 1 {
				t.Errorf("block %d was handed over %d times", n, times)
			}
		}
		if len(seen) < 5 {
			t.Errorf("%d blocks in 30 s", len(seen))
		}
	})
}

// A block that could not be imported is offered again; its height is not
// signed a second time, though there are other transactions by then.
func TestProducerSignsAHeightOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := family(t)
		l := open(t, f)
		p := pool(t, f, l)
		signed := map[uint64]map[chain.Hash]bool{}
		fails := 0
		pr, stop := produce(t, sequenced.ProducerConfig{
			Family: f, State: l, Pool: p,
			Publish: func(ctx context.Context, b chain.Block) error {
				n := b.Ref().Number
				if signed[n] == nil {
					signed[n] = map[chain.Hash]bool{}
				}
				signed[n][b.Ref().Hash] = true
				if fails++; fails%4 != 0 {
					return chain.ErrFull
				}
				_, err := l.Import(ctx, []chain.Block{b})
				return err
			},
		})
		for i := range uint64(20) {
			time.Sleep(time.Second)
			p.Add([]chain.Tx{transfer(f, 2, i, 1, 0)})
		}
		synctest.Wait()
		stop()
		if _, skipped, _ := pr.Stats(); skipped == 0 || l.Status().Head.Number < 4 {
			t.Errorf("skipped %d, head %v", skipped, l.Status().Head)
		}
		for n, hs := range signed {
			if len(hs) != 1 {
				t.Errorf("%d blocks were signed at height %d", len(hs), n)
			}
		}
	})
}

// Threats S-01 and S-02: the power goes at any moment, again and again; of each
// height that a peer has seen there is one block.
func TestProducerSignsAHeightOnceAcrossCrashes(t *testing.T) {
	f := family(t)
	fs := vfs.NewCrashableMem()
	seen := map[uint64]chain.Hash{}
	for round := range 12 {
		synctest.Test(t, func(t *testing.T) {
			l, err := ledger.Open("chain", ledger.Options{Family: f, FS: fs})
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			var mu sync.Mutex
			var crashed *vfs.MemFS
			_, stop := produce(t, sequenced.ProducerConfig{
				Family: f, State: l, Pool: pool(t, f, l),
				Import: func(ctx context.Context, bs []chain.Block) (int, error) {
					n, err := l.Import(ctx, bs)
					mu.Lock()
					defer mu.Unlock()
					if bs[0].Ref().Number%3 == uint64(round%3) && crashed == nil {
						crashed = fs.CrashClone(vfs.CrashCloneCfg{})
					}
					return n, err
				},
				Publish: func(ctx context.Context, b chain.Block) error {
					mu.Lock()
					defer mu.Unlock()
					if crashed != nil && b.Ref().Number%3 != uint64(round%3) {
						return nil // after the power went
					}
					if h, ok := seen[b.Ref().Number]; ok && h != b.Ref().Hash {
						t.Errorf("height %d was signed twice", b.Ref().Number)
					}
					if crashed == nil || b.Ref().Number%3 == uint64(round%3) {
						seen[b.Ref().Number] = b.Ref().Hash
					}
					return nil
				},
			})
			for range 5 {
				time.Sleep(time.Second)
				synctest.Wait()
				mu.Lock()
				done := crashed != nil
				mu.Unlock()
				if done {
					break
				}
			}
			stop()
			fs = crashed
		})
	}
	if len(seen) < 10 {
		t.Errorf("%d heights were seen", len(seen))
	}
}

func TestProducerRefusesAnotherKey(t *testing.T) {
	f := family(t)
	l := open(t, f)
	c := sequenced.ProducerConfig{Family: f, State: l, Pool: pool(t, f, l), Import: l.Import, Key: key(2)}
	if _, err := sequenced.NewProducer(c); err == nil {
		t.Error("a key that is not the sequencer's was taken")
	}
	if _, err := sequenced.NewProducer(sequenced.ProducerConfig{}); err == nil {
		t.Error("an empty configuration was taken")
	}
}
