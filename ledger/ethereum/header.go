package ethereum

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/big"
	"time"

	"github.com/ethereum/go-ethereum/consensus/misc/eip1559"
	"github.com/ethereum/go-ethereum/consensus/misc/eip4844"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/params"
	"github.com/ethereum/go-ethereum/rlp"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/wire/devp2p/eth"
)

// maxDifficultyBits bounds a difficulty, as geth does (core/types, SanityCheck).
const maxDifficultyBits = 80

// decodeHeader is strict: one encoding for each header.
func decodeHeader(b []byte) (chain.Header, *types.Header, error) {
	if len(b) > eth.MaxHeader {
		return chain.Header{}, nil, fmt.Errorf("ethereum: header has %d bytes, at most %d", len(b), eth.MaxHeader)
	}
	h := new(types.Header)
	if err := rlp.DecodeBytes(b, h); err != nil {
		return chain.Header{}, nil, fmt.Errorf("ethereum: header: %w", err)
	}
	switch {
	case h.Number == nil || !h.Number.IsUint64():
		return chain.Header{}, nil, fmt.Errorf("ethereum: header: number %v is over 64 bits", h.Number)
	case h.Difficulty == nil || h.Difficulty.BitLen() > maxDifficultyBits:
		return chain.Header{}, nil, fmt.Errorf("ethereum: header: difficulty %v is over %d bits", h.Difficulty, maxDifficultyBits)
	case h.Time > math.MaxInt64/2:
		return chain.Header{}, nil, fmt.Errorf("ethereum: header: time %d is over %d", h.Time, int64(math.MaxInt64/2))
	}
	return chain.Header{
		Ref:    chain.Ref{Number: h.Number.Uint64(), Hash: chain.Hash(crypto.Keccak256Hash(b))},
		Parent: chain.Hash(h.ParentHash), Time: time.Unix(int64(h.Time), 0).UTC(), Bytes: b,
	}, h, nil
}

// DecodeHeader implements ledger.Family.
func (f *Family) DecodeHeader(b []byte) (chain.Header, error) {
	h, _, err := decodeHeader(b)
	return h, err
}

// VerifyHeaders implements chain.Checker.
func (f *Family) VerifyHeaders(parent chain.Header, hs []chain.Header) (int, error) {
	return f.VerifyHeadersContext(context.Background(), parent, hs)
}

// VerifyHeadersContext implements chain.HeadersChecker.
func (f *Family) VerifyHeadersContext(ctx context.Context, parent chain.Header, hs []chain.Header) (int, error) {
	fail := func(i int, err error) (int, error) {
		if own := (ownTrouble{}); errors.As(err, &own) {
			return i, fmt.Errorf("ethereum: header %v: %w", hs[i].Ref, own.error)
		}
		return i, fmt.Errorf("ethereum: header %v: %w: %w", hs[i].Ref, chain.ErrInvalid, err)
	}
	if len(hs) == 0 {
		return 0, nil
	}
	_, up, err := decodeHeader(parent.Bytes)
	if err != nil {
		return fail(0, fmt.Errorf("its parent: %w", err))
	}
	on := batch{total: f.total(ctx, parent, up)}
	for i, ch := range hs {
		h, err := f.same(ch)
		if err == nil {
			err = f.verifyHeader(ctx, &on, parent, up, ch, h)
		}
		if err != nil {
			return fail(i, err)
		}
		if on.total != nil {
			on.total = new(big.Int).Add(on.total, h.Difficulty)
			f.totals.Add(ch.Ref.Hash, on.total)
		}
		parent, up = ch, h
	}
	return len(hs), nil
}

// batch is what is known after each header of some that are verified together.
type batch struct {
	total  *big.Int // difficulty before the Merge; nil: not known
	likely *signers // that stand in where those of clique are not known; nil: none do
}

// ownTrouble is why a header could not be judged, which is no fault of the header's.
type ownTrouble struct{ error }

func (t ownTrouble) Unwrap() error { return t.error }

// same decodes a header and checks that the rest of it says the same.
func (f *Family) same(ch chain.Header) (*types.Header, error) {
	d, h, err := decodeHeader(ch.Bytes)
	if err != nil {
		return nil, err
	}
	if d.Ref != ch.Ref || d.Parent != ch.Parent || !d.Time.Equal(ch.Time) {
		return nil, fmt.Errorf("its bytes are those of %v", d.Ref)
	}
	return h, nil
}

func (f *Family) verifyHeader(ctx context.Context, on *batch, pc chain.Header, parent *types.Header, ch chain.Header, h *types.Header) error {
	switch {
	case ch.Parent != pc.Ref.Hash:
		return fmt.Errorf("its parent is %v, want %v", ch.Parent, pc.Ref)
	case ch.Ref.Number != pc.Ref.Number+1:
		return fmt.Errorf("its parent has number %d", pc.Ref.Number)
	}
	if err := f.inTime(parent, h); err != nil {
		return err
	}
	if err := f.form(h); err != nil {
		return err
	}
	if err := f.fees(parent, h); err != nil {
		return err
	}
	if err := f.era(parent, on.total, h); err != nil {
		return err
	}
	switch {
	case afterMerge(h):
		return nil
	case f.clique != nil:
		return f.verifySealed(ctx, on, pc, ch, h)
	}
	return f.checkDifficulty(parent, h)
}

// inTime checks how long after its parent a header comes: under clique a period
// at least, which may be none, else later (consensus/clique, ethash and beacon of
// geth's). No time is over half of 63 bits.
func (f *Family) inTime(parent, h *types.Header) error {
	if f.clique == nil || afterMerge(h) {
		if h.Time <= parent.Time {
			return fmt.Errorf("its time %d is not after its parent's %d", h.Time, parent.Time)
		}
		return nil
	}
	if h.Time < parent.Time || h.Time-parent.Time < f.clique.period {
		return fmt.Errorf("its time %d is not %d s after its parent's %d", h.Time, f.clique.period, parent.Time)
	}
	return nil
}

// afterMerge tells blocks of the beacon chain, which have no difficulty (EIP-3675).
func afterMerge(h *types.Header) bool { return h.Difficulty.Sign() == 0 }

// form checks what can be said of a header alone.
func (f *Family) form(h *types.Header) error {
	c := f.c.Chain
	if h.GasLimit > params.MaxGasLimit || h.GasUsed > h.GasLimit {
		return fmt.Errorf("it uses %d gas of %d", h.GasUsed, h.GasLimit)
	}
	if f.clique == nil || afterMerge(h) {
		if uint64(len(h.Extra)) > params.MaximumExtraDataSize {
			return fmt.Errorf("its extra data has %d bytes, at most %d", len(h.Extra), params.MaximumExtraDataSize)
		}
	}
	if afterMerge(h) && (h.Nonce != types.BlockNonce{} || h.UncleHash != types.EmptyUncleHash) {
		return errors.New("it has a nonce or uncles after the merge")
	}
	for _, field := range []struct {
		name     string
		is, want bool
	}{
		{"withdrawals root", h.WithdrawalsHash != nil, c.IsShanghai(h.Number, h.Time)},
		{"excess blob gas", h.ExcessBlobGas != nil, c.IsCancun(h.Number, h.Time)},
		{"blob gas", h.BlobGasUsed != nil, c.IsCancun(h.Number, h.Time)},
		{"beacon root", h.ParentBeaconRoot != nil, c.IsCancun(h.Number, h.Time)},
		{"requests hash", h.RequestsHash != nil, c.IsPrague(h.Number, h.Time)},
		{"block access list hash", h.BlockAccessListHash != nil, c.IsAmsterdam(h.Number, h.Time)},
		{"slot number", h.SlotNumber != nil, c.IsAmsterdam(h.Number, h.Time)},
	} {
		if field.is != field.want {
			return fmt.Errorf("%s: present %v, want %v at its fork", field.name, field.is, field.want)
		}
	}
	return nil
}

// fees checks gas limit, base fee and blob fee against the parent's.
func (f *Family) fees(parent, h *types.Header) error {
	c := f.c.Chain
	if c.IsLondon(h.Number) {
		if err := eip1559.VerifyEIP1559Header(c, parent, h); err != nil {
			return err
		}
	} else {
		if h.BaseFee != nil {
			return errors.New("it has a base fee before London")
		}
		apart := new(big.Int).Sub(new(big.Int).SetUint64(h.GasLimit), new(big.Int).SetUint64(parent.GasLimit))
		if apart.CmpAbs(new(big.Int).SetUint64(parent.GasLimit/params.GasLimitBoundDivisor)) >= 0 || h.GasLimit < params.MinGasLimit {
			return fmt.Errorf("its gas limit is %d, its parent's %d", h.GasLimit, parent.GasLimit)
		}
	}
	if c.IsCancun(h.Number, h.Time) {
		return eip4844.VerifyEIP4844Header(c, parent, h)
	}
	return nil
}
