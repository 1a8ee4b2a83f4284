package chaintest

import (
	"errors"
	"fmt"

	"github.com/starlingp2p/starling/chain"
)

func txRules() []Rule {
	const without = "this chain finds no transactions, or the Factory has no Txs"
	needs := func(f Factory) bool { return f.Txs != nil }
	return []Rule{
		{Name: "tx-of-imported-block", Says: "Tx finds the transactions of canonical blocks, whole.", Check: txFound, Needs: needs, Absent: without},
		{Name: "tx-not-found", Says: "A transaction in no canonical block is ErrNotFound, staged ones included.", Check: txNotFound, Needs: needs, Absent: without},
		{
			Name: "tx-follows-the-branch", Says: "Transactions of a block that was undone are gone unless another has them.", Check: txFollows,
			Needs: func(f Factory) bool { return f.Txs != nil && !f.Linear }, Absent: without + ", or it has no branches",
		},
	}
}

// txReader gives the chain in its role as chain.TxReader.
func (e *Env) txReader() (chain.TxReader, error) {
	r, ok := e.Chain.(chain.TxReader)
	if !ok {
		return nil, fmt.Errorf("the Factory has Txs, and %T is no chain.TxReader", e.Chain)
	}
	return r, nil
}

// txsFound checks that the transactions of b are found, or that none is.
func (e *Env) txsFound(r chain.TxReader, b chain.Block, want bool) error {
	for _, tx := range e.f.Txs(b) {
		got, err := r.Tx(e.ctx, tx.Hash)
		switch {
		case want && err != nil:
			return fmt.Errorf("Tx(%s) of the canonical block %s: %w", tx.Hash, b.Ref(), err)
		case want && (got.Hash != tx.Hash || string(got.Bytes) != string(tx.Bytes)):
			return fmt.Errorf("Tx(%s) gave another transaction", tx.Hash)
		case !want && !errors.Is(err, chain.ErrNotFound):
			return fmt.Errorf("Tx(%s) of block %s, which is not canonical, = %v, want ErrNotFound", tx.Hash, b.Ref(), err)
		}
	}
	return nil
}

func txFound(e *Env) error {
	r, err := e.txReader()
	if err != nil {
		return err
	}
	blocks, err := e.grow(3)
	if err != nil {
		return err
	}
	n := 0
	for _, b := range blocks[1:] {
		n += len(e.f.Txs(b))
		if err := e.txsFound(r, b, true); err != nil {
			return err
		}
	}
	if n == 0 {
		return errors.New("Factory.Child made 3 blocks without a transaction; give them one")
	}
	return nil
}

func txNotFound(e *Env) error {
	r, err := e.txReader()
	if err != nil {
		return err
	}
	_, blocks, err := e.stageFrom(4, 2)
	if err != nil {
		return err
	}
	for _, b := range blocks {
		if err := e.txsFound(r, b, false); err != nil {
			return err
		}
	}
	if _, err := r.Tx(e.ctx, chain.Hash{1}); !errors.Is(err, chain.ErrNotFound) {
		return fmt.Errorf("Tx of an unknown hash = %v, want ErrNotFound", err)
	}
	return nil
}

func txFollows(e *Env) error {
	r, err := e.txReader()
	if err != nil {
		return err
	}
	main, side, err := e.fork(3, 1, 4)
	if err != nil {
		return err
	}
	if err := e.take(side[:1]); err != nil { // not yet heavier
		return err
	}
	both := map[chain.Hash]bool{}
	for _, b := range side {
		for _, tx := range e.f.Txs(b) {
			both[tx.Hash] = true
		}
	}
	for _, b := range main[2:] {
		for _, tx := range e.f.Txs(b) {
			if both[tx.Hash] {
				return fmt.Errorf("Factory.Child gave %s to both branches; make a branch's transactions its own", tx.Hash)
			}
		}
	}
	return first(
		func() error { return e.txsFound(r, main[3], true) },
		func() error { return e.txsFound(r, side[0], false) },
		func() error { return e.take(side[1:]) },
		func() error { return e.txsFound(r, main[3], false) },
		func() error { return e.txsFound(r, main[1], true) },
		func() error { return e.txsFound(r, side[0], true) },
		func() error { return e.txsFound(r, side[3], true) },
	)
}
