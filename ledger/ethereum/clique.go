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
	reader        *atomic.Pointer[chain.Reader] // the family's
}

func newClique(c *params.CliqueConfig, genesis chain.Header, extra []byte, reader *atomic.Pointer[chain.Reader]) (*clique, error) {
	first, err := signersOf(genesis.Ref, extra)
	if err != nil {
		return nil, fmt.Errorf("ethereum: genesis: %w", err)
	}
	q := &clique{epoch: c.Epoch, period: c.Period, genesis: genesis.Ref.Hash, reader: reader}
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

// verifySealed checks a header's seal. Where the parent's ancestors are not here,
// as on the way down to our chain, nobody can tell who may sign. Then the target
// vouches, on a network that is past its Merge; on another the signers after our
// head stand in, so that a single one of them cannot make a branch alone, and
// what does not fit them is no fault: others may have been voted in.
func (f *Family) verifySealed(ctx context.Context, on *batch, pc, ch chain.Header, h *types.Header) error {
	q := f.clique
	if err := q.form(h); err != nil {
		return err
	}
	if on.likely == nil {
		s, err := q.signersAfter(ctx, pc)
		if err == nil {
			next, err := q.judge(s, ch, h)
			if err == nil {
				q.after.Add(ch.Ref.Hash, next)
			}
			return err
		}
		if !errors.Is(err, errUnknownSigners) {
			return err
		}
		if f.NeedsTarget() {
			return nil
		}
		if on.likely, err = q.signersNow(ctx, pc.Ref.Number); err != nil {
			return err
		}
	}
	next, err := q.judge(on.likely, ch, h)
	if err != nil {
		return ownTrouble{fmt.Errorf("%w: %w, and it does not fit those after our head: %w", chain.ErrUnjudged, errUnknownSigners, err)}
	}
	on.likely = next
	return nil
}

// signersNow are those after our head, as if they were those after a block of
// that number, with no votes and nobody who signed lately.
func (q *clique) signersNow(ctx context.Context, number uint64) (*signers, error) {
	r := q.reader.Load()
	if r == nil {
		return nil, ownTrouble{errUnknownSigners}
	}
	head, err := (*r).Header(ctx, (*r).Status().Head)
	if err != nil {
		return nil, ownTrouble{err}
	}
	s, err := q.signersAfter(ctx, head)
	if err != nil {
		return nil, ownTrouble{err}
	}
	return &signers{number: number, allowed: s.allowed, recent: map[uint64]common.Address{}}, nil
}

// judge checks a header's seal by the signers after its parent, and gives those
// after it.
func (q *clique) judge(s *signers, ch chain.Header, h *types.Header) (*signers, error) {
	if ch.Ref.Number%q.epoch == 0 {
		var list []byte
		for _, a := range s.sorted() {
			list = append(list, a[:]...)
		}
		if !bytes.Equal(h.Extra[vanityLen:len(h.Extra)-sealLen], list) {
			return nil, errors.New("it lists other signers than there are")
		}
	}
	by, err := q.signer(ch.Ref, h)
	if err != nil {
		return nil, err
	}
	next, err := s.with(h, by, q.epoch)
	if err != nil {
		return nil, err
	}
	want := otherDifficulty
	if s.inTurn(ch.Ref.Number, by) {
		want = turnDifficulty
	}
	if h.Difficulty.Cmp(want) != 0 {
		return nil, fmt.Errorf("its difficulty is %v, want %v of %s", h.Difficulty, want, by)
	}
	return next, nil
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
