package ethereum

import (
	"context"
	"errors"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"

	"github.com/starlingp2p/starling/chain"
)

// errUnknownSigners: the signers after a block cannot be told, since its
// ancestors are not here.
var errUnknownSigners = errors.New("the signers after its parent are not known here")

const (
	walkHeaders = 256 // are read at once on the way back
	// walkSeals bounds how many of the last headers are kept on the way back, to
	// tell who signed lately: half of the signers that a header has room for.
	walkSeals = 800
	// walkStates is after how many of the last blocks the signers are remembered:
	// one of them may have another child soon.
	walkStates = 16
)

// signersAfter gives the signers after a block, from memory or from the headers
// before it, back to a checkpoint. What it reads was verified when it was
// imported, so no seal is looked at but those of votes and of the last blocks. It
// reads the disk, for as long as ctx lets it: 30,000 headers, an epoch, take a
// processor 1.5 s.
func (q *clique) signersAfter(ctx context.Context, h chain.Header) (*signers, error) {
	if s, ok := q.after.Get(h.Ref.Hash); ok {
		return s, nil
	}
	r := q.reader.Load()
	if r == nil {
		return nil, errUnknownSigners
	}
	w := walk{q: q, r: *r}
	base, err := w.back(ctx, h)
	if err != nil {
		return nil, err
	}
	if w.oddVotes || base.concerns(common.Address{}) {
		// What looks like a header without a vote is one about the zero address.
		w = walk{q: q, r: *r, all: true}
		if base, err = w.back(ctx, h); err != nil {
			return nil, err
		}
	}
	return w.forth(ctx, base)
}

// walk goes back over headers that were verified.
type walk struct {
	q    *clique
	r    chain.Reader
	all  bool   // keep those without a vote too
	top  uint64 // the number of the block that it begins at
	kept []kept // those that may matter, towards genesis
	// oddVotes: somebody voted for the zero address; allowed is how many voted
	// for anybody.
	oddVotes bool
	allowed  int
}

type kept struct {
	ref chain.Ref
	h   *types.Header
}

// back finds the last block before h, or h itself, after which the signers are
// known, and keeps what came since.
func (w *walk) back(ctx context.Context, h chain.Header) (*signers, error) {
	w.top = h.Ref.Number
	at := chain.Ref{Number: h.Ref.Number, Hash: h.Ref.Hash}
	ahead := []chain.Header{h} // read, and not looked at; h need not be stored
	for passed := uint64(0); ; passed++ {
		if s, ok := w.q.after.Get(at.Hash); ok {
			return s, nil
		}
		if passed > 2*w.q.epoch {
			return nil, errUnknownSigners
		}
		if len(ahead) == 0 {
			var err error
			if ahead, err = w.r.Headers(ctx, chain.Range{From: at, Count: walkHeaders, Reverse: true}); err != nil || len(ahead) == 0 {
				return nil, w.trouble(err)
			}
		}
		ch := ahead[0]
		ahead = ahead[1:]
		_, full, err := decodeHeader(ch.Bytes)
		if err != nil {
			return nil, err
		}
		if ch.Ref.Number == 0 {
			if ch.Ref.Hash != w.q.genesis {
				return nil, errUnknownSigners
			}
			return signersOf(ch.Ref, full.Extra)
		}
		if ch.Ref.Number%w.q.epoch == 0 {
			if s, err := w.listed(ctx, ch, full); s != nil || err != nil {
				return s, err
			}
		}
		votes := full.Coinbase != common.Address{} || full.Nonce != voteDrop
		if votes || w.all || w.top-ch.Ref.Number < walkSeals {
			w.kept = append(w.kept, kept{ch.Ref, full})
		}
		if full.Nonce == voteAllow {
			w.allowed++
			w.oddVotes = w.oddVotes || full.Coinbase == common.Address{}
		}
		at = chain.Ref{Number: ch.Ref.Number - 1, Hash: ch.Parent}
	}
}

// trouble is an error of reading: that a block is not here is no fault of ours.
func (w *walk) trouble(err error) error {
	if err == nil || errors.Is(err, chain.ErrNotFound) {
		return errUnknownSigners
	}
	return ownTrouble{err}
}

// listed gives the signers after a checkpoint, from those before it, which it
// lists: votes from before do not count, and who signed lately is told by the last
// blocks.
// It gives nil for one that is not on our chain, where nobody may have verified it.
func (w *walk) listed(ctx context.Context, ch chain.Header, h *types.Header) (*signers, error) {
	switch ours, err := w.r.Header(ctx, chain.Ref{Number: ch.Ref.Number}); {
	case errors.Is(err, chain.ErrNotFound) || err == nil && ours.Ref != ch.Ref:
		return nil, nil
	case err != nil:
		return nil, ownTrouble{err}
	}
	s, err := signersOf(ch.Ref, h.Extra)
	if err != nil {
		return nil, err
	}
	s.number--
	last, err := w.r.Headers(ctx, chain.Range{From: ch.Ref, Count: int(min(s.limit(), ch.Ref.Number)), Reverse: true})
	if err != nil {
		return nil, w.trouble(err)
	}
	var by common.Address
	for i, l := range last {
		_, full, err := decodeHeader(l.Bytes)
		if err != nil {
			return nil, err
		}
		signer, err := w.q.signer(l.Ref, full)
		if err != nil {
			return nil, err
		}
		if i == 0 {
			by = signer
		} else {
			s.recent[l.Ref.Number] = signer
		}
	}
	return s, s.take(h, by, w.q.epoch)
}

// forth goes over what was kept, from base on, to the signers after the top.
func (w *walk) forth(ctx context.Context, base *signers) (*signers, error) {
	s := base.clone()
	window := uint64((len(base.allowed)+w.allowed)/2 + 2) // those who signed lately are in it
	for s.number < w.top {
		if ctx.Err() != nil {
			return nil, ownTrouble{context.Cause(ctx)}
		}
		number := s.number + 1
		k := kept{}
		if n := len(w.kept); n > 0 && w.kept[n-1].ref.Number == number {
			k, w.kept = w.kept[n-1], w.kept[:n-1]
		}
		votes := k.h != nil && (w.all || k.h.Coinbase != common.Address{} || k.h.Nonce != voteDrop)
		if !votes && (k.h == nil || w.top-number >= window) {
			s.pass(number, w.q.epoch)
			continue
		}
		by, err := w.q.signer(k.ref, k.h)
		if err != nil {
			return nil, err
		}
		if err := s.take(k.h, by, w.q.epoch); err != nil {
			return nil, err
		}
		if w.top-number < walkStates {
			w.q.after.Add(k.ref.Hash, s.clone())
		}
	}
	return s, nil
}
