package ethereum

import (
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/rlp"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/wire/devp2p/eth"
)

// rawList is a list of encoded items, hashed as they are.
type rawList = [][]byte

func rootOf(l rawList) chain.Hash { return eth.Root(l) }

// body is a block's body, taken apart but not decoded.
type body struct {
	txs         rawList // in consensus encoding
	uncles      []byte  // the list
	withdrawals rawList // nil: before Shanghai
}

func splitBody(b []byte) (out body, err error) {
	in, rest, err := rlp.SplitList(b)
	if err != nil || len(rest) > 0 {
		return out, errors.New("it is no list")
	}
	txs, in, err := rlp.SplitList(in)
	if err != nil {
		return out, errors.New("it has no transactions")
	}
	if out.txs, err = splitTxs(txs); err != nil {
		return out, err
	}
	if _, after, err := rlp.SplitList(in); err == nil {
		out.uncles, in = in[:len(in)-len(after)], after
	} else {
		return out, errors.New("it has no uncles")
	}
	if len(in) == 0 {
		return out, nil
	}
	ws, in, err := rlp.SplitList(in)
	if err != nil || len(in) > 0 {
		return out, errors.New("it has bytes behind its withdrawals")
	}
	out.withdrawals, err = splitItems(ws, leastWithdrawal)
	return out, err
}

// splitTxs takes transactions apart into their consensus encodings.
func splitTxs(b []byte) (rawList, error) {
	items, err := splitItems(b, leastTx)
	if err != nil {
		return nil, err
	}
	for i, item := range items {
		if item[0] >= 0xc0 {
			continue
		}
		content, _, err := rlp.SplitString(item)
		if err != nil || len(content) < 2 || content[0] == 0 || content[0] >= 0x80 {
			return nil, fmt.Errorf("transaction %d has no type", i)
		}
		items[i] = content
	}
	return items, nil
}

// The least that an item takes, in bytes (go-ethereum eth/fetcher). A list of
// smaller ones is not taken apart: it wants memory for nothing (threat B-05).
const (
	leastTx         = 10
	leastWithdrawal = 25
	leastReceipt    = 5
	// leastUsed is what any transaction uses: 21,000 today, of which refunds gave
	// back half at most before London, and 4,500 as EIP-2780 would have it. More
	// of them than that are not hashed.
	leastUsed = 2000
)

// splitItems takes a list's content apart into items of at least so many bytes,
// on average.
func splitItems(b []byte, least int) (rawList, error) {
	n, err := rlp.CountValues(b)
	if err != nil {
		return nil, err
	}
	if n*least > len(b) {
		return nil, fmt.Errorf("%d items in %d bytes, of which each has at least %d", n, len(b), least)
	}
	out := make(rawList, 0, n)
	for len(b) > 0 {
		_, _, rest, err := rlp.Split(b)
		if err != nil {
			return nil, err
		}
		out = append(out, b[:len(b)-len(rest)])
		b = rest
	}
	return out, nil
}

// VerifyBody implements chain.Checker.
func (f *Family) VerifyBody(ch chain.Header, b, extra []byte) error {
	if err := f.verifyBody(ch, b, extra); err != nil {
		return fmt.Errorf("ethereum: body of block %v: %w: %w", ch.Ref, chain.ErrInvalid, err)
	}
	return nil
}

func (f *Family) verifyBody(ch chain.Header, b, extra []byte) error {
	h, err := f.same(ch)
	if err != nil {
		return err
	}
	parts, err := splitBody(b)
	if err != nil {
		return err
	}
	if most := h.GasLimit / leastUsed; uint64(len(parts.txs)) > most {
		return fmt.Errorf("it has %d transactions, its gas limit allows %d", len(parts.txs), most)
	}
	if got := rootOf(parts.txs); got != chain.Hash(h.TxHash) {
		return fmt.Errorf("its transactions' root is %v, the header says %v", got, h.TxHash)
	}
	if got := crypto.Keccak256Hash(parts.uncles); got != h.UncleHash {
		return fmt.Errorf("its uncles' hash is %v, the header says %v", got, h.UncleHash)
	}
	switch {
	case (parts.withdrawals != nil) != (h.WithdrawalsHash != nil):
		return fmt.Errorf("withdrawals are there: %v, the header says %v", parts.withdrawals != nil, h.WithdrawalsHash != nil)
	case h.WithdrawalsHash != nil:
		if got := rootOf(parts.withdrawals); got != chain.Hash(*h.WithdrawalsHash) {
			return fmt.Errorf("its withdrawals' root is %v, the header says %v", got, *h.WithdrawalsHash)
		}
	}
	if len(extra) == 0 {
		return nil
	}
	return verifyReceipts(h, len(parts.txs), extra)
}

// Txs implements ledger.Family.
func (f *Family) Txs(b chain.Block) ([]chain.Tx, error) {
	parts, err := splitBody(b.Body)
	if err != nil {
		return nil, fmt.Errorf("ethereum: body of block %v: %w", b.Ref(), err)
	}
	txs := make([]chain.Tx, len(parts.txs))
	for i, raw := range parts.txs {
		txs[i] = chain.Tx{Hash: chain.Hash(crypto.Keccak256Hash(raw)), Bytes: raw}
		if raw[0] < 0x80 {
			txs[i].Kind = raw[0]
		}
	}
	return txs, nil
}
