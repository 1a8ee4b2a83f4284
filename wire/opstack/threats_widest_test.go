package opstack

import (
	"bufio"
	"crypto/rand"
	"sync"
	"testing"
	"time"

	libhost "github.com/libp2p/go-libp2p/core/host"
	libpeer "github.com/libp2p/go-libp2p/core/peer"

	"github.com/starlingp2p/starling"
	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	codecs "github.com/starlingp2p/starling/wire/internal/codec"
	"github.com/starlingp2p/starling/wire/internal/codec/codectest"
	"github.com/starlingp2p/starling/wire/opstack/codec"
)

// asks sends the widest request for a range and gives what came: how many bytes,
// and how it ended.
func asks(p *place, from libhost.Host, to libpeer.ID) (bytes int, end codecs.End, ok bool) {
	st, err := from.NewStream(p.t.Context(), to, rangeProtocol(chainID))
	if err != nil {
		return 0, end, false
	}
	defer st.Reset()
	req, err := codecs.AppendRequest(nil, codecs.Request{Ask: rangeOf(1, maxRange)})
	if err != nil {
		p.t.Error(err)
	}
	st.Write(codectest.Pack(req))
	st.CloseWrite()
	in := bufio.NewReader(st)
	for {
		body, err := codectest.Unpack(in, codecs.MaxAnswer)
		bytes += len(body)
		var a codecs.Answer
		if err != nil || codecs.DecodeAnswer(body, &a) != nil {
			return bytes, end, false
		}
		if a.End != nil {
			return bytes, *a.End, true
		}
	}
}

// Threat R-03: the widest request, for 256 blocks, over and over. What a peer
// gets is bounded by its budget of bytes and not by what it asks; beyond it the
// answer is a refusal, which costs who heeds it nothing and who does not P1, and
// somebody else is served meanwhile as before.
func TestTheWidestRequestIsPaidForInBytes(t *testing.T) {
	const rate, burst, size, count = 1 << 20, 4 << 20, 32 << 10, 128
	noise := make([]byte, size)
	rand.Read(noise) // or it would be compressed to nothing
	var all []chain.Block
	for parent := anchor; len(all) < count; parent = all[len(all)-1].Ref() {
		all = append(all, signedBy(keyOf(1), childOf(parent, noise)))
	}
	inBubble(t, func(p *place) {
		p.budget = starling.Budget{PeerRate: rate, PeerBurst: burst}
		n := p.whole(1<<8, all)
		hog, honest := p.bare(2<<8, codec.Protocols(chainID)[0]), p.bare(3<<8, codec.Protocols(chainID)[0])
		onRanges(hog, nil)
		n.join(hog)
		n.join(honest)
		p.await(time.Minute, "two sessions", func() bool { return len(n.client.Peers()) == 2 })
		self, err := libpeer.Decode(string(n.Self()))
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		var mu sync.Mutex
		got, whole, refused := 0, 0, 0
		var wg sync.WaitGroup
		for range 24 {
			wg.Go(func() {
				for time.Since(start) < 12*time.Second {
					bytes, end, ok := asks(p, hog, self)
					mu.Lock()
					got += bytes
					switch {
					case ok && end.Code == 0:
						whole++
					case ok:
						refused++
					}
					mu.Unlock()
					if bytes > codecs.MaxAnswer {
						t.Errorf("an answer has %d bytes, at most %d", bytes, codecs.MaxAnswer)
					}
					time.Sleep(50 * time.Millisecond)
				}
			})
		}
		for range 12 {
			began := time.Now()
			if res, _ := p.ask(honest, self, codec.Protocols(chainID)[0], 7); res != codec.ResultOK || time.Since(began) > 500*time.Millisecond {
				t.Errorf("an honest peer got %d after %v", res, time.Since(began))
			}
			time.Sleep(time.Second)
		}
		wg.Wait()
		// What is asked a little early waits for its turn.
		most := burst + int(time.Since(start).Seconds()+1)*rate + 2<<20
		t.Logf("%d whole answers, %d refusals, %d bytes, at most %d", whole, refused, got, most)
		if whole == 0 || refused == 0 || got > most {
			t.Errorf("%d whole answers, %d refusals and %d bytes, want some of each and at most %d bytes", whole, refused, got, most)
		}
		h := n.heard()
		if c := h.charges[peer.ID(honest.ID().String())]; len(c) > 0 {
			t.Errorf("the honest peer is charged with %v", c)
		}
		for offense, sev := range h.charges[peer.ID(hog.ID().String())] {
			if offense != peer.RequestFlood || sev != peer.Low {
				t.Errorf("the hog is charged with %s (%s), want %s (%s)", offense, sev, peer.RequestFlood, peer.Low)
			}
		}
	})
}
