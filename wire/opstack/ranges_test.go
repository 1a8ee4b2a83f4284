package opstack

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	libhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
	starling "github.com/starlingp2p/starling/wire/internal/codec"
	"github.com/starlingp2p/starling/wire/internal/codec/codectest"
	"github.com/starlingp2p/starling/wire/internal/reqresp"
	"github.com/starlingp2p/starling/wire/opstack/codec"
	"github.com/starlingp2p/starling/wire/wiretest"
)

// servingRanges answers requests for ranges, and counts them.
func servingRanges(asked *atomic.Int32) *wiretest.Host {
	return &wiretest.Host{OnServe: func(_ context.Context, _ wire.Session, r wire.Request) (wire.Response, error) {
		asked.Add(1)
		rg := r.(wire.GetBlocks).Range
		var out wire.Blocks
		for n := rg.From.Number; n < rg.From.Number+uint64(rg.Count); n++ {
			out.Blocks = append(out.Blocks, blockOf(n, 100))
		}
		return out, nil
	}}
}

func rangeOf(from uint64, count int) wire.GetBlocks {
	return wire.GetBlocks{Range: chain.Range{From: chain.Ref{Number: from}, Count: count}}
}

// checkAnswer checks that an answer holds a range.
func checkAnswer(t *testing.T, resp wire.Response, err error, from uint64, count int) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	blocks := resp.(wire.Blocks).Blocks
	if len(blocks) != count {
		t.Fatalf("%d blocks, want %d", len(blocks), count)
	}
	for i, b := range blocks {
		want := blockOf(from+uint64(i), 100)
		if b.Ref() != want.Ref() || !slices.Equal(b.Body, want.Body) || !slices.Equal(b.Extra, want.Extra) || !codec.CheckHash(b) {
			t.Fatalf("block %d is %v", from+uint64(i), b.Ref())
		}
	}
}

// Starlings know each other by what they speak, and ask for many blocks at
// once; to op-nodes nothing of it is sent.
func TestStarlingsAskEachOtherForRanges(t *testing.T) {
	inBubble(t, func(p *place) {
		var asked atomic.Int32
		ha, hb := &wiretest.Host{}, servingRanges(&asked)
		a, b := p.wire(1, ha), p.wire(2, hb)
		if err := a.Dial(p.t.Context(), b.Addrs()[0]); err != nil {
			t.Fatal(err)
		}
		s := ha.Sessions()[0]
		if got := s.(wire.Batcher).Batch(); got.Blocks != maxRange {
			t.Errorf("a Starling takes %+v in one request", got)
		}
		start := time.Now()
		resp, err := s.Request(p.t.Context(), rangeOf(1, 1000))
		checkAnswer(t, resp, err, 1, maxRange)
		if took := time.Since(start); took > time.Second || asked.Load() != 1 {
			t.Errorf("%d blocks took %v and %d requests", maxRange, took, asked.Load())
		}
		if got := a.Score(s.Peer().ID); got.ValidResponses != 1 {
			t.Errorf("score %+v", got)
		}
		if n := a.Traffic()[wire.TrafficKey{Protocol: onNumber, Type: "request"}].Messages; n != 0 {
			t.Errorf("%d requests by number", n)
		}
		_, other := p.server(3, a, ha, nil)
		if got := other.(wire.Batcher).Batch(); got.Blocks != 1 {
			t.Errorf("an op-node takes %+v in one request", got)
		}
		if bytes, _ := a.node.Load().shared.Used(); bytes != 0 {
			t.Errorf("%d bytes are held in the end", bytes)
		}
	})
}

func TestRangesTravelOverTCP(t *testing.T) {
	var asked atomic.Int32
	ha, hb := &wiretest.Host{}, servingRanges(&asked)
	quiet := func(c *Config) { c.DiscoverOn = "" }
	a, b := onLoopback(t, ha, quiet), onLoopback(t, hb, quiet)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := a.Dial(ctx, b.Addrs()[0]); err != nil {
		t.Fatal(err)
	}
	resp, err := ha.Sessions()[0].Request(ctx, rangeOf(5, 200))
	checkAnswer(t, resp, err, 5, 200)
	if asked.Load() != 1 {
		t.Errorf("%d requests, want one", asked.Load())
	}
}

// starling is a bare host that says that it is a Starling and answers each
// request as the test says.
func (p *place) starling(i int, w *Wire, h *wiretest.Host, answer func(wire.Request, network.Stream)) (libhost.Host, wire.Session) {
	p.t.Helper()
	b := p.bare(i, codec.Protocols(chainID)[0])
	onRanges(b, answer)
	p.connect(b, w, h)
	id := peer.ID(b.ID().String())
	p.until("the session", func() bool { return sessionWith(h, id) != nil }, h)
	return b, sessionWith(h, id)
}

// onRanges has a bare host answer what Starlings ask each other.
func onRanges(b libhost.Host, answer func(wire.Request, network.Stream)) {
	b.SetStreamHandler(rangeProtocol(chainID), func(s network.Stream) {
		defer s.Close()
		raw, err := codectest.Unpack(bufio.NewReader(s), starling.MaxRequest)
		if err != nil {
			return
		}
		if req, err := starling.DecodeRequest(raw); err == nil {
			answer(req.Ask, s)
		}
	})
}

func answerOf(blocks ...chain.Block) []byte {
	var raw []byte
	for _, b := range blocks {
		raw = starling.AppendAnswerBlock(raw, b)
	}
	return codectest.Pack(starling.AppendAnswerEnd(raw, starling.End{}))
}

// Threats L-01, L-04 and L-08: blocks that are not what they say, not those that
// were asked for, out of order or more than that are faults of the Starling that
// sent them: P4, P3 for the order, P1 for what nobody asked for.
func TestLyingRangesAreFaults(t *testing.T) {
	good := func(n uint64) chain.Block { return blockOf(n, 100) }
	changed := func(f func(*chain.Block)) chain.Block {
		b := good(2)
		f(&b)
		return b
	}
	for name, tt := range map[string]struct {
		answer []chain.Block
		want   peer.Offense
		sev    peer.Severity
	}{
		"another number":    {[]chain.Block{good(2)}, peer.WrongBlock, peer.Fatal},
		"twice the same":    {[]chain.Block{good(1), good(1)}, peer.UnorderedAnswer, peer.High},
		"the wrong way":     {[]chain.Block{good(1), good(0)}, peer.UnorderedAnswer, peer.High},
		"another hash":      {[]chain.Block{good(1), changed(func(b *chain.Block) { b.Header.Ref.Hash[0]++ })}, peer.WrongBlock, peer.Fatal},
		"another parent":    {[]chain.Block{good(1), changed(func(b *chain.Block) { b.Header.Parent[0]++ })}, peer.WrongBlock, peer.Fatal},
		"another time":      {[]chain.Block{good(1), changed(func(b *chain.Block) { b.Header.Time = b.Header.Time.Add(1) })}, peer.WrongBlock, peer.Fatal},
		"no header":         {[]chain.Block{good(1), changed(func(b *chain.Block) { b.Header.Bytes = []byte{0xc0} })}, peer.BadEncoding, peer.Fatal},
		"withdrawals":       {[]chain.Block{good(1), changed(func(b *chain.Block) { b.Extra = make([]byte, 65+44) })}, peer.WrongBlock, peer.Fatal},
		"more than allowed": {[]chain.Block{good(1), good(2), good(3), good(4)}, peer.Unasked, peer.Low},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(p *place) {
				h := &wiretest.Host{}
				w := p.wire(1, h)
				_, s := p.starling(2, w, h, func(_ wire.Request, st network.Stream) { st.Write(answerOf(tt.answer...)) })
				_, err := s.Request(p.t.Context(), rangeOf(1, 3))
				var fault *wire.Fault
				if !errors.As(err, &fault) || fault.Offense != tt.want || tt.want.Severity() != tt.sev {
					t.Errorf("%v, want %s (%s)", err, tt.want, tt.sev)
				}
				if got := w.Score(s.Peer().ID); got.RejectedPayloads != 1 {
					t.Errorf("score %+v", got)
				}
			})
		})
	}
}

// Threat L-03: of an answer with a hole what is before the hole is taken, and it
// costs the Starling that left it (mid); an answer that ends early costs nothing.
func TestAnAnswerWithAHoleIsTakenUpToIt(t *testing.T) {
	inBubble(t, func(p *place) {
		h := &wiretest.Host{}
		w := p.wire(1, h)
		var answer []chain.Block
		_, s := p.starling(2, w, h, func(_ wire.Request, st network.Stream) { st.Write(answerOf(answer...)) })
		at := func(numbers ...uint64) (out []chain.Block) {
			for _, n := range numbers {
				out = append(out, blockOf(n, 100))
			}
			return out
		}
		answer = at(7, 8, 9)
		resp, err := s.Request(p.t.Context(), rangeOf(7, 5))
		checkAnswer(t, resp, err, 7, 3)
		if got := offenses(h); len(got) > 0 {
			t.Errorf("charged with %v for an answer that ends early", got)
		}
		answer = at(7, 8, 10, 11)
		resp, err = s.Request(p.t.Context(), rangeOf(7, 5))
		checkAnswer(t, resp, err, 7, 2)
		answer = at(11, 10, 8, 7) // down
		resp, err = s.Request(p.t.Context(), wire.GetBlocks{Range: chain.Range{From: chain.Ref{Number: 11}, Count: 5, Reverse: true}})
		if blocks := resp.(wire.Blocks).Blocks; err != nil || len(blocks) != 2 || blocks[1].Ref() != answer[1].Ref() {
			t.Errorf("down to a hole: %d blocks, %v; want two", len(blocks), err)
		}
		if n := charged(t, h, peer.ShortAnswer, peer.Mid); n != 2 {
			t.Errorf("%d charges for two holes", n)
		}
		if got := w.Score(s.Peer().ID); got.RejectedPayloads < 1.9 {
			t.Errorf("score %+v", got)
		}
	})
}

// What we lack costs a peer nothing, whatever it costs to be refused by one that
// names our limits; an answer without a block is none.
func TestOurOwnShortagesCostAStarlingNothing(t *testing.T) {
	inBubble(t, func(p *place) {
		h := &wiretest.Host{}
		w := p.wire(1, h)
		refuse := false
		_, s := p.starling(2, w, h, func(_ wire.Request, st network.Stream) {
			if refuse {
				st.Write(codectest.Pack(starling.AppendAnswerEnd(nil, starling.End{Code: wire.RefusedBusy, Limit: "decode-budget"})))
				return
			}
			st.Write(answerOf())
		})
		s.(*session).requests.Limiter.Announced(1, 1) // the least: an answer, and then some seconds
		if _, err := s.Request(p.t.Context(), rangeOf(1, maxRange)); !errors.Is(err, &wire.Refusal{Code: wire.RefusedNotFound}) {
			t.Errorf("an empty answer: %v, want not found", err)
		}
		s.(*session).requests.Limiter.Settle(0, 1<<20, 0, nil)
		short, cancel := context.WithTimeout(p.t.Context(), time.Second)
		defer cancel()
		var limit *wire.Refusal
		if _, err := s.Request(short, rangeOf(1, maxRange)); !errors.As(err, &limit) || limit.Limit != "self-limit" {
			t.Errorf("over the pace: %v, want self-limit", err)
		}
		if got := w.Score(s.Peer().ID); got.ValidResponses+got.ErrorResponses != 0 {
			t.Errorf("score %+v, want none", got)
		}
		refuse = true
		time.Sleep(time.Minute)
		if _, err := s.Request(p.t.Context(), rangeOf(1, 1)); !errors.As(err, &limit) || limit.Limit != "decode-budget" {
			t.Errorf("refused: %v", err)
		}
		if got := w.Score(s.Peer().ID); got.ErrorResponses == 0 {
			t.Errorf("score %+v: a peer's refusal passes for ours", got)
		}
	})
}

// Threats M-03 and C-03: Starlings that announce ten megabytes and then stop
// hold no more than the decode budget and one answer, and that only for a while.
func TestStarlingsThatStopHoldLittleMemory(t *testing.T) {
	const budget, maxAnswer = 24 << 20, 10 << 20
	inBubble(t, func(p *place) {
		h := &wiretest.Host{}
		w := p.wire(1, h, func(c *Config) { c.DecodeBudget = budget })
		part := append(binary.AppendUvarint(nil, 10<<20), make([]byte, 5<<20)...) // of form "plain"
		var sessions []wire.Session
		for i := range 8 {
			_, s := p.starling(2+i, w, h, func(_ wire.Request, st network.Stream) {
				st.Write(part)
				io.Copy(io.Discard, st)
			})
			sessions = append(sessions, s)
		}
		ctx, cancel := context.WithTimeout(p.t.Context(), 20*time.Second)
		defer cancel()
		ended := make(chan error, 32)
		for _, s := range sessions {
			for range 4 {
				go func() {
					_, err := s.Request(ctx, rangeOf(1, 3))
					ended <- err
				}()
			}
		}
		most := 0
		for range 100 {
			time.Sleep(200 * time.Millisecond)
			synctest.Wait() // or one half of the sum is older than the other
			bytes, _ := w.node.Load().shared.Used()
			most = max(most, bytes)
		}
		for range 32 {
			if <-ended == nil {
				t.Error("half an answer is taken for one")
			}
		}
		if most > budget+maxAnswer { // one that has begun may take what is not there
			t.Errorf("%d bytes were held, want at most %d and an answer", most, budget)
		}
		time.Sleep(time.Second)
		if bytes, _ := w.node.Load().shared.Used(); bytes != 0 {
			t.Errorf("%d bytes are held in the end", bytes)
		}
		if got := offenses(h); len(got) > 0 {
			t.Errorf("charged with %v", got)
		}
		for _, s := range sessions { // whose streams are still being written
			s.Close(peer.Requested)
		}
	})
}

// Threat R-04: a server answers for ranges by number, and for nothing else; of a
// genesis that is an anchor there is no payload.
func TestOnlyRangesByNumberAreServed(t *testing.T) {
	anchor := chain.Block{Header: chain.Header{Ref: chain.Ref{Number: 0, Hash: chain.Hash{1}}, Bytes: []byte{0}}}
	inBubble(t, func(p *place) {
		hb := &wiretest.Host{OnServe: func(_ context.Context, _ wire.Session, r wire.Request) (wire.Response, error) {
			rg := r.(wire.GetBlocks).Range
			if rg.From.Number == 0 {
				return wire.Blocks{Blocks: []chain.Block{anchor, blockOf(1, 10)}}, nil
			}
			return wire.Blocks{Blocks: []chain.Block{blockOf(1, 10), anchor}}, nil
		}}
		ha := &wiretest.Host{}
		a, b := p.wire(1, ha), p.wire(2, hb)
		if err := a.Dial(p.t.Context(), b.Addrs()[0]); err != nil {
			t.Fatal(err)
		}
		s := ha.Sessions()[0].(*session)
		raw := func(r wire.Request) error {
			_, err := s.requests.Ask(p.t.Context(), r, func(ctx context.Context) (reqresp.Stream, error) { return s.stream(ctx, s.node.rangeProto) }, func(string, int, int) {}, func() bool { return false })
			return err
		}
		for _, r := range []wire.Request{wire.GetHeaders{Range: chain.Range{Count: 1}}, wire.GetTxs{Hashes: []chain.Hash{{1}}}, wire.GetBlocks{Range: chain.Range{From: chain.Ref{Hash: chain.Hash{1}}, Count: 1}}} {
			if err := raw(r); !errors.Is(err, &wire.Refusal{Code: wire.RefusedUnsupported}) {
				t.Errorf("%T: %v, want unsupported", r, err)
			}
		}
		if _, err := s.Request(p.t.Context(), rangeOf(0, 2)); !errors.Is(err, &wire.Refusal{Code: wire.RefusedNotFound}) {
			t.Errorf("from the anchor on: %v, want not found", err)
		}
		back := wire.GetBlocks{Range: chain.Range{From: chain.Ref{Number: 1}, Count: 2, Reverse: true}}
		if resp, err := s.Request(p.t.Context(), back); err != nil || len(resp.(wire.Blocks).Blocks) != 1 {
			t.Errorf("down to the anchor: %v, %v", resp, err)
		}
		if got := offenses(hb); len(got) > 0 {
			t.Errorf("charged with %v", got)
		}
	})
}
