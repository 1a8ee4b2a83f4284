package blocksync

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/chain/chaintest"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// stage is what the property and the fuzz target play on: a good chain, a
// forged one and a signed fork of the same genesis.
type stage struct {
	full, fork *chaintest.Chain
	forged     []chain.Block
}

func newStage(n int) stage {
	cfg := chaintest.Config{Seed: 3, MaxReorg: 1 << 20}
	s := stage{full: chaintest.NewChain(cfg), fork: chaintest.NewChain(cfg)}
	s.full.Extend(n)
	s.forged = s.full.BuildOn(s.full.Genesis().Header, n, chaintest.Make{Forged: true})
	shared, err := s.full.Blocks(context.Background(), chain.Range{From: chain.Ref{Number: 1}, Count: n / 2})
	if err == nil {
		_, err = s.fork.Import(context.Background(), shared)
	}
	if err == nil {
		_, err = s.fork.Import(context.Background(), s.fork.BuildOn(s.fork.Head().Header, n/2-3, chaintest.Make{Branch: 2}))
	}
	if err != nil {
		panic(err)
	}
	return s
}

// tricks is how many there are.
const tricks = 16

// trick plays one on an answer; pick draws numbers for it.
func (s stage) trick(which int, rq wire.Request, honest func() (wire.Response, error), pick func(n int) int) (wire.Response, error, time.Duration) {
	rtt := time.Duration(5+pick(200)) * time.Millisecond
	resp, err := honest()
	switch which % tricks {
	case 0, 1, 2:
		return resp, err, rtt
	case 3:
		return nil, nil, -1 // silence
	case 4:
		return nil, &wire.Refusal{Code: wire.RefusalCode(1 + pick(6)), RetryAfter: time.Duration(pick(3000)) * time.Millisecond}, rtt
	case 5:
		return nil, &wire.Fault{Offense: peer.BadEncoding, Err: context.DeadlineExceeded}, rtt
	case 6:
		return nil, wire.ErrClosed, rtt
	case 7:
		return empty(resp), nil, rtt
	case 8:
		r, err := serve(context.Background(), s.fork, rq)
		return r, err, rtt
	case 9:
		return s.forgery(rq), nil, rtt
	case 10:
		return wire.AppResponse{}, nil, rtt
	case 11:
		return resp, err, time.Duration(pick(60)) * time.Second
	}
	if err != nil {
		return nil, err, rtt
	}
	return mangle(which%tricks, resp, pick), nil, rtt
}

// forgery answers from the chain that nobody signed.
func (s stage) forgery(rq wire.Request) wire.Response {
	at := func(r chain.Range) (hs []chain.Block) {
		for i := range min(r.Count, len(s.forged)) {
			n := int(min(r.From.Number, uint64(len(s.forged)))) + i
			if r.Reverse {
				n -= 2 * i
			}
			if n >= 1 && n <= len(s.forged) {
				hs = append(hs, s.forged[n-1])
			}
		}
		return hs
	}
	switch rq := rq.(type) {
	case wire.GetHeaders:
		return wire.Headers{Headers: chaintest.Headers(at(rq.Range))}
	case wire.GetBlocks:
		return wire.Blocks{Blocks: at(rq.Range)}
	case wire.GetBodies:
		out := wire.Bodies{Hashes: rq.Hashes}
		for range rq.Hashes {
			out.Bodies = append(out.Bodies, wire.Body{Body: []byte("forged")})
		}
		return out
	}
	return wire.Blocks{}
}

// mangle takes items out, doubles, swaps and replaces them.
func mangle(how int, resp wire.Response, pick func(n int) int) wire.Response {
	edit := func(n int) []int {
		idx := make([]int, n)
		for i := range idx {
			idx[i] = i
		}
		if n == 0 {
			return idx
		}
		i, k := pick(n), pick(n)
		switch how {
		case 12:
			return slices.Delete(idx, i, i+1)
		case 13:
			return append(idx, idx[i])
		case 14:
			idx[i], idx[k] = idx[k], idx[i]
		default:
			return idx[:i]
		}
		return idx
	}
	switch r := resp.(type) {
	case wire.Headers:
		var out wire.Headers
		for _, i := range edit(len(r.Headers)) {
			out.Headers = append(out.Headers, r.Headers[i])
		}
		return out
	case wire.Blocks:
		var out wire.Blocks
		for _, i := range edit(len(r.Blocks)) {
			out.Blocks = append(out.Blocks, r.Blocks[i])
		}
		return out
	case wire.Bodies:
		var out wire.Bodies
		for _, i := range edit(len(r.Bodies)) {
			out.Hashes = append(out.Hashes, r.Hashes[i])
			out.Bodies = append(out.Bodies, r.Bodies[i])
		}
		return out
	}
	return resp
}

var propertyStage = newStage(120)

// play runs a scenario that pick draws: peers that do as they like, and one
// honest peer. The sync must finish, hold its bounds, import in order, and
// charge nobody who is honest. (L-03, L-04, L-06, L-11, Z-03)
func play(pick func(n int) int, trace func(string)) error {
	s := propertyStage
	allCaps := []wire.Caps{nativeCaps, rangesCaps, blocksCaps, hashCaps}
	caps := allCaps[pick(len(allCaps))]
	mine := chaintest.NewChain(chaintest.Config{Seed: 3, MaxReorg: 1 << 20})
	w := newWorld(mine, CoreConfig{Caps: caps, MaxBytes: 1 << (16 + pick(8)), MaxInFlightPerPeer: 1 + pick(4), BackwardOnly: pick(4) == 0})
	w.trace = trace
	rogues := pick(5)
	for i := range rogues {
		st := s.full.Status()
		st.Head.Number += uint64(pick(3) * 50)
		if pick(2) == 0 {
			st.Head.Hash[0] ^= 0xff
			st.Weight = chain.WeightOf(uint64(pick(1000)))
		}
		w.add(&actor{
			id: peer.ID(fmt.Sprintf("rogue%d", i)), chain: s.full, batch: wire.Batch{Blocks: pick(40)},
			act: func(rq wire.Request, honest func() (wire.Response, error)) (wire.Response, error, time.Duration) {
				return s.trick(pick(tricks), rq, honest, pick)
			},
		}, st)
	}
	w.add(&actor{id: "honest", batch: wire.Batch{Blocks: pick(40)}, chain: s.full, act: honestly(time.Duration(1+pick(600)) * time.Millisecond)}, s.full.Status())
	if w.core.cfg.BackwardOnly || pick(3) == 0 {
		w.step(Targeted{s.full.Head().Ref()})
	}
	for range pick(6) {
		w.run(time.Duration(pick(2000))*time.Millisecond, nil)
		switch pick(4) {
		case 0:
			b, err := s.full.Block(context.Background(), chain.Ref{Number: uint64(1 + pick(120))})
			if err != nil {
				return err
			}
			w.step(Offered{From: "honest", Block: b})
		case 1:
			if rogues > 0 {
				id := peer.ID(fmt.Sprintf("rogue%d", pick(rogues)))
				if w.peers[id] != nil && pick(3) == 0 {
					w.leave(id)
				} else {
					w.step(Claims{Peer: id, Status: s.full.Status()})
				}
			}
		case 2:
			w.step(Claims{Peer: "honest", Status: s.full.Status()})
		case 3:
			w.step(Announced{Peer: "honest", Ref: s.full.Head().Ref(), Weight: s.full.Status().Weight})
		}
	}
	// A swarm drops those who pay too much; here the wire tells their claims
	// every 15 s, as wires do.
	for range 80 {
		if w.run(15*time.Second, func() bool { return mine.Status().Head == s.full.Status().Head }) || w.over != nil {
			break
		}
		for i := range rogues {
			id := peer.ID(fmt.Sprintf("rogue%d", i))
			if paid(w.paid[id]) <= -50 && w.peers[id] != nil {
				w.leave(id)
			}
		}
		w.step(Claims{Peer: "honest", Status: s.full.Status()})
	}
	if w.over != nil {
		return w.over
	}
	if mine.Status().Head != s.full.Status().Head {
		return fmt.Errorf("head is %v after 20 minutes, want %v: %+v; %s", mine.Status().Head, s.full.Status().Head, w.core.Snapshot(), w.core.reason())
	}
	if len(w.paid["honest"]) > 0 {
		return fmt.Errorf("the honest peer was charged %s", showCharges(w.paid["honest"]))
	}
	return nil
}

func paid(charges map[peer.Offense]int) int {
	sum := 0
	for o, n := range charges {
		sum += n * int(o.Severity())
	}
	return sum
}

func TestWhateverPeersDoTheHonestOneIsSyncedFrom(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		if err := play(func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "") }, nil); err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzScheduler lets bytes choose the answers; it finishes or gives up in time.
func FuzzScheduler(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{0, 10, 3, 0, 4, 3, 200, 7, 9, 8, 12, 1, 255, 14, 13, 5})
	f.Fuzz(func(t *testing.T, in []byte) {
		i := 0
		pick := func(n int) int {
			if len(in) == 0 {
				return 0
			}
			v := int(in[i%len(in)]) + i/len(in)
			i++
			return v % n
		}
		if err := play(pick, nil); err != nil {
			t.Fatal(err)
		}
	})
}
