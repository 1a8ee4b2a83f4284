package codec

import (
	"encoding/binary"
	"slices"

	"golang.org/x/crypto/sha3"

	"github.com/starlingp2p/starling/chain"
)

// TxType is what a transaction does.
type TxType byte

// The types. v1.0.0 knows Deploy and Invoke.
const (
	TxDeploy TxType = 0xd0
	TxInvoke TxType = 0xd1
	TxWASM   TxType = 0xd2
	TxEIP155 TxType = 0xd3
)

const (
	maxTxSigs = 16
	minTx     = 1 + 1 + 1 // an EIP155 one without anything in it
)

// Sig is one proof of a transaction: a script that brings signatures, and one
// that checks them.
type Sig struct{ Invocation, Verification []byte }

// Deploy is the payload of a deploy transaction.
type Deploy struct {
	Code                                      []byte
	Flags                                     byte // 1: it needs storage; newer releases: the kind of VM
	Name, Version, Author, Email, Description string
}

// Tx is a transaction. Its hash covers all but Sigs.
type Tx struct {
	Version  byte
	Type     TxType
	Nonce    uint32
	GasPrice uint64
	GasLimit uint64
	Payer    Address
	Code     []byte  // what is invoked; the RLP of an EIP155 transaction
	Deploy   *Deploy // of a deploy transaction, in place of Code
	Sigs     []Sig

	Hash Hash
	Raw  []byte // the encoding
}

// AppendUnsigned appends what the hash covers; all of an EIP155 transaction.
func (t Tx) AppendUnsigned(dst []byte) []byte {
	le := binary.LittleEndian
	dst = append(dst, t.Version, byte(t.Type))
	if t.Type == TxEIP155 {
		return appendVarbytes(dst, t.Code)
	}
	dst = le.AppendUint32(dst, t.Nonce)
	dst = le.AppendUint64(dst, t.GasPrice)
	dst = le.AppendUint64(dst, t.GasLimit)
	dst = append(dst, t.Payer[:]...)
	if d := t.Deploy; d != nil {
		dst = append(appendVarbytes(dst, d.Code), d.Flags)
		for _, s := range []string{d.Name, d.Version, d.Author, d.Email, d.Description} {
			dst = appendText(dst, s)
		}
	} else {
		dst = appendVarbytes(dst, t.Code)
	}
	return append(dst, 0) // attributes
}

// Append appends the encoding, out of the fields.
func (t Tx) Append(dst []byte) []byte {
	dst = t.AppendUnsigned(dst)
	if t.Type == TxEIP155 {
		return dst
	}
	dst = appendVaruint(dst, uint64(len(t.Sigs)))
	for _, s := range t.Sigs {
		dst = appendVarbytes(appendVarbytes(dst, s.Invocation), s.Verification)
	}
	return dst
}

// Seal computes Hash and Raw out of the other fields.
func (t Tx) Seal() Tx {
	t.Raw = t.Append(nil)
	t.Hash = t.hash(t.AppendUnsigned(nil))
	return t
}

// hash is that of the unsigned part; that of Ethereum for its transactions.
func (t Tx) hash(unsigned []byte) (h Hash) {
	if t.Type != TxEIP155 {
		return double(unsigned)
	}
	d := sha3.NewLegacyKeccak256()
	d.Write(t.Code)
	d.Sum(h[:0])
	return h
}

// Chain is the transaction as the node knows it.
func (t Tx) Chain() chain.Tx {
	return chain.Tx{Hash: t.Hash.Chain(), Sender: string(t.Payer[:]), Kind: byte(t.Type), Bytes: t.Raw}
}

// DecodeTx reads a transaction, which is all of b; it is also the payload of
// the message "tx".
func DecodeTx(b []byte, d Dialect) (Tx, error) {
	r := newReader("transaction", b, d)
	t := r.tx()
	if err := r.end(); err != nil {
		return Tx{}, err
	}
	return t, nil
}

func (r *reader) tx() (t Tx) {
	start, was := r.b, r.irregular
	r.irregular = false
	t.Version = r.u8("version")
	t.Type = TxType(r.u8("type"))
	if t.Type == TxEIP155 {
		t.Code = r.varbytes("rlp", MaxTx)
	} else {
		r.plainTx(&t)
	}
	unsigned := len(start) - len(r.b)
	if t.Type != TxEIP155 {
		for range r.count("signatures", 2, maxTxSigs) {
			t.Sigs = append(t.Sigs, Sig{r.varbytes("invocation", MaxTx), r.varbytes("verification", MaxTx)})
		}
	}
	if size := len(start) - len(r.b); r.err == nil && size > MaxTx {
		r.fail("it has %d bytes, at most %d are allowed", size, MaxTx)
	}
	if r.err != nil {
		return Tx{}
	}
	if r.irregular {
		return t.Seal()
	}
	r.irregular = was
	end := len(start) - len(r.b)
	t.Raw = start[:end:end]
	t.Hash = t.hash(start[:unsigned])
	return t
}

func (r *reader) plainTx(t *Tx) {
	if r.err == nil && !slices.Contains([]TxType{TxDeploy, TxInvoke, TxWASM}, t.Type) {
		r.fail("type is %#02x", byte(t.Type))
		return
	}
	t.Nonce = r.u32("nonce")
	t.GasPrice = r.u64("gas price")
	t.GasLimit = r.u64("gas limit")
	t.Payer = r.address("payer")
	if t.Type == TxDeploy {
		d := &Deploy{Code: r.varbytes("code", MaxTx), Flags: r.u8("flags")}
		for _, s := range []*string{&d.Name, &d.Version, &d.Author, &d.Email, &d.Description} {
			*s = string(r.varbytes("text", MaxTx))
		}
		if r.dialect == Lenient && d.Flags > 1 { // v1.0.0 reads a bool, and writes 1
			d.Flags, r.irregular = 1, true
		}
		t.Deploy = d
	} else {
		t.Code = r.varbytes("code", MaxTx)
	}
	if n := r.varuint("attributes"); r.err == nil && n != 0 {
		r.fail("it has %d attributes, want none", n)
	}
}
