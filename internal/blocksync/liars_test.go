package blocksync

import (
	"fmt"
	"testing"
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/chain/chaintest"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// swarmOfLiars keeps eight sessions open that claim a huge head. Whoever was
// asked leaves after a while without an answer, and is back at once under a new
// name.
type swarmOfLiars struct {
	w     *world
	full  *chaintest.Chain
	claim func(k int) chain.Ref
	stay  time.Duration // after the first request
	probe bool          // they answer for one header
	n     int
	asked map[peer.ID]time.Time
}

func (s *swarmOfLiars) join() {
	s.n++
	id := peer.ID(fmt.Sprintf("liar%05d", s.n))
	st := s.full.Status()
	st.Head = s.claim(s.n)
	st.Weight = chain.WeightOf(st.Head.Number)
	s.w.add(&actor{id: id, chain: s.full, act: func(rq wire.Request, honest func() (wire.Response, error)) (wire.Response, error, time.Duration) {
		if _, ok := s.asked[id]; !ok {
			s.asked[id] = s.w.now
		}
		if h, ok := rq.(wire.GetHeaders); ok && s.probe && h.Range.Count == 1 {
			r, err := honest()
			return r, err, 5 * time.Millisecond
		}
		return nil, nil, -1
	}}, st)
}

// run goes on in small steps, with the liars that come and go, and gives the
// longest time without an import.
func (s *swarmOfLiars) run(d time.Duration, done func() bool) (took, gap time.Duration) {
	began, last, head := s.w.now, s.w.now, s.w.chain.Status().Head.Number
	for s.w.now.Sub(began) < d && s.w.over == nil && !done() {
		s.w.steps = 0
		s.w.run(50*time.Millisecond, nil)
		for i := range s.n {
			id := peer.ID(fmt.Sprintf("liar%05d", i+1))
			if at, ok := s.asked[id]; ok && s.w.now.Sub(at) >= s.stay {
				delete(s.asked, id)
				s.w.leave(id)
				s.join()
			}
		}
		if n := s.w.chain.Status().Head.Number; n != head {
			last, head = s.w.now, n
		}
		gap = max(gap, s.w.now.Sub(last))
	}
	return s.w.now.Sub(began), gap
}

// slowly answers over a link of so many bytes a second.
func slowly(w *world, rate int) func(wire.Request, func() (wire.Response, error)) (wire.Response, error, time.Duration) {
	busy := w.now
	return func(_ wire.Request, honest func() (wire.Response, error)) (wire.Response, error, time.Duration) {
		resp, err := honest()
		busy = latest(busy, w.now).Add(time.Duration(bytesOf(resp)) * time.Second / time.Duration(rate))
		return resp, err, busy.Sub(w.now) + 50*time.Millisecond
	}
}

func sameClaim(int) chain.Ref { return chain.Ref{Number: 1 << 20, Hash: chain.Hash{0xee}} }

func otherClaim(k int) chain.Ref {
	return chain.Ref{Number: 1<<20 + uint64(k), Hash: chain.Hash{0xee, byte(k), byte(k >> 8)}}
}

// Threat L-09: peers claim a huge head, deliver nothing, and are back at once
// under new names. The sync goes on with the peer that delivers, at its pace,
// and who is really ahead is found within seconds.
func TestSyncGoesOnAmongLiarsThatComeBack(t *testing.T) {
	full := chaintest.NewChain(chaintest.Config{Seed: 7})
	full.Extend(2000)
	tip := chaintest.NewChain(chaintest.Config{Seed: 7})
	if _, err := tip.Import(t.Context(), blocksOf(t, full, 1, 1500)); err != nil {
		t.Fatal(err)
	}
	for _, caps := range []wire.Caps{nativeCaps, rangesCaps, hashCaps} {
		for name, l := range map[string]swarmOfLiars{
			"one claim, gone when asked":    {claim: sameClaim, stay: 100 * time.Millisecond},
			"one claim, gone after silence": {claim: sameClaim, stay: 3 * time.Second},
			"other claims, after silence":   {claim: otherClaim, stay: 3 * time.Second},
			"other claims, one header":      {claim: otherClaim, stay: 3 * time.Second, probe: true},
		} {
			t.Run(caps.Name+" "+name, func(t *testing.T) {
				w := newWorld(chaintest.NewChain(chaintest.Config{Seed: 7}), CoreConfig{Caps: caps})
				w.add(&actor{id: "good", chain: tip, act: slowly(w, 50<<10)}, tip.Status())
				w.run(time.Second, nil)
				s := &l
				s.w, s.full, s.asked = w, full, map[peer.ID]time.Time{}
				for range 8 {
					s.join()
				}
				took, gap := s.run(10*time.Minute, func() bool { return w.chain.Status().Head == tip.Status().Head })
				t.Logf("%v, at most %v without an import, %d liars", took, gap, s.n)
				if took > time.Minute || gap > 10*time.Second {
					t.Errorf("%v to %d of 1500, %v without an import", took, w.chain.Status().Head.Number, gap)
				}
				// For a minute there is nothing but lies; then one tells the truth.
				s.run(time.Minute, func() bool { return false })
				w.add(&actor{id: "ahead", chain: full, act: honestly(50 * time.Millisecond)}, full.Status())
				took, _ = s.run(10*time.Minute, func() bool { return w.chain.Status().Head == full.Status().Head })
				t.Logf("who is ahead was found, and 500 blocks fetched, in %v", took)
				if took > 25*time.Second {
					t.Errorf("%v until 500 blocks of an honest newcomer were in", took)
				}
				if w.over != nil {
					t.Error(w.over)
				}
				for _, id := range []peer.ID{"good", "ahead"} {
					if len(w.paid[id]) > 0 {
						t.Errorf("%s, which is honest, was charged %v", id, w.paid[id])
					}
				}
			})
		}
	}
}
