package sequenced

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/starlingp2p/starling/chain"
)

// The kinds of transactions.
const (
	KindTransfer byte = 1
	KindData     byte = 2
)

const (
	txPrefixLen   = 1 + 8 + 32 + 8 + 8
	transferLen   = txPrefixLen + 32 + 8 + ed25519.SignatureSize
	dataMinLen    = txPrefixLen + 4 + ed25519.SignatureSize
	txDomain      = "starling sequenced transaction 1\n"
	txHashDomain  = "starling sequenced transaction hash 1\n"
	minTxLen      = dataMinLen
	lengthPrefix  = 4
	maxTxsPerBody = 1 << 20
)

// Tx is a decoded transaction.
type Tx struct {
	Kind   byte
	Chain  [8]byte // the first bytes of the genesis hash
	From   Address
	Nonce  uint64
	Fee    uint64
	To     Address // of a transfer
	Amount uint64  // of a transfer
	Data   []byte  // of a data transaction; shares the memory it was decoded from
	Sig    [ed25519.SignatureSize]byte
}

// chainField is how a genesis is named in headers and transactions.
func chainField(genesis chain.Hash) [8]byte { return [8]byte(genesis[:8]) }

// NewTransfer makes and signs a transaction that moves amount from the key's
// account to another, on the chain of that genesis.
func NewTransfer(genesis chain.Hash, key ed25519.PrivateKey, nonce uint64, to Address, amount, fee uint64) chain.Tx {
	t := Tx{Kind: KindTransfer, Nonce: nonce, Fee: fee, To: to, Amount: amount}
	return t.Sign(genesis, key)
}

// NewData makes and signs a transaction that carries data and changes nothing
// but the sender's nonce and fee.
func NewData(genesis chain.Hash, key ed25519.PrivateKey, nonce uint64, data []byte, fee uint64) chain.Tx {
	t := Tx{Kind: KindData, Nonce: nonce, Fee: fee, Data: data}
	return t.Sign(genesis, key)
}

// Sign fills in Chain, From and Sig and encodes the transaction.
func (t *Tx) Sign(genesis chain.Hash, key ed25519.PrivateKey) chain.Tx {
	t.Chain, t.From = chainField(genesis), AddressOf(key)
	b := t.Append(make([]byte, 0, dataMinLen+len(t.Data)+40))
	digest := sha256.Sum256(b[:len(b)-ed25519.SignatureSize])
	t.Sig = [ed25519.SignatureSize]byte(ed25519.Sign(key, txPreimage(genesis, digest)))
	copy(b[len(b)-ed25519.SignatureSize:], t.Sig[:])
	return chain.Tx{Hash: txHash(digest, b), Sender: string(t.From[:]), Kind: t.Kind, Bytes: b}
}

// Append encodes the transaction onto dst.
func (t Tx) Append(dst []byte) []byte {
	dst = append(append(append(dst, t.Kind), t.Chain[:]...), t.From[:]...)
	dst = binary.BigEndian.AppendUint64(dst, t.Nonce)
	dst = binary.BigEndian.AppendUint64(dst, t.Fee)
	if t.Kind == KindTransfer {
		dst = binary.BigEndian.AppendUint64(append(dst, t.To[:]...), t.Amount)
	} else {
		dst = append(binary.BigEndian.AppendUint32(dst, uint32(len(t.Data))), t.Data...)
	}
	return append(dst, t.Sig[:]...)
}

// DecodeTx reads one transaction, which must be all of b. The signature is not
// checked.
func DecodeTx(b []byte) (t Tx, err error) {
	if len(b) < minTxLen {
		return t, fmt.Errorf("sequenced: transaction of %d bytes, want at least %d", len(b), minTxLen)
	}
	t.Kind = b[0]
	t.Chain = [8]byte(b[1:])
	t.From = Address(b[9:])
	t.Nonce = binary.BigEndian.Uint64(b[41:])
	t.Fee = binary.BigEndian.Uint64(b[49:])
	rest := b[txPrefixLen:]
	switch t.Kind {
	case KindTransfer:
		if len(b) != transferLen {
			return t, fmt.Errorf("sequenced: transfer of %d bytes, want %d", len(b), transferLen)
		}
		t.To = Address(rest)
		t.Amount = binary.BigEndian.Uint64(rest[32:])
	case KindData:
		if n := binary.BigEndian.Uint32(rest); uint64(n) != uint64(len(b)-dataMinLen) {
			return t, fmt.Errorf("sequenced: data transaction of %d bytes says that it carries %d", len(b), n)
		}
		t.Data = rest[4 : len(rest)-ed25519.SignatureSize]
	default:
		return t, fmt.Errorf("sequenced: transaction of unknown kind %d", t.Kind)
	}
	t.Sig = [ed25519.SignatureSize]byte(b[len(b)-ed25519.SignatureSize:])
	return t, nil
}

// unsigned is SHA-256 of an encoded transaction without its signature. It is
// the one pass over a large payload: the hash and the signature build on it.
func unsigned(b []byte) [32]byte { return sha256.Sum256(b[:len(b)-ed25519.SignatureSize]) }

func txPreimage(genesis chain.Hash, digest [32]byte) []byte {
	p := make([]byte, 0, len(txDomain)+64)
	p = append(p, txDomain...)
	p = append(p, genesis[:]...)
	return append(p, digest[:]...)
}

func txHash(digest [32]byte, b []byte) chain.Hash {
	var buf [len(txHashDomain) + 32 + ed25519.SignatureSize]byte
	n := copy(buf[:], txHashDomain)
	n += copy(buf[n:], digest[:])
	copy(buf[n:], b[len(b)-ed25519.SignatureSize:])
	return sha256.Sum256(buf[:])
}

// errBody is what a body that is no list of transactions gives.
var errBody = errors.New("sequenced: body is no list of transactions")

// splitBody cuts a body into encoded transactions, without copying; want is
// how many there must be.
func splitBody(body []byte, want uint32) ([][]byte, error) {
	if uint64(want)*(lengthPrefix+minTxLen) > uint64(len(body)) || want > maxTxsPerBody {
		return nil, fmt.Errorf("%w: %d do not fit into %d bytes", errBody, want, len(body))
	}
	txs := make([][]byte, 0, want)
	for len(body) > 0 {
		if len(body) < lengthPrefix || uint32(len(txs)) == want {
			return nil, fmt.Errorf("%w: %d bytes are left after %d", errBody, len(body), len(txs))
		}
		n := binary.BigEndian.Uint32(body)
		body = body[lengthPrefix:]
		if n < minTxLen || uint64(n) > uint64(len(body)) {
			return nil, fmt.Errorf("%w: number %d has %d bytes, %d are left", errBody, len(txs), n, len(body))
		}
		txs = append(txs, body[:n:n])
		body = body[n:]
	}
	if uint32(len(txs)) != want {
		return nil, fmt.Errorf("%w: it has %d, the header says %d", errBody, len(txs), want)
	}
	return txs, nil
}

// joinBody is the inverse of splitBody.
func joinBody(txs []chain.Tx) []byte {
	n := 0
	for _, t := range txs {
		n += lengthPrefix + len(t.Bytes)
	}
	b := make([]byte, 0, n)
	for _, t := range txs {
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(t.Bytes))), t.Bytes...)
	}
	return b
}

// merkleRoot is the Merkle tree hash of RFC 6962 §2.1 over the hashes.
func merkleRoot(hs []chain.Hash) chain.Hash {
	switch len(hs) {
	case 0:
		return sha256.Sum256(nil)
	case 1:
		return sha256.Sum256(append([]byte{0}, hs[0][:]...))
	}
	k := 1
	for k*2 < len(hs) {
		k *= 2
	}
	l, r := merkleRoot(hs[:k]), merkleRoot(hs[k:])
	return sha256.Sum256(append(append([]byte{1}, l[:]...), r[:]...))
}
