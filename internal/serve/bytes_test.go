package serve_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/internal/serve"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// countedChain counts the bytes of the blocks that are read, which have extra
// bytes beside the body.
type countedChain struct {
	fakeChain
	extra int
	read  atomic.Int64
}

func (c *countedChain) Block(ctx context.Context, ref chain.Ref) (chain.Block, error) {
	b, err := c.fakeChain.Block(ctx, ref)
	if err == nil {
		b.Extra = make([]byte, c.extra)
		c.read.Add(int64(b.Size()))
	}
	return b, err
}

func hashesTo(n int) (out []chain.Hash) {
	for i := range n {
		out = append(out, hash(uint64(i)))
	}
	return out
}

// Threat R-03: what a wire cannot send is neither read nor paid for: an answer
// ends at the bytes that the request names.
func TestRequestsNameTheBytesOfTheirAnswer(t *testing.T) {
	const most = 20_000
	hashes := hashesTo(200)
	for name, ask := range map[string]wire.Request{
		"bodies":   wire.GetBodies{Hashes: hashes, MaxBytes: most},
		"blocks":   wire.GetBlocksByHash{Hashes: hashes, MaxBytes: most},
		"receipts": wire.GetReceipts{Hashes: hashes, MaxBytes: most},
	} {
		c := &countedChain{fakeChain: fakeChain{head: 300, size: 1000}, extra: 1000}
		s := serve.New(serve.Config{Chain: c, Budget: budget(), MaxWait: -1})
		for range 3 { // 60,000 bytes of the 100 KiB that there are
			resp, err := s.Serve(t.Context(), alice, ask)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			got := 0
			switch r := resp.(type) {
			case wire.Bodies:
				for _, b := range r.Bodies {
					got += len(b.Body) + len(b.Extra)
				}
			case wire.Blocks:
				for _, b := range r.Blocks {
					got += b.Size()
				}
			case wire.Receipts:
				for _, b := range r.Receipts {
					got += len(b)
				}
			}
			if got > most || got < most-3000 {
				t.Errorf("%s: %d bytes were given, want at most %d and nearly as many", name, got, most)
			}
		}
		if read := c.read.Load() / 3; read > 2*most+5000 {
			t.Errorf("%s: %d bytes were read for an answer of %d", name, read, most)
		}
	}
}

// Where receipts are asked for apart, a body brings none, and is not paid for as
// if it did.
func TestBodiesLeaveReceiptsOut(t *testing.T) {
	c := &countedChain{fakeChain: fakeChain{head: 300, size: 1000}, extra: 3000}
	s := serve.New(serve.Config{Chain: c, ReceiptsApart: true, Budget: budget(), MaxWait: -1})
	for range 5 {
		resp, err := s.Serve(t.Context(), alice, wire.GetBodies{Hashes: hashesTo(200), MaxBytes: 15_000})
		if err != nil {
			t.Fatal(err)
		}
		bodies := resp.(wire.Bodies).Bodies
		if len(bodies) != 15 || len(bodies[0].Body) != 1000 || bodies[0].Extra != nil {
			t.Errorf("%d bodies, the first of %d bytes and %d beside it; want 15 without", len(bodies), len(bodies[0].Body), len(bodies[0].Extra))
		}
	}
}

// Threat R-04: blocks that have none of the receipts asked for are read no
// further than an answer is long, and cost what was read.
func TestReadingInVainIsBoundedAndPaid(t *testing.T) {
	c := &countedChain{fakeChain: fakeChain{head: 300, size: 10_000}}
	s := serve.New(serve.Config{Chain: c, Budget: budget(), MaxWait: -1})
	ask := wire.GetReceipts{Hashes: hashesTo(200), MaxBytes: 60_000}
	_, err := s.Serve(t.Context(), alice, ask)
	wantRefusal(t, err, wire.RefusedNotFound, "")
	if read := c.read.Load(); read < 60_000 || read > 75_000 {
		t.Errorf("%d bytes were read, want about 60,000", read)
	}
	_, err = s.Serve(t.Context(), alice, ask)
	wantRefusal(t, err, wire.RefusedLimit, serve.PeerBytes)
}

// blockTxs finds each transaction in a block of its own.
type blockTxs struct {
	size      int
	takes     time.Duration
	now, most atomic.Int64
	found     atomic.Int64
}

func (l *blockTxs) Tx(ctx context.Context, h chain.Hash) (chain.Tx, error) {
	tx, _, err := l.FindTx(ctx, h)
	return tx, err
}

func (l *blockTxs) FindTx(_ context.Context, h chain.Hash) (chain.Tx, int, error) {
	if n := l.now.Add(1); n > l.most.Load() {
		l.most.Store(n)
	}
	defer l.now.Add(-1)
	time.Sleep(l.takes)
	l.found.Add(1)
	return chain.Tx{Hash: h, Bytes: make([]byte, 100)}, l.size, nil
}

// Threat R-01: a transaction that a block has costs reading the block. A peer
// that asks for many pays for what was read, which is as much as an answer may
// have; it is large work, in turn with the rest of it.
func TestImportedTransactionsCostTheirBlocks(t *testing.T) {
	const mib = 1 << 20
	synctest.Test(t, func(t *testing.T) {
		l := &blockTxs{size: mib, takes: time.Millisecond}
		s := serve.New(serve.Config{Chain: &fakeChain{}, Txs: l, MaxWait: time.Minute, ServeTime: time.Minute, Budget: serve.Budget{PeerRate: mib, PeerBurst: 12 * mib}})
		ask := wire.GetTxs{Hashes: hashesTo(1000)}
		var wg sync.WaitGroup
		for i := range 10 {
			wg.Go(func() {
				resp, err := s.Serve(t.Context(), from(fmt.Sprint("greedy", i), "127.0.0.1"), ask)
				if err != nil || len(resp.(wire.TxList).Txs) != 10 {
					t.Errorf("Serve = %T, %v; want 10 transactions of 10 blocks", resp, err)
				}
			})
		}
		wg.Wait()
		if n := l.found.Load(); n != 10*10 {
			t.Errorf("%d blocks were read, want 100", n)
		}
		if want := int64(max(runtime.GOMAXPROCS(0)-1, 1)); l.most.Load() > want {
			t.Errorf("%d read at once, at most %d may", l.most.Load(), want)
		}
		began := time.Now()
		for range 2 {
			if _, err := s.Serve(t.Context(), from("greedy0", "127.0.0.1"), ask); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(began); took < 7*time.Second { // of 30 MiB in all 12 were there
			t.Errorf("two more answers took %v: what was read is not paid for", took)
		}
	})
}

// What is asked for of the pool alone is no work of the ledger's.
func TestPooledTransactionsAreNotLookedForInBlocks(t *testing.T) {
	l := &ledger{}
	s := serve.New(serve.Config{Chain: &fakeChain{}, Pool: pool{}, Txs: l})
	resp, err := s.Serve(t.Context(), alice, wire.GetTxs{Hashes: []chain.Hash{hash(2), hash(1), hash(3)}, Pooled: true})
	if txs := resp.(wire.TxList).Txs; err != nil || len(txs) != 1 || txs[0].Hash != hash(1) || len(l.asked) > 0 {
		t.Errorf("txs = %v, %v; the ledger was asked for %v", resp, err, l.asked)
	}
	_, err = s.Serve(t.Context(), alice, wire.GetTxs{Hashes: []chain.Hash{hash(2)}, Pooled: true})
	wantRefusal(t, err, wire.RefusedNotFound, "")
	none := serve.New(serve.Config{Chain: &fakeChain{}, Txs: l})
	_, err = none.Serve(t.Context(), alice, wire.GetTxs{Hashes: []chain.Hash{hash(2)}, Pooled: true})
	wantRefusal(t, err, wire.RefusedUnsupported, "")
}

// What a peer may not have yet is not there for it, wherever it is; what it was
// given is told on.
func TestTransactionsAreGivenToWhoMayHaveThem(t *testing.T) {
	var gave []chain.Hash
	s := serve.New(serve.Config{
		Chain: &fakeChain{}, Pool: pool{}, Txs: &ledger{},
		May: func(to peer.ID, h chain.Hash) bool { return to == "alice" || h == hash(2) },
		Gave: func(to peer.ID, txs []chain.Tx) {
			for _, tx := range txs {
				gave = append(gave, tx.Hash)
			}
		},
	})
	bob := from("bob", "192.0.2.2")
	_, err := s.Serve(t.Context(), bob, wire.GetTxs{Hashes: []chain.Hash{hash(1)}})
	wantRefusal(t, err, wire.RefusedNotFound, "")
	for who, want := range map[*session][]chain.Hash{bob: {hash(2)}, alice: {hash(1), hash(2)}} {
		gave = nil
		resp, err := s.Serve(t.Context(), who, wire.GetTxs{Hashes: []chain.Hash{hash(1), hash(2), hash(3)}})
		if err != nil || len(resp.(wire.TxList).Txs) != len(want) || !slices.Equal(gave, want) {
			t.Errorf("%s was given %v, %v, and it is told as %v; want %v", who.info.ID, resp, err, gave, want)
		}
	}
}
