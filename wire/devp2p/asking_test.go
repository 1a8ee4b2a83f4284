package devp2p

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ethereum/go-ethereum/rlp"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/sim/bed"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/devp2p/eth"
	"github.com/starlingp2p/starling/wire/internal/framed"
	"github.com/starlingp2p/starling/wire/internal/intake"
	"github.com/starlingp2p/starling/wire/wiretest"
)

// clogs is a Host whose answers fill the lane of a peer that does not read them.
func clogs() *wiretest.Host {
	body := append([]byte{0xf9, 0x40, 0x06}, append([]byte{0xf9, 0x40, 0x02, 0xb9, 0x3f, 0xff}, append(junkOf(0x3fff), 0xc0)...)...)
	return &wiretest.Host{OnServe: func(_ context.Context, _ wire.Session, r wire.Request) (wire.Response, error) {
		out := wire.Bodies{Hashes: r.(wire.GetBodies).Hashes}
		for range out.Hashes {
			out.Bodies = append(out.Bodies, wire.Body{Body: body})
		}
		return out, nil
	}}
}

// Threats L-08, M-03 and B-05: the ids of our questions can be guessed. A peer
// that reads nothing, so that none leaves, and answers them all the same with
// what is a thousand times as large once it is unpacked, holds no memory of ours
// when it is given up, and pays for answers that nobody asked for.
func TestAnswersToWhatHasNotLeftHoldNoMemory(t *testing.T) {
	bubble(t, func(t *testing.T, n *bed.Net) {
		n.SetLink(hostAddr(1), hostAddr(2), bed.Link{Latency: 20 * time.Millisecond, Queue: 64 << 10, Buffer: 64 << 10})
		a := start(t, n, 1, clogs(), func(c *Config) { c.DecodeBudget = 32 << 20 })
		b := dialBare(t, n, 2, a)
		b.shake(t, eth.V69, a)
		time.Sleep(time.Second)
		s := a.host.Sessions()[0]
		many := make([]chain.Hash, 120)
		for i := range uint64(4) {
			b.send(t, b.offset+eth.GetBlockBodiesMsg, eth.GetBlockBodies{ID: i, Hashes: many}.Append(nil))
		}
		time.Sleep(time.Second)
		zeros := make([]byte, eth.MaxMessage-1024)
		const rounds = 5 // of which two fill the budget
		for i := range uint64(rounds) {
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() {
				_, err := s.Request(ctx, wire.GetTxs{Hashes: []chain.Hash{{1}}})
				ended <- err
			}()
			time.Sleep(100 * time.Millisecond)
			b.send(t, b.offset+eth.PooledTransactionsMsg, eth.PooledTransactions{ID: i + 1, Txs: [][]byte{zeros}}.Append(nil))
			time.Sleep(2 * time.Second)
			cancel()
			if err := <-ended; !errors.Is(err, context.Canceled) {
				t.Fatalf("round %d: Request = %v, though nothing left", i, err)
			}
			if used := a.node.Load().budget.Used(); used != 0 {
				t.Fatalf("round %d: %d bytes of the budget are still taken", i, used)
			}
		}
		charged(t, a, peer.Unasked, peer.Low, rounds)
		b.Close()
		time.Sleep(time.Second)
		a.stop(t)
	})
}

// paged is a peer of eth/70 that answers a request for receipts page by page, as
// page says: with what blocks, and whether more of the last is to come.
func paged(t *testing.T, n *bed.Net, page func(first uint64) ([][]byte, bool), change ...func(*Config)) (a *running, s wire.Session, b *bare) {
	t.Helper()
	a = start(t, n, 1, nil, change...)
	b = dialBare(t, n, 2, a)
	b.shake(t, eth.V70, a)
	time.Sleep(time.Second)
	go func() {
		for {
			f, err := b.read(t)
			if err != nil {
				return
			}
			if f.Code == b.offset+eth.GetReceiptsMsg {
				if m, err := eth.DecodeGetReceipts(f.Payload, eth.V70); err == nil {
					blocks, more := page(m.First)
					b.send(t, b.offset+eth.ReceiptsMsg, framedReceipts(m.ID, blocks, more))
				}
			}
			f.Release()
		}
	}()
	return a, a.host.Sessions()[0], b
}

func framedReceipts(id uint64, blocks [][]byte, more bool) []byte {
	b, err := eth.Receipts{ID: id, Incomplete: more, Blocks: blocks}.Append(nil, eth.V70)
	if err != nil {
		panic(err)
	}
	return b
}

// loggedReceipts are n receipts of 50 KiB each.
func loggedReceipts(n int) []byte {
	list := make([]any, n)
	for i := range list {
		list[i] = []any{uint64(2), uint64(1), uint64(21000 * (i + 1)), []any{[]any{make([]byte, 20), []any{}, junkOf(50 << 10)}}}
	}
	b, err := rlp.EncodeToBytes(list)
	if err != nil {
		panic(err)
	}
	return b
}

// Threats B-05 and L-06: receipts that come page by page are in the decode
// budget while they do, stay within what the block's gas pays for and within a
// part of the budget, and come to an end however small the pages are; whatever
// becomes of them, all of it is given back.
func TestPagedReceiptsAreInTheBudget(t *testing.T) {
	header := headerOf(1) // of 30 million gas, of which none is used
	whole := loggedReceipts(200)
	for _, tt := range []struct {
		name    string
		page    func(first uint64) ([]byte, bool)
		headers bool
		budget  int // MiB
		charged map[peer.Offense]int
		ok      bool
		pages   int // at most
	}{
		{"honest", func(first uint64) ([]byte, bool) {
			part, more, err := eth.CutReceipts(whole, first, 2<<20)
			if err != nil {
				t.Error(err)
			}
			return part, more
		}, false, 64, map[peer.Offense]int{}, true, 100},
		{"more than there is memory for", func(uint64) ([]byte, bool) { return loggedReceipts(40), true }, false, 32, map[peer.Offense]int{}, false, 4},
		{"one receipt each", func(uint64) ([]byte, bool) { return receiptsFor(1), true }, false, 64, map[peer.Offense]int{}, false, 10},
		{"nothing, and more to come", func(uint64) ([]byte, bool) { return receiptsFor(0), true }, false, 64, map[peer.Offense]int{peer.ShortAnswer: 1}, false, 1},
		{"what no gas paid for", func(uint64) ([]byte, bool) { return receiptsFor(1000), true }, true, 64, map[peer.Offense]int{peer.WrongBlock: 1}, false, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, n *bed.Net) {
				var pages, most atomic.Int64
				var a *running
				a, s, b := paged(t, n, func(first uint64) ([][]byte, bool) {
					pages.Add(1)
					if used := a.node.Load().budget.Used(); used > most.Load() {
						most.Store(used)
					}
					if held := a.node.Load().paged.Load(); held < int64(first)*7 {
						t.Errorf("%d receipts are held in %d bytes", first, held)
					}
					block, more := tt.page(first)
					return [][]byte{block}, more
				}, func(c *Config) { c.DecodeBudget = tt.budget << 20 })
				var headers []chain.Header
				if tt.headers {
					headers = []chain.Header{header}
				}
				got, err := s.(*session).askReceipts(t.Context(), []chain.Hash{header.Ref.Hash}, headers)
				if tt.ok && (err != nil || len(got.Receipts) != 1 || !bytes.Equal(got.Receipts[0], whole)) || !tt.ok && err == nil {
					t.Errorf("askReceipts = %d receipts, %v", len(got.Receipts), err)
				}
				if most.Load() > int64(tt.budget)<<20/2 {
					t.Errorf("%d bytes were taken", most.Load())
				}
				if pages.Load() > int64(tt.pages) {
					t.Errorf("%d pages were asked for, at most %d", pages.Load(), tt.pages)
				}
				time.Sleep(5 * time.Second)
				if used, paged := a.node.Load().budget.Used(), a.node.Load().paged.Load(); used != 0 || paged != 0 {
					t.Errorf("%d bytes of the budget are still taken, %d of pages", used, paged)
				}
				if got := offenses(a); !maps.Equal(got, tt.charged) {
					t.Errorf("charged with %v, want %v", got, tt.charged)
				}
				b.Close()
				time.Sleep(time.Second)
				a.stop(t)
			})
		})
	}
}

// Behind a block whose receipts took several answers the peer may have come to
// lack others, as after a reorganisation: what is left is told by the headers, and
// where these are not known nothing is taken that may be of another block.
func TestBlocksBehindPagesAreMatched(t *testing.T) {
	big, others := receiptsFor(20), []full{fullBlock(t, 2, 2), fullBlock(t, 3, 3), fullBlock(t, 4, 4)}
	hashes, headers := []chain.Hash{{1}}, make([]chain.Header, 1) // that of the first is not known
	for _, o := range others {
		hashes, headers = append(hashes, o.header.Ref.Hash), append(headers, o.header)
	}
	for _, tt := range []struct {
		name    string
		given   []int // of others
		headers []chain.Header
		want    []int
	}{
		{"all", []int{0, 1, 2}, headers, []int{0, 1, 2}},
		{"one left out", []int{1, 2}, headers, []int{1, 2}},
		{"cut short", []int{0}, headers, []int{0}},
		{"all, without headers", []int{0, 1, 2}, nil, []int{0, 1, 2}},
		{"one left out, without headers", []int{1, 2}, nil, nil},
		{"none", nil, headers, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, n *bed.Net) {
				a, s, b := paged(t, n, func(first uint64) ([][]byte, bool) {
					part, more, err := eth.CutReceipts(big, first, 100)
					if err != nil {
						t.Error(err)
					}
					out := [][]byte{part}
					if !more {
						for _, i := range tt.given {
							out = append(out, others[i].receipts)
						}
					}
					return out, more
				})
				got, err := s.(*session).askReceipts(t.Context(), hashes, tt.headers)
				wantHashes, want := hashes[:1:1], [][]byte{big}
				for _, i := range tt.want {
					wantHashes, want = append(wantHashes, hashes[1+i]), append(want, others[i].receipts)
				}
				if err != nil || !slices.Equal(got.Hashes, wantHashes) || !slices.EqualFunc(got.Receipts, want, bytes.Equal) {
					t.Errorf("askReceipts = %v, %v, want %v", got.Hashes, err, wantHashes)
				}
				if got := offenses(a); len(got) > 0 {
					t.Errorf("charged with %v", got)
				}
				b.Close()
				time.Sleep(time.Second)
				a.stop(t)
			})
		})
	}
}

// Pages of receipts wait a moment for memory that is free, and take no other: a
// peer decides how long they stay, and whoever decodes must not wait for that.
func TestPagesTakeNoMemoryThatIsNotThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &node{budget: intake.NewBudget(4 << 20)}
		full, err := n.budget.Take(t.Context(), 4<<20)
		if err != nil {
			t.Fatal(err)
		}
		p := n.pagingOf(chain.Hash{1}, nil)
		for page := 1; page <= 2; page++ {
			began := time.Now()
			if err := p.grow(t.Context(), page*100<<10); !errors.Is(err, framed.ErrStarved) || time.Since(began) > pageWait {
				t.Errorf("page %d, the budget full: %v after %v", page, err, time.Since(began))
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			more, err := n.budget.More(ctx, 1<<10)
			if cancel(); err != nil {
				t.Fatalf("after page %d a decoder has to wait for the peer: %v", page, err)
			}
			more()
		}
		full()
		for page := 1; page <= 2; page++ {
			if err := p.grow(t.Context(), page*100<<10); err != nil {
				t.Errorf("page %d, the budget free: %v", page, err)
			}
		}
		if used, paged := n.budget.Used(), n.paged.Load(); used != 200<<10 || paged != used {
			t.Errorf("%d bytes are taken, %d of pages", used, paged)
		}
		p.done()
		if used, paged := n.budget.Used(), n.paged.Load(); used != 0 || paged != 0 {
			t.Errorf("%d bytes are still taken, %d of pages", used, paged)
		}
	})
}
