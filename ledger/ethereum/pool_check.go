package ethereum

import (
	"math/big"

	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/params"

	"github.com/starlingp2p/starling/chain"
)

// Bounds of an encoded transaction (geth core/txpool: legacypool's txMaxSize,
// blobpool's txMaxSize, which counts the sidecar).
const (
	maxTx     = 128 << 10
	maxBlobTx = 1 << 20
)

// HashOf is the hash of an encoded transaction, with or without its blobs;
// false if it does not decode.
func HashOf(b []byte) (chain.Hash, bool) {
	t, v := decodeTx(b)
	if v.Reason != "" {
		return chain.Hash{}, false
	}
	return chain.Hash(t.Hash()), true
}

// decodeTx decodes a transaction as it is relayed: a type byte and a list, or a
// list; one with blobs has its sidecar. A reason in the verdict says why not.
func decodeTx(b []byte) (*types.Transaction, chain.Verdict) {
	switch {
	case len(b) == 0:
		return nil, chain.Rejected("bad-encoding")
	case b[0] == types.BlobTxType:
		if len(b) > maxBlobTx {
			return nil, chain.Rejected("too-large")
		}
	case len(b) > maxTx:
		return nil, chain.Rejected("too-large")
	case b[0] < 0x80 && b[0] > types.SetCodeTxType:
		return nil, chain.Ignored(chain.Unchecked) // of a fork to come, perhaps
	}
	t := new(types.Transaction)
	if err := t.UnmarshalBinary(b); err != nil {
		return nil, chain.Rejected("bad-encoding")
	}
	return t, chain.Verdict{}
}

// judged is a transaction that was looked at, and what is known of it.
type judged struct {
	e       *pooled
	t       *types.Transaction
	verdict chain.Verdict // with a reason: it is not wanted
	// lasting: the verdict will be the same tomorrow, and is about all that the
	// hash commits to.
	lasting bool
}

// judge checks what needs no pool: form, signature, and the rules at a head.
// What may hold under another fork or another head is ignored, and only what
// never can be valid is its deliverer's fault. Blobs' proofs come later.
func (p *Pool) judge(b []byte, h head) judged {
	t, v := decodeTx(b)
	if v.Reason != "" {
		return judged{verdict: v}
	}
	out := judged{t: t, e: &pooled{tx: chain.Tx{Hash: chain.Hash(t.Hash()), Kind: t.Type(), Bytes: b}, nonce: t.Nonce(), feeCap: t.GasFeeCap(), tipCap: t.GasTipCap()}}
	fault := func(reason string) judged {
		out.verdict, out.lasting = chain.Rejected(reason), true
		return out
	}
	c := p.c.Family.c.Chain
	switch {
	case t.Protected() && t.ChainId().Cmp(c.ChainID) != 0:
		return fault("wrong-network")
	case out.e.feeCap.BitLen() > 256 || out.e.tipCap.BitLen() > 256 || t.Value().BitLen() > 256:
		return fault("number-too-large")
	case out.e.feeCap.Cmp(out.e.tipCap) < 0:
		return fault("tip-over-fee-cap")
	case t.Nonce() == 1<<64-1: // EIP-2681
		return fault("nonce-too-large")
	case t.Type() == types.SetCodeTxType && len(t.SetCodeAuthorizations()) == 0: // EIP-7702
		return fault("no-authorization")
	case t.Type() == types.BlobTxType && len(t.BlobHashes()) == 0: // EIP-4844
		return fault("no-blobs")
	}
	if t.Type() == types.BlobTxType {
		out.e.blobCap = t.BlobGasFeeCap()
		if v := sidecarForm(t); v.Reason != "" {
			out.verdict = v // the hash says nothing of the sidecar
			return out
		}
	}
	from, err := types.Sender(p.signer, t)
	if err != nil {
		if _, err := types.Sender(types.LatestSignerForChainID(c.ChainID), t); err == nil {
			out.verdict = chain.Ignored(forkNotActive) // of a fork that this network has not yet set
			return out
		}
		return fault("bad-signature")
	}
	out.e.from, out.e.tx.Sender = from, string(from[:])
	out.verdict = p.now(t, h)
	return out
}

// now says why a transaction that is valid in itself cannot be in the next
// block, or never pays for itself.
func (p *Pool) now(t *types.Transaction, h head) chain.Verdict {
	c := p.c.Family.c.Chain
	london, berlin := c.IsLondon(h.number), c.IsBerlin(h.number)
	active := [...]bool{
		types.LegacyTxType: true, types.AccessListTxType: berlin, types.DynamicFeeTxType: london,
		types.BlobTxType: c.IsCancun(h.number, h.time), types.SetCodeTxType: c.IsPrague(h.number, h.time),
	}
	switch {
	case !active[t.Type()]:
		return chain.Ignored(forkNotActive)
	case t.Gas() > h.gasLimit:
		return chain.Ignored(gasOverBlockLimit)
	case c.IsOsaka(h.number, h.time) && !c.IsAmsterdam(h.number, h.time) && t.Gas() > params.MaxTxGas: // EIP-7825
		return chain.Ignored(gasOverLimit)
	case !c.IsAmsterdam(h.number, h.time) && t.Gas() < leastGas(t): // which prices transactions anew
		return chain.Ignored(gasTooLow)
	case t.To() == nil && c.IsShanghai(h.number, h.time) && !c.IsAmsterdam(h.number, h.time) && len(t.Data()) > params.MaxInitCodeSize: // EIP-3860
		return chain.Ignored(codeTooLarge)
	case t.Type() == types.BlobTxType:
		return p.sidecarNow(t, h)
	}
	return chain.Verdict{}
}

// leastGas is what a transaction uses at least, under every fork up to Osaka:
// its base and its data.
func leastGas(t *types.Transaction) uint64 {
	zeros := uint64(0)
	for _, b := range t.Data() {
		if b == 0 {
			zeros++
		}
	}
	return params.TxGas + zeros*params.TxDataZeroGas + (uint64(len(t.Data()))-zeros)*params.TxDataNonZeroGasEIP2028
}

// effectiveTip is what a block's maker gets for a unit of gas: less than zero
// where the fee cap does not reach the base fee.
func (e *pooled) effectiveTip(baseFee *big.Int) *big.Int {
	if baseFee == nil {
		return e.tipCap
	}
	left := new(big.Int).Sub(e.feeCap, baseFee)
	if left.Cmp(e.tipCap) > 0 {
		return e.tipCap
	}
	return left
}
