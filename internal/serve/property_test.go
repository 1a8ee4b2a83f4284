package serve_test

import (
	"errors"
	"fmt"
	"math/big"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/internal/serve"
	"github.com/starlingp2p/starling/wire"
)

// M-05: no range that reaches the chain wraps, or asks for more than was
// asked, whatever a peer sends.
func FuzzRangesNeverWrap(f *testing.F) {
	f.Add(uint64(0), int64(1), int64(0), false)
	f.Add(uint64(1<<64-1), int64(1<<63-1), int64(1<<63-1), false)
	f.Add(uint64(1<<63), int64(-1), int64(1<<62), true)
	f.Fuzz(func(t *testing.T, number uint64, count, skip int64, reverse bool) {
		c := &rangeChain{}
		s := serve.New(serve.Config{Chain: c})
		in := chain.Range{From: chain.Ref{Number: number}, Count: int(count), Skip: int(skip), Reverse: reverse}
		if _, err := s.Serve(t.Context(), alice, wire.GetHeaders{Range: in}); err != nil {
			t.Fatal(err)
		}
		if c.got.Count < 0 || int64(c.got.Count) > max(count, 0) || c.got.Count > 1024 || c.got.Skip < 0 {
			t.Fatalf("%+v became %+v", in, c.got)
		}
		if c.got.Count == 0 {
			return
		}
		steps := new(big.Int).Mul(big.NewInt(int64(c.got.Count-1)), new(big.Int).Add(big.NewInt(int64(c.got.Skip)), big.NewInt(1)))
		room := new(big.Int).SetUint64(^uint64(0) - number)
		if reverse {
			room.SetUint64(number)
		}
		if steps.Cmp(room) > 0 {
			t.Fatalf("%+v wraps", c.got)
		}
	})
}

// Whatever peers do, in any order: what each peer and each prefix gets stays
// within its budget, and one answer's worth.
func TestBudgetsHoldInAnyOrder(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		type step struct{ peer, prefix, count, wait int }
		steps := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) step {
			return step{
				peer: rapid.IntRange(0, 5).Draw(rt, "peer"), prefix: rapid.IntRange(0, 1).Draw(rt, "prefix"),
				count: rapid.IntRange(0, 20).Draw(rt, "count"), wait: rapid.IntRange(0, 500).Draw(rt, "wait"),
			}
		}), 1, 60).Draw(rt, "steps")
		broken := ""
		synctest.Test(t, func(t *testing.T) {
			const size, answerMax = 10 << 10, 100 << 10
			b := budget()
			s := serve.New(serve.Config{Chain: &fakeChain{head: 100, size: size}, Budget: b, AnswerMax: answerMax})
			began := time.Now()
			perPeer, perPrefix := map[string]int{}, map[int]int{}
			for _, st := range steps {
				id := fmt.Sprintf("%d-%d", st.prefix, st.peer)
				resp, err := s.Serve(t.Context(), from(id, fmt.Sprintf("203.0.%d.%d", st.prefix, st.peer+1)), getBlocks(1, st.count))
				var why *wire.Refusal
				if err != nil && !errors.As(err, &why) {
					broken = fmt.Sprint("error is no refusal: ", err)
				}
				if err == nil {
					n := len(resp.(wire.Blocks).Blocks) * size
					perPeer[id] += n
					perPrefix[st.prefix] += n
				}
				seconds := time.Since(began).Seconds()
				if most := b.PeerBurst + int(seconds*float64(b.PeerRate)) + answerMax; perPeer[id] > most {
					broken = fmt.Sprintf("peer %s got %d bytes, bound %d", id, perPeer[id], most)
				}
				if most := b.PrefixBurst + int(seconds*float64(b.PrefixRate)) + answerMax; perPrefix[st.prefix] > most {
					broken = fmt.Sprintf("prefix %d got %d bytes, bound %d", st.prefix, perPrefix[st.prefix], most)
				}
				time.Sleep(time.Duration(st.wait) * time.Millisecond)
			}
		})
		if broken != "" {
			rt.Fatal(broken)
		}
	})
}

// An unproven identity is no identity: the budget goes by address.
func TestUnprovenIdentitiesShareTheirAddressesBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve.New(serve.Config{Chain: &fakeChain{head: 100, size: 10 << 10}, Budget: budget(), MaxWait: -1})
		served := 0
		for i := range 5 {
			p := from(fmt.Sprint("claim-", i), "192.0.2.9")
			p.info.Proven = false
			if _, err := s.Serve(t.Context(), p, getBlocks(1, 9)); err == nil {
				served++
			} else {
				wantRefusal(t, err, wire.RefusedLimit, serve.PeerBytes)
			}
		}
		if served != 1 {
			t.Errorf("served %d claims of one address, want 1", served)
		}
	})
}

func BenchmarkServe(b *testing.B) {
	s := serve.New(serve.Config{Chain: &fakeChain{head: 5}, Budget: serve.Budget{Off: true}})
	r := wire.GetHeaders{Range: chain.Range{From: chain.Ref{Number: 1}, Count: 1}}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Serve(b.Context(), alice, r); err != nil {
			b.Fatal(err)
		}
	}
}
