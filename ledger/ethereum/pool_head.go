package ethereum

import (
	"bytes"
	"container/heap"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/ledger/internal/txpool"
)

// readHead reads what the rules need of a head.
func (p *Pool) readHead(ctx context.Context, ref chain.Ref) (head, error) {
	ch, err := p.c.Chain.Header(ctx, ref)
	if err != nil {
		return head{}, fmt.Errorf("ethereum: header of the head %v: %w", ref, err)
	}
	_, h, err := decodeHeader(ch.Bytes)
	if err != nil {
		return head{}, err
	}
	return head{ref: ref, number: h.Number, time: h.Time, gasLimit: h.GasLimit, baseFee: h.BaseFee}, nil
}

// spent is a transaction of a block.
type spent struct {
	hash  chain.Hash
	from  common.Address
	nonce uint64
	raw   []byte
	blobs bool // its sidecar is not in the block
}

// OnHead brings the pool to the chain's head: of each sender that a new block
// has a transaction of, all up to its nonce go; what a reorganisation undid
// comes back; what is too old goes. The node calls it after each change of head,
// from one goroutine; it reads the disk and recovers the senders of blocks.
func (p *Pool) OnHead(ctx context.Context) error {
	p.held.Lock()
	old := p.head.ref
	p.held.Unlock()
	at := p.c.Chain.Status().Head
	if at == old {
		return p.in.Rotate(false)
	}
	now, err := p.readHead(ctx, at)
	if err != nil {
		return err
	}
	if n, _ := p.Len(); n == 0 && now.ref.Number > old.Number+strideBlocks {
		p.leap(now) // a sync goes on: nothing to drop, and nobody to ask for it
		return nil
	}
	undone, done, whole, err := txpool.Between(ctx, p.c.Chain, old, now.ref, walkBlocks)
	if err != nil {
		return err
	}
	gone, err := p.spentBy(undone)
	if err != nil {
		return err
	}
	in, err := p.spentBy(done)
	if err != nil {
		return err
	}
	if !whole {
		p.leap(now)
		return errors.Join(p.sift(ctx), p.in.Rotate(false))
	}
	p.follow(now, gone, in)
	for _, s := range gone {
		if !s.blobs {
			p.admit(s.raw, false) // ignored if the new branch has it too
		}
	}
	return p.in.Rotate(false)
}

// leap takes a head in that is too far from the last one to be followed. What is
// known of nonces may be of another branch.
func (p *Pool) leap(now head) {
	p.held.Lock()
	p.floors.Purge()
	p.held.Unlock()
	p.follow(now, nil, nil)
}

// follow takes the new head in, with what left the chain and what came.
func (p *Pool) follow(now head, gone, in []spent) {
	p.held.Lock()
	defer p.held.Unlock()
	p.head = now
	for _, s := range gone {
		if next, ok := p.floors.Get(s.from); ok && s.nonce < next {
			p.floors.Add(s.from, s.nonce)
		}
		p.recent.forget(s.hash)
	}
	at := time.Now()
	for _, s := range in {
		p.recent.add(s.hash, chain.Ignored(nonceUsed), true, at)
		p.include(s.from, s.nonce)
	}
	var old []*pooled
	for _, e := range p.held.ByHash { // each is looked at alone: the order has no effect
		if !e.local && at.Sub(e.since) > p.c.Lifetime {
			old = append(old, e)
		}
		e.tip = e.effectiveTip(now.baseFee)
	}
	for i := range p.piles {
		heap.Init(&p.piles[i].cheap)
	}
	for _, e := range old {
		p.remove(e)
		p.in.Count("too-old", 1)
	}
}

// include drops what a sender cannot use any more, since a block has a
// transaction of that nonce. The caller holds the lock.
func (p *Pool) include(from common.Address, nonce uint64) {
	if next, ok := p.floors.Get(from); !ok || nonce >= next {
		p.floors.Add(from, nonce+1)
	}
	if q := p.senders[from]; q != nil {
		for len(q.txs) > 0 && q.txs[0].nonce <= nonce {
			p.remove(q.txs[0])
		}
	}
}

// spentBy lists the transactions of blocks with their senders.
func (p *Pool) spentBy(blocks []chain.Block) (out []spent, err error) {
	for _, b := range blocks {
		txs, err := p.c.Family.Txs(b)
		if err != nil {
			return nil, err
		}
		for _, raw := range txs {
			s := spent{hash: raw.Hash, raw: raw.Bytes, blobs: raw.Kind == types.BlobTxType}
			p.held.Lock()
			e := p.held.ByHash[raw.Hash]
			p.held.Unlock()
			if e != nil { // its sender is known
				s.from, s.nonce = e.from, e.nonce
			} else {
				t := new(types.Transaction)
				if err := t.UnmarshalBinary(raw.Bytes); err != nil {
					continue // of a fork that this program does not know: none of ours
				}
				if s.from, err = types.Sender(p.signer, t); err != nil {
					continue
				}
				s.nonce = t.Nonce()
			}
			out = append(out, s)
		}
	}
	return out, nil
}

// sift looks each transaction of the pool up in the chain, where that was not
// followed block by block, and drops those that it has.
func (p *Pool) sift(ctx context.Context) error {
	r, ok := p.c.Chain.(chain.TxReader)
	if !ok {
		return nil
	}
	p.held.Lock()
	all := make([]*pooled, 0, len(p.held.ByHash))
	for _, e := range p.held.ByHash {
		all = append(all, e)
	}
	p.held.Unlock()
	slices.SortFunc(all, func(a, b *pooled) int { return bytes.Compare(a.tx.Hash[:], b.tx.Hash[:]) })
	for _, e := range all {
		_, err := r.Tx(ctx, e.tx.Hash)
		if errors.Is(err, chain.ErrNotFound) {
			continue
		}
		if err != nil {
			return fmt.Errorf("ethereum: transaction %v: %w", e.tx.Hash, err)
		}
		p.held.Lock()
		p.include(e.from, e.nonce)
		p.held.Unlock()
	}
	return nil
}
