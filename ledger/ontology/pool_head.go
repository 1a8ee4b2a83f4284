package ontology

import (
	"context"
	"errors"
	"fmt"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/wire/ontology/codec"
)

// OnHead follows the ledger's head: what blocks include leaves the pool and is
// not taken again; what has waited for 1024 blocks leaves it too. It reads the
// disk. Call it when the head has changed; calls may be concurrent. Blocks are
// final here, so nothing comes back.
func (p *Pool) OnHead(ctx context.Context) error {
	p.following.Lock()
	defer p.following.Unlock()
	p.held.Lock()
	from, held := p.head, len(p.held.ByHash)
	p.held.Unlock()
	head := p.c.State.Status().Head
	if head == from {
		return nil
	}
	var included []chain.Hash
	var err error
	switch {
	case head.Number > from.Number && head.Number-from.Number <= walkBlocks:
		included, err = p.walk(ctx, from.Number+1, head.Number)
	case held > 0:
		included, err = p.lookUp(ctx)
	}
	if err != nil {
		return err
	}
	p.include(included)
	p.expire(head)
	return p.in.Rotate(false)
}

// include takes out what blocks include, and takes it no more.
func (p *Pool) include(all []chain.Hash) {
	p.held.Lock()
	defer p.held.Unlock()
	for _, h := range all {
		p.unfit.Add(h)
		if e := p.held.ByHash[h]; e != nil {
			p.take(e)
		}
	}
}

// expire takes out what has waited too long.
func (p *Pool) expire(head chain.Ref) {
	p.held.Lock()
	defer p.held.Unlock()
	p.head = head
	for _, e := range p.held.ByHash { // in any order: each on its own
		if e.since+keepBlocks < head.Number {
			p.take(e)
			p.unfit.Add(e.tx.Hash)
			p.in.Count("expired", 1)
		}
	}
}

// walk gives the hashes of all transactions of some blocks.
func (p *Pool) walk(ctx context.Context, from, to uint64) (all []chain.Hash, err error) {
	for n := from; n <= to; n++ {
		b, err := p.c.State.Block(ctx, chain.Ref{Number: n})
		if err != nil {
			return nil, fmt.Errorf("ontology: pool: block %d: %w", n, err)
		}
		txs, err := codec.DecodeBody(b.Body)
		if err != nil {
			return nil, fmt.Errorf("ontology: pool: block %d: %w", n, err)
		}
		for _, t := range txs {
			all = append(all, t.Hash.Chain())
		}
	}
	return all, nil
}

// lookUp gives those of the pool's transactions that a block includes.
func (p *Pool) lookUp(ctx context.Context) (all []chain.Hash, err error) {
	for _, tx := range p.Pending(0, 0) {
		switch _, err := p.c.State.Tx(ctx, tx.Hash); {
		case err == nil:
			all = append(all, tx.Hash)
		case !errors.Is(err, chain.ErrNotFound):
			return nil, fmt.Errorf("ontology: pool: transaction %s: %w", tx.Hash, err)
		}
	}
	return all, nil
}
