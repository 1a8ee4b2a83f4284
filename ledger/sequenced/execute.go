package sequenced

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/ledger"
)

// GenesisState implements ledger.Executor.
func (f *Family) GenesisState() []ledger.Write { return f.alloc }

// Execute implements ledger.Executor.
func (f *Family) Execute(s ledger.State, b chain.Block) ([]ledger.Write, error) {
	h, err := decodeHeader(b.Header.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", chain.ErrInvalid, err)
	}
	raw, err := splitBody(b.Body, h.txs)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", chain.ErrInvalid, err)
	}
	x := f.newRun(s)
	for i, r := range raw {
		t, err := DecodeTx(r)
		if err != nil {
			return nil, fmt.Errorf("%w: transaction %d: %w", chain.ErrInvalid, i, err)
		}
		if err := x.apply(t); err != nil {
			return nil, fmt.Errorf("transaction %d: %w", i, err)
		}
	}
	return x.writes(), nil
}

// run executes transactions one after another on top of a state.
type run struct {
	f        *Family
	s        ledger.State
	accounts map[Address]Account
}

func (f *Family) newRun(s ledger.State) *run {
	return &run{f: f, s: s, accounts: map[Address]Account{}}
}

func (x *run) account(a Address) (Account, error) {
	if acc, ok := x.accounts[a]; ok {
		return acc, nil
	}
	b, err := x.s.Get(accountKey(a))
	if err != nil {
		return Account{}, err
	}
	return decodeAccount(b)
}

// errFunds: an account has less than it spends.
var errFunds = errors.New("sequenced: not enough funds")

// apply executes one transaction or changes nothing. The sum of all balances
// stays as it is, so no addition overflows.
func (x *run) apply(t Tx) error {
	from, err := x.account(t.From)
	if err != nil {
		return err
	}
	if t.Nonce != from.Nonce {
		return fmt.Errorf("%w: nonce is %d, want %d", chain.ErrInvalid, t.Nonce, from.Nonce)
	}
	if t.Amount > from.Balance || t.Fee > from.Balance-t.Amount {
		return fmt.Errorf("%w: %w: it spends %d and a fee of %d, the sender has %d", chain.ErrInvalid, errFunds, t.Amount, t.Fee, from.Balance)
	}
	from.Nonce++
	from.Balance -= t.Amount + t.Fee
	moves := []struct {
		to     Address
		amount uint64
	}{{t.To, t.Amount}, {x.f.feeAccount(), t.Fee}}
	changed := map[Address]Account{t.From: from}
	for _, m := range moves {
		if m.amount == 0 {
			continue
		}
		acc, ok := changed[m.to]
		if !ok {
			if acc, err = x.account(m.to); err != nil {
				return err
			}
		}
		acc.Balance += m.amount
		changed[m.to] = acc
	}
	for a, acc := range changed { // distinct keys: the order has no effect
		x.accounts[a] = acc
	}
	return nil
}

// feeAccount receives the fees: the sequencer's.
func (f *Family) feeAccount() (a Address) {
	copy(a[:], f.c.SequencerKey)
	return a
}

// writes lists what changed by ascending key.
func (x *run) writes() []ledger.Write {
	ws := make([]ledger.Write, 0, len(x.accounts))
	for a, acc := range x.accounts {
		ws = append(ws, ledger.Write{Key: accountKey(a), Value: acc.encode()})
	}
	slices.SortFunc(ws, func(a, b ledger.Write) int { return bytes.Compare(a.Key, b.Key) })
	return ws
}
