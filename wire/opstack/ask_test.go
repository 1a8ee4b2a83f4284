package opstack

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"sync"
	"testing"
	"time"

	libhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/opstack/codec"
	"github.com/starlingp2p/starling/wire/wiretest"
)

// server is a bare host that answers requests as the test says; it gets the
// number that was asked for, and the stream behind it.
func (p *place) server(i int, w *Wire, h *wiretest.Host, answer func(uint64, network.Stream)) (libhost.Host, wire.Session) {
	p.t.Helper()
	name := codec.Protocols(chainID)[0]
	b := p.bare(i, name)
	b.SetStreamHandler(protocol.ID(name), func(s network.Stream) {
		defer s.Close()
		var raw [8]byte
		if _, err := io.ReadFull(s, raw[:]); err == nil {
			answer(binary.LittleEndian.Uint64(raw[:]), s)
		}
	})
	p.connect(b, w, h)
	id := peer.ID(b.ID().String())
	p.until("the session", func() bool { return sessionWith(h, id) != nil }, h)
	return b, sessionWith(h, id)
}

func sessionWith(h *wiretest.Host, id peer.ID) wire.Session {
	for _, s := range h.Sessions() {
		if s.Peer().ID == id {
			return s
		}
	}
	return nil
}

func blocksFrom(n uint64) wire.GetBlocks {
	return wire.GetBlocks{Range: chain.Range{From: chain.Ref{Number: n}, Count: 1}}
}

func envelopeOf(t *testing.T, b chain.Block) *codec.Envelope {
	t.Helper()
	e, err := codec.EnvelopeOf(b)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// Our requests keep to what op-node serves: 15 at once, then four a second, so
// that its server never makes another peer wait for us.
func TestWeAskAtThePaceThatOpNodeServes(t *testing.T) {
	inBubble(t, func(p *place) {
		h := &wiretest.Host{}
		w := p.wire(1, h)
		var mu sync.Mutex
		var at []time.Time
		_, s := p.server(2, w, h, func(n uint64, st network.Stream) {
			mu.Lock()
			at = append(at, time.Now())
			mu.Unlock()
			codec.WriteAnswer(st, envelopeOf(t, blockOf(n, 100)))
		})
		start := time.Now()
		var wg sync.WaitGroup
		for n := range uint64(60) {
			wg.Go(func() {
				resp, err := s.Request(p.t.Context(), blocksFrom(n+1))
				if err != nil || resp.(wire.Blocks).Blocks[0].Ref().Number != n+1 {
					t.Errorf("block %d: %v", n+1, err)
				}
			})
		}
		wg.Wait()
		// op-node's own limits are the bound: 110 % of (60-15)/4 s.
		if took := time.Since(start); took < 11*time.Second || took > 12400*time.Millisecond {
			t.Errorf("60 blocks took %v, want (60-15)/4 s", took)
		}
		for i := range at { // in any window of time no more than the server allows
			for j := i; j < len(at); j++ {
				if most := 15.5 + 4*at[j].Sub(at[i]).Seconds(); float64(j-i+1) > most {
					t.Fatalf("%d requests within %v", j-i+1, at[j].Sub(at[i]))
				}
			}
		}
		if got := w.Score(s.Peer().ID); got.ValidResponses < 5 || got.Total < 2.5 || got.ErrorResponses != 0 {
			t.Errorf("score %+v", got)
		}
	})
}

// Threat Z-03: a server may take its time; nothing is charged, least of all
// before 21 s, and other requests of the session go on.
func TestASilentServerIsNotCharged(t *testing.T) {
	inBubble(t, func(p *place) {
		h := &wiretest.Host{}
		w := p.wire(1, h)
		hold := make(chan struct{})
		_, s := p.server(2, w, h, func(n uint64, st network.Stream) {
			switch n {
			case 1:
				<-hold
			case 2: // as long as op-node makes somebody wait
				time.Sleep(20 * time.Second)
			}
			codec.WriteAnswer(st, envelopeOf(t, blockOf(n, 100)))
		})
		defer close(hold)
		var wg sync.WaitGroup
		wg.Go(func() {
			start := time.Now()
			_, err := s.Request(p.t.Context(), blocksFrom(1))
			if took := time.Since(start); !errors.Is(err, context.DeadlineExceeded) || took < 21*time.Second || took > requestTime+time.Second {
				t.Errorf("the silent one: %v after %v", err, took)
			}
		})
		for n := uint64(2); n <= 3; n++ {
			wg.Go(func() {
				if _, err := s.Request(p.t.Context(), blocksFrom(n)); err != nil {
					t.Errorf("block %d: %v", n, err)
				}
			})
		}
		wg.Wait()
		if got := offenses(h); len(got) > 0 {
			t.Errorf("charged with %v", got)
		}
	})
}

// Threat L-01: another block than the one asked for is a fault that can be
// checked, and so is one whose hash is not its own.
// Threat B-02: an answer that does not end is cut.
func TestLyingAnswersAreFaults(t *testing.T) {
	wrongHash := envelopeOf(t, blockOf(3, 100))
	wrongHash.BlockHash[0]++
	answers := map[uint64]struct {
		write func(io.Writer)
		want  peer.Offense
	}{
		1: {func(w io.Writer) { codec.WriteAnswer(w, envelopeOf(t, blockOf(2, 100))) }, peer.WrongBlock},
		3: {func(w io.Writer) { codec.WriteAnswer(w, wrongHash) }, peer.WrongBlock},
		4: {func(w io.Writer) { w.Write([]byte{0, 9, 0, 0, 0}) }, peer.BadEncoding},
		5: {func(w io.Writer) { w.Write([]byte{0, 1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8}) }, peer.BadEncoding},
		6: {func(w io.Writer) { w.Write([]byte{0, 1}) }, peer.TruncatedFrame},
		7: {func(w io.Writer) { w.Write([]byte{0, 0, 0, 0, 0}) }, peer.BadEncoding}, // a V1 answer where V4 is due
		8: {func(io.Writer) {}, peer.TruncatedFrame},
	}
	inBubble(t, func(p *place) {
		h := &wiretest.Host{}
		w := p.wire(1, h)
		_, s := p.server(2, w, h, func(n uint64, st network.Stream) { answers[n].write(st) })
		for n := uint64(1); n <= 8; n++ {
			a, ok := answers[n]
			if !ok {
				continue
			}
			_, err := s.Request(p.t.Context(), blocksFrom(n))
			var fault *wire.Fault
			if !errors.As(err, &fault) || fault.Offense != a.want {
				t.Errorf("answer %d: %v, want %s", n, err, a.want)
			}
		}
		if got := w.Score(s.Peer().ID); got.RejectedPayloads < 1 || got.Total > -20 {
			t.Errorf("score %+v", got)
		}
	})
}

// What a peer lacks, or will not serve, is a refusal: the caller asks another
// peer, and this one is asked less often if it says that it is busy.
func TestRefusalsOfAServer(t *testing.T) {
	inBubble(t, func(p *place) {
		h := &wiretest.Host{}
		w := p.wire(1, h)
		_, s := p.server(2, w, h, func(n uint64, st network.Stream) {
			st.Write([]byte{byte(n), 0}) // Kona adds a byte
		})
		for n, want := range map[uint64]wire.RefusalCode{1: wire.RefusedNotFound, 2: wire.RefusedBadRequest, 3: wire.RefusedBusy, 9: wire.RefusedBusy} {
			if _, err := s.Request(p.t.Context(), blocksFrom(n)); !errors.Is(err, &wire.Refusal{Code: want}) {
				t.Errorf("result %d: %v, want %v", n, err, want)
			}
		}
		if got := s.(*session).pace.now; got >= askRate {
			t.Errorf("a busy peer is asked %v times a second", got)
		}
		if got := w.Score(s.Peer().ID); got.ErrorResponses < 2 || got.RejectedPayloads != 0 {
			t.Errorf("score %+v", got)
		}
	})
}

func TestScoresFadeWhileConnectedAndAreKept(t *testing.T) {
	s := newScores(2 * time.Second)
	now := time.Now()
	s.joined("a")
	for range 30 {
		s.valid("a")
		s.error("a")
		s.rejected("a")
	}
	w := &Wire{scores: s}
	if got := w.Score("a"); got.ValidResponses != 10 || got.ErrorResponses != 9 || got.RejectedPayloads != 20 || got.Total != 5-9-400 {
		t.Errorf("caps: %+v", got)
	}
	s.step(now)
	if got := w.Score("a").ValidResponses; got < 9.26 || got > 9.262 { // op-node: 0.926118728 a slot
		t.Errorf("after a slot: %v", got)
	}
	for range 59 {
		s.step(now)
	}
	if got := w.Score("a").RejectedPayloads; got < 0.19 || got > 0.21 {
		t.Errorf("after ten epochs: %v, want a hundredth", got)
	}
	s.gone("a")
	s.step(now.Add(10 * time.Minute))
	if got := w.Score("a").RejectedPayloads; got < 0.19 {
		t.Errorf("gone for ten minutes: %v, want no change", got)
	}
	s.step(now.Add(25 * time.Minute))
	if got := w.Score("a"); got != (AppScore{}) {
		t.Errorf("gone for 25 minutes: %+v", got)
	}
}

// Threat C-03: large answers of one peer hold no more than its share of memory;
// what is over is given up at nobody's cost, and all is given back.
func TestLargeAnswersAreBoundedInMemory(t *testing.T) {
	big := envelopeOf(t, blockOf(1, 9<<20))
	inBubble(t, func(p *place) {
		h := &wiretest.Host{}
		w := p.wire(1, h)
		_, s := p.server(2, w, h, func(n uint64, st network.Stream) { codec.WriteAnswer(st, big) })
		for range 2 { // as before, all was given back
			var wg sync.WaitGroup
			var mu sync.Mutex
			starved := 0
			for range 8 {
				wg.Go(func() {
					_, err := s.Request(p.t.Context(), blocksFrom(1))
					mu.Lock()
					defer mu.Unlock()
					if errors.Is(err, errStarved) {
						starved++
					} else if err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			if starved == 0 {
				t.Error("eight answers of 9 MiB were all held at once")
			}
			if _, err := s.Request(p.t.Context(), blocksFrom(1)); err != nil {
				t.Errorf("one alone: %v", err)
			}
		}
		if !s.(*session).held.own.TryAcquire(heldByPeer) {
			t.Error("memory was not given back")
		}
		if got := offenses(h); len(got) > 0 {
			t.Errorf("charged with %v", got)
		}
	})
}
