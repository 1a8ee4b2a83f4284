package serve_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"testing"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/internal/serve"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

var alice = from("alice", "192.0.2.1")

// M-05: counts of nothing, of too much, and ranges that would wrap give less,
// never more.
func TestRangesNeverServeMoreThanAsked(t *testing.T) {
	c := &fakeChain{head: 5000, size: 10}
	s := serve.New(serve.Config{Chain: c})
	tests := []struct {
		from    uint64
		count   int
		skip    int
		reverse bool
		want    int // -1: not found
	}{
		{1, 0, 0, false, 0},
		{1, -5, 0, false, 0},
		{1, 1, 0, false, 1},
		{1, 256, 0, false, 256},
		{1, 257, 0, false, 256},
		{1, math.MaxInt32, 0, false, 256},
		{1, math.MaxInt, math.MaxInt, false, 1},
		{4999, 10, 0, false, 2},
		{1 << 63, 10, 0, false, -1},
		{math.MaxUint64, 10, 0, false, -1},
		{math.MaxUint64 - 1, 10, math.MaxInt, false, -1},
	}
	for _, tt := range tests {
		r := chain.Range{From: chain.Ref{Number: tt.from}, Count: tt.count, Skip: tt.skip, Reverse: tt.reverse}
		resp, err := s.Serve(t.Context(), alice, wire.GetBlocks{Range: r})
		if tt.want < 0 {
			wantRefusal(t, err, wire.RefusedNotFound, "")
			continue
		}
		if err != nil || len(resp.(wire.Blocks).Blocks) != tt.want {
			t.Errorf("%+v: %d blocks, %v; want %d", tt, len(resp.(wire.Blocks).Blocks), err, tt.want)
		}
	}
}

// rangeChain tells which range reached it.
type rangeChain struct {
	chain.Reader
	got chain.Range
}

func (c *rangeChain) Headers(_ context.Context, r chain.Range) ([]chain.Header, error) {
	c.got = r
	return make([]chain.Header, 5000), nil // more than asked: it lies
}

func TestRangesAreCutBeforeTheChainSeesThem(t *testing.T) {
	c := &rangeChain{}
	s := serve.New(serve.Config{Chain: c})
	tests := []struct{ in, want chain.Range }{
		{chain.Range{From: chain.Ref{Number: math.MaxUint64 - 2}, Count: 10}, chain.Range{Count: 3}},
		{chain.Range{From: chain.Ref{Number: 2}, Count: 10, Reverse: true}, chain.Range{Count: 3}},
		{chain.Range{From: chain.Ref{Number: 10}, Count: 10, Skip: 4, Reverse: true}, chain.Range{Count: 3}},
		{chain.Range{From: chain.Ref{Hash: hash(1)}, Count: 1 << 30, Skip: -3}, chain.Range{Count: 1024}},
	}
	for _, tt := range tests {
		resp, err := s.Serve(t.Context(), alice, wire.GetHeaders{Range: tt.in})
		if err != nil || c.got.Count != tt.want.Count || c.got.Skip < 0 || c.got.MaxBytes != 10<<20 {
			t.Errorf("chain saw %+v, %v; want a count of %d", c.got, err, tt.want.Count)
		}
		if n := len(resp.(wire.Headers).Headers); n != tt.want.Count {
			t.Errorf("served %d headers, want %d", n, tt.want.Count)
		}
	}
}

// an answer is cut at its bytes, but gives one item.
func TestAnswersAreBoundedInBytes(t *testing.T) {
	c := &fakeChain{head: 300, size: 1000}
	s := serve.New(serve.Config{Chain: c, AnswerMax: 4900})
	var hashes []chain.Hash
	for n := range uint64(300) {
		hashes = append(hashes, hash(n))
	}
	for _, r := range []wire.Request{getBlocks(0, 200), wire.GetBlocksByHash{Hashes: hashes}, wire.GetBodies{Hashes: hashes}} {
		resp, err := s.Serve(t.Context(), alice, r)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		switch resp := resp.(type) {
		case wire.Blocks:
			n = len(resp.Blocks)
		case wire.Bodies:
			n = len(resp.Bodies)
		}
		if n != 4 {
			t.Errorf("%T: %d items of 1000 bytes and more in 4900, want 4", r, n)
		}
	}
	one := serve.New(serve.Config{Chain: c, AnswerMax: 10})
	if resp, err := one.Serve(t.Context(), alice, getBlocks(1, 5)); err != nil || len(resp.(wire.Blocks).Blocks) != 1 {
		t.Errorf("too large an item: %v, %v", resp, err)
	}
}

// what is not there is no fault; a zero hash names nothing.
func TestUnknownBlocksAreNotFound(t *testing.T) {
	var ch charges
	s := serve.New(serve.Config{Chain: &fakeChain{head: 10}, Charge: ch.charge})
	for _, r := range []wire.Request{
		getBlocks(11, 5),
		wire.GetBlocksByHash{Hashes: []chain.Hash{{}}},
		wire.GetBodies{Hashes: []chain.Hash{hash(99), {}}},
	} {
		_, err := s.Serve(t.Context(), alice, r)
		wantRefusal(t, err, wire.RefusedNotFound, "")
	}
	resp, err := s.Serve(t.Context(), alice, wire.GetBodies{Hashes: []chain.Hash{hash(99), hash(3), {}}})
	if b := resp.(wire.Bodies); err != nil || len(b.Bodies) != 1 || b.Hashes[0] != hash(3) {
		t.Errorf("Bodies = %+v, %v", resp, err)
	}
	if got := s.Counters().Refused["not-found"]; got != 3 {
		t.Errorf("counted %d, want 3", got)
	}
	ch.none(t)
}

type pool struct{ chain.TxPool }

func (pool) Get(h chain.Hash) (chain.Tx, bool) {
	return chain.Tx{Hash: h, Bytes: []byte("pool")}, h == hash(1)
}

type ledger struct{ asked []chain.Hash }

func (l *ledger) Tx(_ context.Context, h chain.Hash) (chain.Tx, error) {
	l.asked = append(l.asked, h)
	if h == hash(2) {
		return chain.Tx{Hash: h, Bytes: []byte("ledger")}, nil
	}
	return chain.Tx{}, chain.ErrNotFound
}

func TestTransactionsComeFromThePoolThenTheLedger(t *testing.T) {
	l := &ledger{}
	s := serve.New(serve.Config{Chain: &fakeChain{}, Pool: pool{}, Txs: l})
	resp, err := s.Serve(t.Context(), alice, wire.GetTxs{Hashes: []chain.Hash{hash(1), hash(2), hash(3)}})
	txs := resp.(wire.TxList).Txs
	if err != nil || len(txs) != 2 || string(txs[0].Bytes) != "pool" || string(txs[1].Bytes) != "ledger" || len(l.asked) != 2 {
		t.Errorf("txs = %v, %v; the ledger was asked for %v", resp, err, l.asked)
	}
	_, err = s.Serve(t.Context(), alice, wire.GetTxs{Hashes: []chain.Hash{hash(3)}})
	wantRefusal(t, err, wire.RefusedNotFound, "")
}

func TestKindsThatNobodyAnswersAreUnsupported(t *testing.T) {
	s := serve.New(serve.Config{Chain: &fakeChain{}})
	for _, r := range []wire.Request{wire.GetTxs{Hashes: []chain.Hash{hash(1)}}, wire.GetAddrs{Max: 1}, wire.AppRequest{}} {
		_, err := s.Serve(t.Context(), alice, r)
		wantRefusal(t, err, wire.RefusedUnsupported, "")
	}
}

func TestAddressesAreBounded(t *testing.T) {
	s := serve.New(serve.Config{Chain: &fakeChain{}, Addrs: func(_ context.Context, n int) []peer.Addr { return make([]peer.Addr, n+7) }})
	for asked, want := range map[int]int{0: 0, -1: 0, 5: 5, math.MaxInt: 128} {
		resp, err := s.Serve(t.Context(), alice, wire.GetAddrs{Max: asked})
		if err != nil || len(resp.(wire.Addrs).Addrs) != want {
			t.Errorf("GetAddrs{%d} = %d, %v; want %d", asked, len(resp.(wire.Addrs).Addrs), err, want)
		}
	}
}

// Corrupt data is refused and told to our log; it is no peer's fault.
func TestCorruptDataIsNeverServed(t *testing.T) {
	var log bytes.Buffer
	var ch charges
	s := serve.New(serve.Config{
		Chain: &fakeChain{head: 5, fails: fmt.Errorf("ledger: block 3: %w", chain.ErrCorrupt)}, Charge: ch.charge,
		Logger: slog.New(slog.NewTextHandler(&log, nil)),
	})
	for range 1000 { // C-07: one line, not a thousand
		_, err := s.Serve(t.Context(), alice, getBlocks(1, 1))
		why := wantRefusal(t, err, wire.RefusedInternal, "")
		if why.Text != "" || errors.Is(err, chain.ErrCorrupt) {
			t.Fatalf("told the peer %v", err)
		}
	}
	if n := strings.Count(log.String(), "level=ERROR"); n != 1 || !strings.Contains(log.String(), "block 3") {
		t.Errorf("%d error lines:\n%.300s", n, log.String())
	}
	ch.none(t)
}

// M-12: a panic costs its peer, and nobody else anything.
func TestPanickingHandlerIsCaughtAndCharged(t *testing.T) {
	var ch charges
	var log bytes.Buffer
	s := serve.New(serve.Config{
		Chain: &fakeChain{head: 5}, Charge: ch.charge, AppWorkers: 1, Logger: slog.New(slog.NewTextHandler(&log, nil)),
		App: func(_ context.Context, _ peer.ID, r wire.AppRequest) ([]byte, error) {
			if string(r.Bytes) == "boom" {
				panic("boom")
			}
			return r.Bytes, nil
		},
	})
	for range 5 {
		_, err := s.Serve(t.Context(), alice, wire.AppRequest{Bytes: []byte("boom")})
		wantRefusal(t, err, wire.RefusedInternal, "")
	}
	if got := ch.of("alice", peer.BrokeHandler); got != 5 || s.Counters().Panics != 5 {
		t.Errorf("charged %d times, counted %d", got, s.Counters().Panics)
	}
	if resp, err := s.Serve(t.Context(), alice, wire.AppRequest{Bytes: []byte("hi")}); err != nil || string(resp.(wire.AppResponse).Bytes) != "hi" {
		t.Errorf("afterwards: %v, %v", resp, err)
	}
	if strings.Contains(log.String(), "level=ERROR") {
		t.Error("what a remote did reached the error log")
	}
}

func TestApplicationErrorsAreTold(t *testing.T) {
	fail := error(errors.New("secret"))
	s := serve.New(serve.Config{
		Chain: &fakeChain{}, AnswerMax: 100,
		App: func(context.Context, peer.ID, wire.AppRequest) ([]byte, error) { return make([]byte, 101), fail },
	})
	_, err := s.Serve(t.Context(), alice, wire.AppRequest{})
	wantRefusal(t, err, wire.RefusedInternal, "")
	fail = &wire.Refusal{Code: wire.RefusedBadRequest, Text: "what?"}
	_, err = s.Serve(t.Context(), alice, wire.AppRequest{})
	wantRefusal(t, err, wire.RefusedBadRequest, "")
	fail = nil // over its bound
	_, err = s.Serve(t.Context(), alice, wire.AppRequest{})
	wantRefusal(t, err, wire.RefusedInternal, "")
}
