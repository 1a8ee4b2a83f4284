package reqresp

import (
	"errors"
	"testing"
	"testing/synctest"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/wire"
)

// Threat Z-02: sessions that ask for the largest answers and never read them
// hold all of the node's memory for answers. Who reads its own gets on: it has a
// share, in which answers are short.
func TestSlowReadersLeaveAShareForOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := NewShared(64 << 20)
		block := chain.Block{Body: make([]byte, 20<<10)}
		serve := func(r wire.Request) (wire.Response, error) {
			var out wire.Blocks
			for range r.(wire.GetBlocks).Range.Count {
				out.Blocks = append(out.Blocks, block)
			}
			return out, nil
		}
		// Their answers are made, and never written.
		widest := wire.GetBlocks{Range: chain.Range{Count: 800, MaxBytes: 16 << 20}}
		for range 16 {
			p := shared.Peer()
			defer p.Close()
			p.out.answering(t.Context(), widest, serve)
		}
		honest := shared.Peer()
		defer honest.Close()
		for range 3 {
			resp, free, err := honest.out.answering(t.Context(), widest, serve)
			if err != nil {
				t.Fatalf("an honest peer is refused: %v", err)
			}
			if n, items := sizeOf(resp); items == 0 || int64(n) > shared.out.share {
				t.Errorf("it is given %d blocks of %d bytes, of a share of %d", items, n, shared.out.share)
			}
			// The share is one: a second request waits, and is refused.
			var busy *wire.Refusal
			if _, _, err := honest.out.answering(t.Context(), widest, serve); !errors.As(err, &busy) || busy.Limit != "answer-memory" {
				t.Errorf("a second answer meanwhile: %v", err)
			}
			free()
		}
		failure := errors.New("no disk")
		if _, _, err := honest.out.answering(t.Context(), widest, func(wire.Request) (wire.Response, error) { return nil, failure }); !errors.Is(err, failure) {
			t.Errorf("a failure is %v", err)
		}
		func() {
			defer func() { recover() }()
			honest.out.answering(t.Context(), widest, func(wire.Request) (wire.Response, error) { panic("a bug") })
		}()
		if !honest.out.own.TryAcquire(1) || honest.out.reserved.Load() != 0 {
			t.Errorf("after a failure and a panic the share is in use, %d bytes are reserved", honest.out.reserved.Load())
		}
	})
}

// One large answer makes nothing else dear, and is forgotten: short
// answers of other kinds go on.
func TestLargeItemsAreTheirOwnKinds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := NewShared(64 << 20)
		p := shared.Peer()
		defer p.Close()
		header, app := wire.GetHeaders{Range: chain.Range{Count: 1}}, wire.AppRequest{}
		give := func(n int) func(wire.Request) (wire.Response, error) {
			return func(wire.Request) (wire.Response, error) { return wire.AppResponse{Bytes: make([]byte, n)}, nil }
		}
		headers := func(wire.Request) (wire.Response, error) { return wire.Headers{Headers: make([]chain.Header, 1)}, nil }
		_, free, err := p.out.answering(t.Context(), app, give(10<<20))
		if err != nil {
			t.Fatal(err)
		}
		free()
		if got := p.out.guess(app); got < 10<<20 {
			t.Errorf("an application's answer is taken for %d bytes", got)
		}
		if got := p.out.guess(header); got != leastItem {
			t.Errorf("a header is taken for %d bytes, want %d", got, leastItem)
		}
		if !shared.out.free.TryAcquire(shared.out.size) {
			t.Fatal("memory is missing")
		}
		_, free, err = p.out.answering(t.Context(), header, headers)
		if err != nil {
			t.Errorf("a header is refused: %v", err)
		}
		free()
		shared.out.free.Release(shared.out.size)
		for range 60 {
			if _, free, err = p.out.answering(t.Context(), app, give(100)); err != nil {
				t.Fatal(err)
			}
			free()
		}
		if got := p.out.guess(app); got != leastItem {
			t.Errorf("after 60 small answers one is taken for %d bytes, want %d", got, leastItem)
		}
	})
}

// Whatever is asked for, a short answer asks the chain for no more than fits.
func TestShortenedRequestsAskForLess(t *testing.T) {
	hashes := make([]chain.Hash, 100)
	for _, r := range []wire.Request{
		wire.GetHeaders{Range: chain.Range{Count: 100}},
		wire.GetBlocks{Range: chain.Range{Count: 100, MaxBytes: 1 << 20}},
		wire.GetBodies{Hashes: hashes},
		wire.GetBlocksByHash{Hashes: hashes},
		wire.GetTxs{Hashes: hashes},
	} {
		var n, bytes int
		switch q := shorten(r, 1000, 7).(type) {
		case wire.GetHeaders:
			n, bytes = q.Range.Count, q.Range.MaxBytes
		case wire.GetBlocks:
			n, bytes = q.Range.Count, q.Range.MaxBytes
		case wire.GetBodies:
			n, bytes = len(q.Hashes), 1000
		case wire.GetBlocksByHash:
			n, bytes = len(q.Hashes), 1000
		case wire.GetTxs:
			n, bytes = len(q.Hashes), 1000
		}
		if n != 7 || bytes != 1000 {
			t.Errorf("of %T %d items of %d bytes are left, want 7 of 1000", r, n, bytes)
		}
	}
	if len(hashes) != 100 {
		t.Error("the asker's list was changed")
	}
}
