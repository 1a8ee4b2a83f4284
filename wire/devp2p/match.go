package devp2p

import (
	"fmt"
	"slices"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/devp2p/eth"
)

// An answer does not name its blocks. It is in order, and it may be short: up to
// geth v1.13 it leaves out any block that the peer lacks, from v1.14 on it ends
// at the first, and both end where it grows large. So what is short is told apart
// by what the headers say of the contents; an answer with as many items as were
// asked for can be nothing else than all of them.

// placeBodies gives the place of each body in what was asked for; -1: it is none
// of them. False: the headers are not known, so a short answer is taken for the
// first ones.
func placeBodies(hashes []chain.Hash, headers []chain.Header, bodies [][]byte) ([]int, bool) {
	return place(hashes, headers, bodies, func(h []byte) (eth.BodyRoots, error) {
		r, _, err := eth.HeaderRoots(h)
		return r, err
	}, eth.RootsOf)
}

// mostBloomed bounds the receipts that are hashed with their blooms to place an
// answer, at 2 us each: two million of nothing fit a message (threat B-05).
const mostBloomed = 1 << 16

// placeReceipts is placeBodies for receipts. False too where there are too many.
func placeReceipts(hashes []chain.Hash, headers []chain.Header, blocks [][]byte) ([]int, bool) {
	sum := 0
	for _, b := range blocks {
		sum += eth.CountReceipts(b)
	}
	if sum > mostBloomed {
		return nil, false
	}
	return place(hashes, headers, blocks, func(h []byte) (chain.Hash, error) {
		_, r, err := eth.HeaderRoots(h)
		return r, err
	}, eth.ReceiptsRoot)
}

func place[R comparable](hashes []chain.Hash, headers []chain.Header, given [][]byte, of func(header []byte) (R, error), is func(item []byte) (R, error)) ([]int, bool) {
	if len(given) == len(hashes) || len(headers) < len(hashes) {
		return nil, false
	}
	want := make([]R, len(hashes))
	for i := range hashes {
		var err error
		if headers[i].Ref.Hash != hashes[i] {
			return nil, false
		}
		if want[i], err = of(headers[i].Bytes); err != nil {
			return nil, false
		}
	}
	at, next := make([]int, len(given)), 0
	for i, item := range given {
		at[i] = -1
		got, err := is(item)
		if err != nil {
			continue
		}
		if skip := slices.Index(want[next:], got); skip >= 0 {
			at[i] = next + skip
			next = at[i] + 1
		}
	}
	return at, true
}

// strangers charges the peer for items of an answer that are none of those asked
// for, or not in their order.
func (s *session) strangers(what string, at []int) {
	n := 0
	for _, i := range at {
		if i < 0 {
			n++
		}
	}
	if n > 0 {
		s.charge(peer.WrongBlock, peer.None, fmt.Sprintf("%d of %d %s are of no block that was asked for", n, len(at), what))
	}
}

// joined puts the receipts of the same blocks beside the bodies that have some.
func joined(bodies wire.Bodies, receipts wire.Receipts) (out wire.Bodies) {
	next := 0
	for i, h := range bodies.Hashes {
		skip := slices.Index(receipts.Hashes[next:], h)
		if skip < 0 {
			continue
		}
		next += skip
		b := bodies.Bodies[i]
		b.Extra = receipts.Receipts[next]
		out.Hashes, out.Bodies = append(out.Hashes, h), append(out.Bodies, b)
		next++
	}
	return out
}
