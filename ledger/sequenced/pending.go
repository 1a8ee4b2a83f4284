package sequenced

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/ledger/internal/txpool"
)

// Pending implements chain.TxPool: by fee, then by arrival, each sender's in
// the order of their nonces and as far as its balance reaches. It may read the
// disk for senders that are new.
func (p *Pool) Pending(max, maxBytes int) []chain.Tx {
	if err := p.load(context.Background()); err != nil {
		p.c.Logger.Warn("sequenced: accounts could not be read", "err", err)
		return nil
	}
	p.held.Lock()
	defer p.held.Unlock()
	var all []*front
	for _, q := range p.senders { // Pending orders them
		if f := q.front(); f != nil {
			all = append(all, f)
		}
	}
	return txpool.Pending(all, max, maxBytes)
}

// front is the next transaction of a sender that could go into a block.
type front struct {
	q       *queue
	i       int
	nonce   uint64
	balance uint64
}

func (q *queue) front() *front {
	i, ok := q.find(q.account.Nonce)
	f := &front{q: q, i: i, nonce: q.account.Nonce, balance: q.account.Balance}
	if !ok || !q.known || !f.affordable() {
		return nil
	}
	return f
}

func (f *front) affordable() bool {
	t := f.q.txs[f.i].t
	return t.Amount <= f.balance && t.Fee <= f.balance-t.Amount
}

// Tx implements txpool.Front.
func (f *front) Tx() chain.Tx { return f.q.txs[f.i].tx }

// Before implements txpool.Front: by fee, then by arrival.
func (f *front) Before(other *front) bool {
	a, b := f.q.txs[f.i], other.q.txs[other.i]
	if a.t.Fee != b.t.Fee {
		return a.t.Fee > b.t.Fee
	}
	return a.arrival < b.arrival
}

// Next goes to the sender's next nonce, if it has that and can pay.
func (f *front) Next() bool {
	t := f.q.txs[f.i].t
	f.balance -= t.Amount + t.Fee
	f.i, f.nonce = f.i+1, f.nonce+1
	return f.i < len(f.q.txs) && f.q.txs[f.i].t.Nonce == f.nonce && f.affordable()
}

// load reads the accounts of senders that are not known at the pool's head,
// and drops what they have spent.
func (p *Pool) load(ctx context.Context) error {
	p.held.Lock()
	head := p.head
	var want []Address
	for a, q := range p.senders {
		if !q.known {
			want = append(want, a)
		}
	}
	p.held.Unlock()
	slices.SortFunc(want, func(a, b Address) int { return bytes.Compare(a[:], b[:]) })
	got := make([]Account, len(want))
	for i, a := range want {
		b, at, err := p.c.State.State(ctx, accountKey(a))
		if err != nil {
			return fmt.Errorf("sequenced: account %v: %w", a, err)
		}
		if at != head {
			return p.OnHead(ctx) // it moved on; this loads again
		}
		if got[i], err = decodeAccount(b); err != nil {
			return err
		}
	}
	p.held.Lock()
	defer p.held.Unlock()
	if p.head != head {
		return nil // a later call is at it
	}
	for i, a := range want {
		q := p.senders[a]
		if q == nil {
			continue
		}
		q.account, q.known = got[i], true
		spent, _ := q.find(q.account.Nonce)
		for _, e := range q.txs[:spent] {
			p.held.Remove(e)
		}
		q.txs = slices.Delete(q.txs, 0, spent)
		if len(q.txs) == 0 {
			delete(p.senders, a)
		}
	}
	return nil
}

// OnHead brings the pool to the chain's head: what was included or replaced
// goes, what a reorganisation undid comes back. The node calls it after each
// change of head, and when transactions of new senders have come; it reads the
// disk.
func (p *Pool) OnHead(ctx context.Context) error {
	p.held.Lock()
	old := p.head
	p.held.Unlock()
	now := p.c.State.Status().Head
	if now == old {
		// A transaction that came after its block is seen to be spent once its
		// sender's account is read.
		if err := p.load(ctx); err != nil {
			return err
		}
		return p.in.Rotate(false)
	}
	undone, done, whole, err := txpool.Between(ctx, p.c.State, old, now, walkBlocks)
	if err != nil {
		return err
	}
	touched := map[Address]bool{}
	var back []chain.Tx
	for i, b := range append(undone, done...) {
		txs, err := p.f.Txs(b)
		if err != nil {
			return fmt.Errorf("sequenced: block %v: %w", b.Ref(), err)
		}
		for _, tx := range txs {
			t, err := DecodeTx(tx.Bytes)
			if err != nil {
				return fmt.Errorf("sequenced: block %v: %w", b.Ref(), err)
			}
			touched[t.From], touched[t.To] = true, true
		}
		if i < len(undone) {
			back = append(back, txs...)
		}
	}
	p.held.Lock()
	if p.head != old {
		p.held.Unlock()
		return nil // a later call was faster
	}
	p.head = now
	for a, q := range p.senders {
		if !whole || touched[a] || a == p.f.feeAccount() {
			q.known = false
		}
	}
	p.held.Unlock()
	if err := p.load(ctx); err != nil {
		return err
	}
	for _, tx := range back {
		p.admit(slices.Clone(tx.Bytes), false)
	}
	if len(back) > 0 {
		if err := p.load(ctx); err != nil { // drops those that the new branch has too
			return err
		}
	}
	p.purge()
	return p.in.Rotate(false)
}
