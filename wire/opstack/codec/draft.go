package codec

import (
	"crypto/ecdsa"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/ethereum/go-ethereum/crypto"

	"github.com/starlingp2p/starling/chain"
)

// Draft is what a sequencer without an execution layer puts into a block, on a
// private chain. What the execution layer would compute is made up, as a pure
// function of the rest.
type Draft struct {
	Version      Version
	Parent       chain.Ref
	Time         uint64 // Unix seconds
	FeeRecipient Address
	Txs          [][]byte // none of them empty
}

// The made-up parts.
const (
	draftGasLimit = 30_000_000
	draftGas      = 21_000 // of a transaction
	draftBaseFee  = 1_000_000_000
)

// Envelope is the block of a draft, with its hash. From V4 on its withdrawals
// root is not that of an empty trie: op-node could not decode it.
func (d Draft) Envelope() (*Envelope, error) {
	if !d.Version.Valid() {
		return nil, fmt.Errorf("opstack: payload version %d is unknown", d.Version)
	}
	e := new(Envelope)
	e.Version = d.Version
	e.ParentHash = d.Parent.Hash
	e.FeeRecipient = d.FeeRecipient
	e.Number = d.Parent.Number + 1
	e.GasLimit = draftGasLimit
	e.GasUsed = draftGas * uint64(len(d.Txs))
	e.Time = d.Time
	binary.BigEndian.PutUint64(e.BaseFee[24:], draftBaseFee)
	made := func(what string) chain.Hash {
		return chain.Hash(crypto.Keccak256Hash([]byte("starling private "+what), d.Parent.Hash[:]))
	}
	e.StateRoot, e.ReceiptsRoot, e.PrevRandao = made("state"), made("receipts"), made("randao")
	if d.Version >= V3 {
		e.BeaconRoot = made("beacon root")
	}
	if d.Version >= V4 {
		e.WithdrawalsRoot = made("withdrawals")
	}
	e.Txs = AppendTxs(nil, d.Txs)
	root, err := TxRoot(e.Txs)
	if err != nil {
		return nil, err
	}
	if n := e.Size() + SignatureSize; n > MaxMessage {
		return nil, fmt.Errorf("%w: block %d has %d bytes, a message at most %d", ErrTooLarge, e.Number, n, MaxMessage)
	}
	e.BlockHash = HeaderHash(AppendHeader(nil, e, root))
	return e, nil
}

// Key signs blocks. Its zero value is no key.
type Key struct{ k *ecdsa.PrivateKey }

// ParseKey reads a secp256k1 key of 64 hex digits, with or without "0x". Its
// errors do not repeat it.
func ParseKey(s string) (Key, error) {
	raw, err := hex.DecodeString(strings.TrimPrefix(strings.TrimSpace(s), "0x"))
	if err != nil || len(raw) != 32 {
		return Key{}, errors.New("opstack: a key has 64 hex digits")
	}
	k, err := crypto.ToECDSA(raw)
	if err != nil {
		return Key{}, errors.New("opstack: the key is no secp256k1 key: it is zero, or too large")
	}
	return Key{k}, nil
}

// Address is the account of the key.
func (k Key) Address() Address { return Address(crypto.PubkeyToAddress(k.k.PublicKey)) }

// Sign signs a signing hash.
func (k Key) Sign(signing chain.Hash) ([]byte, error) {
	sig, err := crypto.Sign(signing[:], k.k)
	if err != nil {
		return nil, fmt.Errorf("opstack: sign: %w", err)
	}
	return sig, nil
}

// SignEnvelope signs an envelope for a chain.
func (k Key) SignEnvelope(chainID uint64, e *Envelope) ([]byte, error) {
	return k.Sign(SigningHash(chainID, PayloadHash(AppendEnvelope(make([]byte, 0, e.Size()), e))))
}

// Message is a signed envelope as it is gossiped, not compressed.
func Message(sig []byte, e *Envelope) []byte {
	return AppendEnvelope(append(make([]byte, 0, len(sig)+e.Size()), sig...), e)
}

// ParseAddress reads an account of 40 hex digits, with or without "0x".
func ParseAddress(s string) (Address, error) {
	raw, err := hex.DecodeString(strings.TrimPrefix(s, "0x"))
	if err != nil || len(raw) != len(Address{}) {
		return Address{}, fmt.Errorf("opstack: address %.80q: want 40 hex digits", s)
	}
	return Address(raw), nil
}
