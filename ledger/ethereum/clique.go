package ethereum

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/big"
	"sync/atomic"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/params"
	"github.com/ethereum/go-ethereum/rlp"
	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/starlingp2p/starling/chain"
)

// defaultEpoch is after how many blocks the signers are listed anew, where a
// network does not say (EIP-225).
const defaultEpoch = 30000

// Bounds of what is remembered: signers after each of the last blocks, and who
// signed each of the last headers.
const (
	rememberSigners = 1024
	rememberSeals   = 4096
)

// clique is proof of authority as EIP-225 has it.
type clique struct {
	epoch, period uint64
	genesis       chain.Hash
	after         *lru.Cache[chain.Hash, *signers]
	seals         *lru.Cache[chain.Hash, common.Address]
	reader        atomic.Pointer[chain.Reader]
}

func newClique(c *params.CliqueConfig, genesis chain.Header, extra []byte) (*clique, error) {
	first, err := signersOf(genesis.Ref, extra)
	if err != nil {
		return nil, fmt.Errorf("ethereum: genesis: %w", err)
	}
	q := &clique{epoch: c.Epoch, period: c.Period, genesis: genesis.Ref.Hash}
	if q.epoch == 0 {
		q.epoch = defaultEpoch
	}
	q.after, _ = lru.New[chain.Hash, *signers](rememberSigners)
	q.seals, _ = lru.New[chain.Hash, common.Address](rememberSeals)
	q.after.Add(genesis.Ref.Hash, first)
	return q, nil
}

// sealHash is what a signer signs: the header without the seal.
func sealHash(h *types.Header) common.Hash {
	fields := []any{
		h.ParentHash, h.UncleHash, h.Coinbase, h.Root, h.TxHash, h.ReceiptHash, h.Bloom, h.Difficulty, h.Number,
		h.GasLimit, h.GasUsed, h.Time, h.Extra[:len(h.Extra)-sealLen], h.MixDigest, h.Nonce,
	}
	if h.BaseFee != nil {
		fields = append(fields, h.BaseFee)
	}
	b, err := rlp.EncodeToBytes(fields)
	if err != nil {
		return common.Hash{} // which nobody signs
	}
	return crypto.Keccak256Hash(b)
}

// signer is who sealed a header.
func (q *clique) signer(ref chain.Ref, h *types.Header) (common.Address, error) {
	if a, ok := q.seals.Get(ref.Hash); ok {
		return a, nil
	}
	if len(h.Extra) < vanityLen+sealLen {
		return common.Address{}, fmt.Errorf("its extra data has %d bytes, which holds no seal", len(h.Extra))
	}
	key, err := crypto.SigToPub(sealHash(h).Bytes(), h.Extra[len(h.Extra)-sealLen:])
	if err != nil {
		return common.Address{}, errors.New("its seal is no signature")
	}
	a := crypto.PubkeyToAddress(*key)
	q.seals.Add(ref.Hash, a)
	return a, nil
}

var (
	turnDifficulty  = big.NewInt(2)
	otherDifficulty = big.NewInt(1)
)

// form checks what EIP-225 says of a header alone.
func (q *clique) form(h *types.Header) error {
	number := h.Number.Uint64()
	checkpoint := number%q.epoch == 0
	if _, err := voteOf(h.Nonce); err != nil {
		return err
	}
	listed := len(h.Extra) - vanityLen - sealLen
	switch {
	case listed < 0:
		return fmt.Errorf("its extra data has %d bytes, which holds no seal", len(h.Extra))
	case !checkpoint && listed != 0:
		return fmt.Errorf("it lists signers, which only every %d-th block does", q.epoch)
	case checkpoint && (h.Coinbase != common.Address{} || h.Nonce != voteDrop):
		return errors.New("it votes, and is a checkpoint")
	case h.MixDigest != common.Hash{} || h.UncleHash != types.EmptyUncleHash:
		return errors.New("it has a mix digest or uncles")
	case h.Difficulty.Cmp(turnDifficulty) != 0 && h.Difficulty.Cmp(otherDifficulty) != 0:
		return fmt.Errorf("its difficulty is %v, want 1 or 2", h.Difficulty)
	}
	return nil
}

// verify checks a header whose parent's signers are known or can be made.
func (q *clique) verify(pc, ch chain.Header, h *types.Header) error {
	if err := q.form(h); err != nil {
		return err
	}
	s, err := q.signersAfter(pc)
	if err != nil {
		return err
	}
	if ch.Ref.Number%q.epoch == 0 {
		var list []byte
		for _, a := range s.sorted() {
			list = append(list, a[:]...)
		}
		if !bytes.Equal(h.Extra[vanityLen:len(h.Extra)-sealLen], list) {
			return errors.New("it lists other signers than there are")
		}
	}
	by, err := q.signer(ch.Ref, h)
	if err != nil {
		return err
	}
	next, err := s.with(h, by, q.epoch)
	if err != nil {
		return err
	}
	want := otherDifficulty
	if s.inTurn(ch.Ref.Number, by) {
		want = turnDifficulty
	}
	if h.Difficulty.Cmp(want) != 0 {
		return fmt.Errorf("its difficulty is %v, want %v of %s", h.Difficulty, want, by)
	}
	q.after.Add(ch.Ref.Hash, next)
	return nil
}

// errUnknownSigners: the signers after a block cannot be told, since its
// ancestors are not here.
var errUnknownSigners = errors.New("the signers after its parent are not known here")

// signersAfter gives the signers after a block, from memory or from the headers
// before it, back to the last checkpoint.
func (q *clique) signersAfter(h chain.Header) (*signers, error) {
	if s, ok := q.after.Get(h.Ref.Hash); ok {
		return s, nil
	}
	r := q.reader.Load()
	var back []chain.Header // from h towards genesis
	var s *signers
	for s == nil {
		if got, ok := q.after.Get(h.Ref.Hash); ok {
			s = got
			break
		}
		_, full, err := decodeHeader(h.Bytes)
		if err != nil {
			return nil, err
		}
		// Who signed lately is not listed: so many blocks before the checkpoint
		// are forgotten, and a signer may then sign a little early.
		if h.Ref.Number%q.epoch == 0 && uint64(len(back)) >= q.epoch/2 {
			if s, err = signersOf(h.Ref, full.Extra); err != nil {
				return nil, err
			}
			break
		}
		if uint64(len(back)) > 2*q.epoch || r == nil {
			return nil, errUnknownSigners
		}
		back = append(back, h)
		if h, err = (*r).Header(context.Background(), chain.Ref{Number: h.Ref.Number - 1, Hash: h.Parent}); err != nil {
			return nil, errUnknownSigners
		}
	}
	for i := len(back) - 1; i >= 0; i-- {
		_, full, err := decodeHeader(back[i].Bytes)
		if err != nil {
			return nil, err
		}
		by, err := q.signer(back[i].Ref, full)
		if err != nil {
			return nil, err
		}
		if s, err = s.with(full, by, q.epoch); err != nil {
			return nil, err
		}
		q.after.Add(back[i].Ref.Hash, s)
	}
	return s, nil
}

// vouch says whether a header may be relayed before its parent is known: it is
// of the right form, and sealed by somebody who may sign as far as we know. Where
// the signers after its parent are not remembered, a stranger may have been voted
// in meanwhile: errUnknownSigners, which is nobody's fault.
func (q *clique) vouch(ref chain.Ref, h *types.Header) error {
	if err := q.form(h); err != nil {
		return err
	}
	by, err := q.signer(ref, h)
	if err != nil {
		return err
	}
	if s, ok := q.after.Get(chain.Hash(h.ParentHash)); ok {
		if !s.allowed[by] {
			return fmt.Errorf("it is signed by %s, who may not sign", by)
		}
		return nil
	}
	for _, known := range q.after.Values() {
		if known.allowed[by] {
			return nil
		}
	}
	return errUnknownSigners
}

// Seal signs a header of ours with a signer's key: its extra data gets the seal.
func Seal(h *types.Header, sign func(hash []byte) (sig []byte, err error)) error {
	if len(h.Extra) < vanityLen+sealLen {
		return fmt.Errorf("ethereum: extra data has %d bytes, want room for %d of vanity and %d of seal", len(h.Extra), vanityLen, sealLen)
	}
	sig, err := sign(sealHash(h).Bytes())
	if err != nil {
		return err
	}
	copy(h.Extra[len(h.Extra)-sealLen:], sig)
	return nil
}
