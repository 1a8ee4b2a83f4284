package chaintest

import (
	"context"
	"errors"
	"fmt"

	"github.com/starlingp2p/starling/chain"
)

func poolRules() []Rule {
	rules := []Rule{
		{Name: "pool-takes-valid", Says: "Add gives a verdict for each; Has and Get find what it took.", Check: poolTakes},
		{Name: "pool-computes-hashes", Says: "Hash is what the pool computes, whatever the caller filled in.", Check: poolHashes},
		{Name: "pool-once", Says: "A transaction is in the pool once, however often and from however many it comes, and coming again is no fault.", Check: poolOnce},
		{Name: "pool-pending-is-bounded", Says: "Pending gives at most max transactions, at most maxBytes in sum; 0 is no bound.", Check: poolPending},
		{Name: "pool-tells", Says: "Subscribe gives transactions as they enter, until ctx ends and the channel is closed.", Check: poolTells},
		{Name: "pool-laggard-loses-oldest", Says: "A reader that lags holds nobody up and loses the oldest.", Check: poolLaggard},
	}
	for i := range rules {
		rules[i].Needs = func(f Factory) bool { return f.Pool != nil }
		rules[i].Absent = "the Factory has no Pool"
	}
	return rules
}

// accepts adds transactions, all of which must go in.
func accepts(p chain.TxPool, txs []chain.Tx) error {
	verdicts := p.Add(txs)
	if len(verdicts) != len(txs) {
		return fmt.Errorf("Add of %d transactions gave %d verdicts", len(txs), len(verdicts))
	}
	for i, v := range verdicts {
		if v.Action != chain.Accept {
			return fmt.Errorf("Add of a valid transaction = %s, want accept (%s)", v, txs[i].Hash)
		}
	}
	return nil
}

// holds checks that the pool has a transaction, whole.
func holds(p chain.TxPool, tx chain.Tx) error {
	got, ok := p.Get(tx.Hash)
	if !ok || !p.Has(tx.Hash) {
		return fmt.Errorf("Get, Has of a transaction that was added = %v, %v; want true", ok, p.Has(tx.Hash))
	}
	if got.Hash != tx.Hash || string(got.Bytes) != string(tx.Bytes) {
		return fmt.Errorf("Get(%s) gave another transaction", tx.Hash)
	}
	return nil
}

func poolTakes(e *Env) error {
	p, txs := e.f.Pool(e.t, 5)
	for _, tx := range txs {
		if _, ok := p.Get(tx.Hash); ok || p.Has(tx.Hash) {
			return errors.New("a fresh pool has a transaction")
		}
	}
	if err := accepts(p, txs); err != nil {
		return err
	}
	for _, tx := range txs {
		if err := holds(p, tx); err != nil {
			return err
		}
	}
	if v := p.Add(nil); len(v) != 0 {
		return fmt.Errorf("Add of nothing gave %d verdicts", len(v))
	}
	return nil
}

func poolHashes(e *Env) error {
	p, txs := e.f.Pool(e.t, 2)
	lie := txs[0]
	lie.Hash, lie.Sender = chain.Hash{1}, "somebody else"
	if err := accepts(p, []chain.Tx{lie}); err != nil {
		return fmt.Errorf("under a false hash: %w", err)
	}
	if _, ok := p.Get(lie.Hash); ok {
		return errors.New("Get finds a transaction under the hash that a peer filled in")
	}
	if err := holds(p, txs[0]); err != nil {
		return err
	}
	if got, _ := p.Get(txs[0].Hash); got.Sender == lie.Sender {
		return errors.New("the pool keeps the sender that a peer filled in")
	}
	return nil
}

func poolOnce(e *Env) error {
	p, txs := e.f.Pool(e.t, 8)
	const givers = 4
	results := make(chan error, givers)
	for range givers {
		go func() {
			for range 4 {
				for _, v := range p.Add(txs) {
					if v.Action == chain.Reject {
						results <- fmt.Errorf("Add of a transaction that came before = %s", v)
						return
					}
				}
			}
			results <- nil
		}()
	}
	var failed error
	for range givers {
		if err := <-results; err != nil {
			failed = err
		}
	}
	if failed != nil {
		return failed
	}
	seen := map[chain.Hash]bool{}
	for _, tx := range p.Pending(0, 0) {
		if seen[tx.Hash] {
			return fmt.Errorf("Pending gives %s twice", tx.Hash)
		}
		seen[tx.Hash] = true
	}
	if len(seen) != len(txs) {
		return fmt.Errorf("Pending gives %d transactions, %d were added", len(seen), len(txs))
	}
	return nil
}

func poolPending(e *Env) error {
	p, txs := e.f.Pool(e.t, 6)
	if err := accepts(p, txs); err != nil {
		return err
	}
	all := p.Pending(0, 0)
	if len(all) != len(txs) {
		return fmt.Errorf("Pending without bounds gives %d transactions of %d", len(all), len(txs))
	}
	two := len(all[0].Bytes) + len(all[1].Bytes)
	for _, tt := range []struct{ limit, bytes int }{{1, 0}, {3, 0}, {100, 0}, {0, two}, {0, two - 1}, {1, two}, {0, 1}, {3, 1 << 30}} {
		got := p.Pending(tt.limit, tt.bytes)
		sum := 0
		for _, tx := range got {
			sum += len(tx.Bytes)
		}
		if tt.limit > 0 && len(got) > tt.limit || tt.bytes > 0 && sum > tt.bytes {
			return fmt.Errorf("Pending(%d, %d) gives %d transactions of %d bytes", tt.limit, tt.bytes, len(got), sum)
		}
		if tt.bytes == 0 && len(got) != min(tt.limit, len(txs)) {
			return fmt.Errorf("Pending(%d, 0) gives %d transactions, %d are there", tt.limit, len(got), len(txs))
		}
	}
	return nil
}

func poolTells(e *Env) error {
	p, txs := e.f.Pool(e.t, 6)
	ctx, cancel := context.WithCancel(e.ctx)
	defer cancel()
	news := p.Subscribe(ctx)
	if err := accepts(p, txs[:4]); err != nil {
		return err
	}
	p.Add(txs[:2]) // known, so no news
	if err := accepts(p, txs[4:]); err != nil {
		return err
	}
	seen := map[chain.Hash]int{}
	for len(seen) < len(txs) {
		for _, tx := range <-news {
			seen[tx.Hash]++
		}
	}
	for _, tx := range txs {
		if seen[tx.Hash] != 1 {
			return fmt.Errorf("a reader was told %d times of a transaction that entered once", seen[tx.Hash])
		}
	}
	cancel()
	if got, open := <-news; open {
		return fmt.Errorf("a reader whose context ended was told of %d more transactions", len(got))
	}
	return nil
}

func poolLaggard(e *Env) error {
	const n = 1200
	p, txs := e.f.Pool(e.t, n)
	ctx, cancel := context.WithCancel(e.ctx)
	defer cancel()
	news := p.Subscribe(ctx)
	for _, tx := range txs {
		if err := accepts(p, []chain.Tx{tx}); err != nil {
			return err
		}
	}
	cancel()
	var last chain.Hash
	for told := range news {
		for _, tx := range told {
			last = tx.Hash
		}
	}
	if want := txs[n-1].Hash; last != want {
		return fmt.Errorf("the last that a lagging reader got is %s, want the newest %s", last, want)
	}
	return nil
}
