package codec

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/big"
	"slices"

	//lint:ignore SA1019 the protocol's addresses are RIPEMD-160
	"golang.org/x/crypto/ripemd160"
)

// Address is the hash of a script: who may sign for an account, or a contract.
type Address [20]byte

const (
	opCheckSig      = 0xac
	opCheckMultiSig = 0xae
	opPush0         = 0x50 // plus 1 to 16
	maxMultiSig     = 16   // keys of a script whose numbers fit one opcode
	base58Version   = 0x17
)

// AddressOfScript is the hash of a script.
func AddressOfScript(script []byte) (a Address) {
	sum := sha256.Sum256(script)
	d := ripemd160.New()
	d.Write(sum[:])
	d.Sum(a[:0])
	return a
}

// AddressOfKey is the address for which one key signs.
func AddressOfKey(key []byte) Address {
	return AddressOfScript(append(appendPush(nil, key), opCheckSig))
}

// AddressOfKeys is the address for which m of the keys sign, in whatever order
// they are given.
func AddressOfKeys(keys []Key, m int) (Address, error) {
	n := len(keys)
	if m < 1 || m > n || n > maxMultiSig {
		return Address{}, fmt.Errorf("codec: %d of %d keys make no address, at most %d do", m, n, maxMultiSig)
	}
	sorted := slices.Clone(keys)
	slices.SortFunc(sorted, compareKeys)
	script := []byte{opPush0 + byte(m)}
	for _, k := range sorted {
		script = appendPush(script, k.raw)
	}
	return AddressOfScript(append(script, opPush0+byte(n), opCheckMultiSig)), nil
}

// AddressOfBookkeepers is that of a block's signers: n - (n-1)/3 of n.
func AddressOfBookkeepers(keys []Key) (Address, error) {
	return AddressOfKeys(keys, Quorum(len(keys)))
}

// Quorum is how many of n bookkeepers must sign outside VBFT.
func Quorum(n int) int { return n - (n-1)/3 }

// appendPush appends the opcode that pushes data, of 1 to 255 bytes.
func appendPush(dst, data []byte) []byte {
	if len(data) > 75 {
		dst = append(dst, 0x4c)
	}
	return append(append(dst, byte(len(data))), data...)
}

const base58Digits = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"

// String is the address as people see it, in Base58Check.
func (a Address) String() string {
	b := append([]byte{base58Version}, a[:]...)
	sum := double(b)
	n := new(big.Int).SetBytes(append(b, sum[:4]...))
	var out []byte
	for base, digit := big.NewInt(58), new(big.Int); n.Sign() > 0; {
		n.DivMod(n, base, digit)
		out = append(out, base58Digits[digit.Int64()])
	}
	slices.Reverse(out)
	return string(out)
}

var errAddress = errors.New("codec: not an address: it should be 34 characters of base58 that begin with A")

// ParseAddress reads what String gives.
func ParseAddress(s string) (a Address, err error) {
	if len(s) != 34 {
		return a, errAddress
	}
	n := new(big.Int)
	for _, c := range []byte(s) {
		i := bytes.IndexByte([]byte(base58Digits), c)
		if i < 0 {
			return a, errAddress
		}
		n.Mul(n, big.NewInt(58)).Add(n, big.NewInt(int64(i)))
	}
	b := n.Bytes()
	if len(b) != 1+len(a)+4 || b[0] != base58Version {
		return a, errAddress
	}
	if sum := double(b[:21]); !bytes.Equal(sum[:4], b[21:]) {
		return a, fmt.Errorf("codec: address %q has a wrong checksum", s)
	}
	copy(a[:], b[1:])
	return a, nil
}
