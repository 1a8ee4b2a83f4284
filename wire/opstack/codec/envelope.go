package codec

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/ethereum/go-ethereum/crypto"

	"github.com/starlingp2p/starling/chain"
)

// SignatureSize is the length of a signature: r, s, and the parity in a byte.
const SignatureSize = crypto.SignatureLength

// Address is an Ethereum account.
type Address [20]byte

// String is the address in hex behind "0x".
func (a Address) String() string { return fmt.Sprintf("0x%x", a[:]) }

// Envelope is a payload with what travels beside it and is under its hash.
type Envelope struct {
	Payload
	BeaconRoot chain.Hash // parentBeaconBlockRoot, from V3 on
}

// Size is the length of the encoding in bytes.
func (e *Envelope) Size() int {
	n := e.Payload.Size()
	if e.Version.Enveloped() {
		n += len(e.BeaconRoot)
	}
	return n
}

// AppendEnvelope appends what is signed and sent of e: from V3 on the parent
// beacon block root, then the payload.
func AppendEnvelope(dst []byte, e *Envelope) []byte {
	if e.Version.Enveloped() {
		dst = append(dst, e.BeaconRoot[:]...)
	}
	return AppendPayload(dst, &e.Payload)
}

// DecodeEnvelope decodes what AppendEnvelope wrote, as DecodePayload does.
func DecodeEnvelope(b []byte, v Version) (*Envelope, error) {
	e := new(Envelope)
	if v.Enveloped() {
		if len(b) < len(e.BeaconRoot) {
			return nil, bad("envelope has %d bytes, a parent beacon block root takes %d", len(b), len(e.BeaconRoot))
		}
		copy(e.BeaconRoot[:], b)
		b = b[len(e.BeaconRoot):]
	}
	p, err := DecodePayload(b, v)
	if err != nil {
		return nil, err
	}
	e.Payload = *p
	return e, nil
}

// PayloadHash is the hash of an encoded envelope.
func PayloadHash(envelope []byte) chain.Hash { return chain.Hash(crypto.Keccak256Hash(envelope)) }

// SigningHash is what the sequencer of a chain signs of a payload's hash: with
// the domain of blocks, which is zero.
func SigningHash(chainID uint64, payload chain.Hash) chain.Hash {
	var b [96]byte
	binary.BigEndian.PutUint64(b[56:], chainID)
	copy(b[64:], payload[:])
	return chain.Hash(crypto.Keccak256Hash(b[:]))
}

// Recover gives the account whose signature of a signing hash this is. It errs
// for what is no signature at all.
func Recover(signing chain.Hash, sig []byte) (Address, error) {
	if len(sig) != SignatureSize {
		return Address{}, bad("signature of %d bytes, want %d", len(sig), SignatureSize)
	}
	pub, err := crypto.Ecrecover(signing[:], sig)
	if err != nil {
		return Address{}, bad("signature: %w", err)
	}
	return Address(crypto.Keccak256(pub[1:])[12:]), nil
}

// maxTime is the latest time, in Unix seconds, that a header may have: far
// beyond anything, and within what package time can count.
const maxTime = 1 << 40

// TimeOf is a payload's time as package time has it.
func TimeOf(seconds uint64) time.Time { return time.Unix(int64(min(seconds, maxTime)), 0).UTC() }

// Block is the envelope as the chain's contract has it: the header is the
// execution layer's in RLP, the body is the list of transactions as in the
// payload, Extra the signature, if there is one, and the withdrawals, which no
// valid block has. The number and hash are those that the payload claims:
// CheckHash tells whether the header has that hash.
func (e *Envelope) Block(sig []byte) (chain.Block, error) {
	root, err := TxRoot(e.Txs)
	if err != nil {
		return chain.Block{}, err
	}
	b := e.Sketch(sig)
	b.Header.Bytes = AppendHeader(make([]byte, 0, headerRoom), e, root)
	return b, nil
}

// Sketch is Block without the header's bytes, and so without the cost of the
// transactions' root.
func (e *Envelope) Sketch(sig []byte) chain.Block {
	extra := make([]byte, 0, len(sig)+len(e.Withdrawals))
	extra = append(append(extra, sig...), e.Withdrawals...)
	return chain.Block{
		Header: chain.Header{
			Ref:    chain.Ref{Number: e.Number, Hash: e.BlockHash},
			Parent: e.ParentHash,
			Time:   TimeOf(e.Time),
		},
		Body:  e.Txs,
		Extra: extra,
	}
}

// EnvelopeOf is the envelope of a block that Block made, its signature left
// out. It shares the block's memory.
func EnvelopeOf(b chain.Block) (*Envelope, error) {
	e, _, err := ParseHeader(b.Header.Bytes)
	if err != nil {
		return nil, err
	}
	if err := checkTxs(b.Body); err != nil {
		return nil, err
	}
	e.Txs = b.Body
	if len(b.Extra) > SignatureSize {
		e.Withdrawals = b.Extra[SignatureSize:]
	}
	return e, nil
}
