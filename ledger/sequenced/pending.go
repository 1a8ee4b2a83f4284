package sequenced

import (
	"bytes"
	"container/heap"
	"context"
	"fmt"
	"slices"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/ledger/internal/txjournal"
)

// Pending implements chain.TxPool: by fee, then by arrival, each sender's in
// the order of their nonces and as far as its balance reaches. It may read the
// disk for senders that are new.
func (p *Pool) Pending(max, maxBytes int) []chain.Tx {
	if err := p.load(context.Background()); err != nil {
		p.c.Logger.Warn("sequenced: accounts could not be read", "err", err)
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	var h fronts
	for _, q := range p.senders { // the heap orders them
		if f := q.front(); f != nil {
			h = append(h, f)
		}
	}
	heap.Init(&h)
	var out []chain.Tx
	for size := 0; len(h) > 0 && (max <= 0 || len(out) < max); {
		f := h[0]
		e := f.q.txs[f.i]
		if maxBytes > 0 && size+len(e.tx.Bytes) > maxBytes {
			heap.Pop(&h) // a sender's later ones must not overtake
			continue
		}
		size += len(e.tx.Bytes)
		out = append(out, e.tx)
		if f.next() {
			heap.Fix(&h, 0)
		} else {
			heap.Pop(&h)
		}
	}
	return out
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

// next goes to the sender's next nonce, if it has that and can pay.
func (f *front) next() bool {
	t := f.q.txs[f.i].t
	f.balance -= t.Amount + t.Fee
	f.i, f.nonce = f.i+1, f.nonce+1
	return f.i < len(f.q.txs) && f.q.txs[f.i].t.Nonce == f.nonce && f.affordable()
}

type fronts []*front

func (h fronts) Len() int { return len(h) }

func (h fronts) Less(i, j int) bool {
	a, b := h[i].q.txs[h[i].i], h[j].q.txs[h[j].i]
	if a.t.Fee != b.t.Fee {
		return a.t.Fee > b.t.Fee
	}
	return a.arrival < b.arrival
}

func (h fronts) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *fronts) Push(x any)   { *h = append(*h, x.(*front)) }
func (h *fronts) Pop() any {
	last := len(*h) - 1
	f := (*h)[last]
	*h = (*h)[:last]
	return f
}

// load reads the accounts of senders that are not known at the pool's head,
// and drops what they have spent.
func (p *Pool) load(ctx context.Context) error {
	p.mu.Lock()
	head := p.head
	var want []Address
	for a, q := range p.senders {
		if !q.known {
			want = append(want, a)
		}
	}
	p.mu.Unlock()
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
	p.mu.Lock()
	defer p.mu.Unlock()
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
			p.forget(e)
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
	p.mu.Lock()
	old := p.head
	p.mu.Unlock()
	now := p.c.State.Status().Head
	if now == old {
		// A transaction that came after its block is seen to be spent once its
		// sender's account is read.
		if err := p.load(ctx); err != nil {
			return err
		}
		return p.rotate(false)
	}
	undone, done, whole, err := p.between(ctx, old, now)
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
	p.mu.Lock()
	if p.head != old {
		p.mu.Unlock()
		return nil // a later call was faster
	}
	p.head = now
	for a, q := range p.senders {
		if !whole || touched[a] || a == p.f.feeAccount() {
			q.known = false
		}
	}
	p.mu.Unlock()
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
	return p.rotate(false)
}

// between walks from one head to another. whole is false where it is too far,
// or where the old one is gone.
func (p *Pool) between(ctx context.Context, old, now chain.Ref) (undone, done []chain.Block, whole bool, err error) {
	a, b := old, now
	for n := 0; a != b; n++ {
		if n == walkBlocks {
			return nil, nil, false, nil
		}
		up := b.Number > a.Number
		at := a
		if up {
			at = b
		}
		blk, err := p.c.State.Block(ctx, at)
		if err != nil {
			if ctx.Err() != nil {
				return nil, nil, false, err
			}
			return nil, nil, false, nil
		}
		parent := chain.Ref{Number: at.Number - 1, Hash: blk.Header.Parent}
		if up {
			done, b = append(done, blk), parent
		} else {
			undone, a = append(undone, blk), parent
		}
	}
	return undone, done, true, nil
}

// rotate writes the journal anew where most of it is no longer in the pool.
func (p *Pool) rotate(force bool) error {
	if p.c.Journal == "" {
		return nil
	}
	p.journalMu.Lock()
	defer p.journalMu.Unlock()
	p.mu.Lock()
	var live []*pooled
	size := int64(0)
	for _, e := range p.txs {
		if e.local {
			live = append(live, e)
			size += int64(len(e.tx.Bytes) + txjournal.RecordOverhead)
		}
	}
	p.mu.Unlock()
	if p.journal.Closed() || !force && !p.journal.Due(size) {
		return nil
	}
	slices.SortFunc(live, func(a, b *pooled) int { return int(int64(a.arrival) - int64(b.arrival)) })
	txs := make([]chain.Tx, len(live))
	for i, e := range live {
		txs[i] = e.tx
	}
	return p.journal.Rewrite(txs)
}
