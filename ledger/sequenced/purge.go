package sequenced

// How many heads a transaction of others may lie in the pool though it could
// not go into a block: its sender cannot pay, or an earlier nonce is missing.
// Such transactions cost nothing to make, and without an end to them whoever
// filled the pool once would keep it closed for good.
const (
	stuckFor     = 256
	stuckCrowded = 8 // while the pool is more than half full
	purgeEvery   = 4 // heads
)

// purge drops what has been stuck for too long.
func (p *Pool) purge() {
	p.held.Lock()
	defer p.held.Unlock()
	head := p.head.Number
	if head >= p.purged && head-p.purged < purgeEvery {
		return
	}
	p.purged = head
	most := uint64(stuckFor)
	if p.held.Others.Bytes > p.c.MaxBytes/2 || len(p.senders) > maxSenders/2 {
		most = stuckCrowded
	}
	for a, q := range p.senders { // each is looked at alone: the order has no effect
		if !q.known {
			continue
		}
		next, balance, fits := q.account.Nonce, q.account.Balance, true
		kept := q.txs[:0]
		for _, e := range q.txs {
			fits = fits && e.t.Nonce == next && e.t.Amount <= balance && e.t.Fee <= balance-e.t.Amount
			if fits {
				next, balance = next+1, balance-e.t.Amount-e.t.Fee
			}
			if e.since > head { // the chain went back
				e.since = head
			}
			if !fits && !e.local && head-e.since >= most {
				p.held.Remove(e)
				p.in.Count("stuck", 1)
				continue
			}
			kept = append(kept, e)
		}
		clear(q.txs[len(kept):])
		if q.txs = kept; len(kept) == 0 {
			delete(p.senders, a)
		}
	}
}
