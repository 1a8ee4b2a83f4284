package ontology

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/starlingp2p/starling/wire/ontology/codec"
)

// What is wrong with a transaction's proofs.
var (
	errScript  = errors.New("ontology: script is malformed")
	errForm    = errors.New("ontology: key or form that is not checked here")
	errProof   = errors.New("ontology: signature is wrong")
	errNoPayer = errors.New("ontology: payer has not signed")
)

// Opcodes of the scripts (neovm).
const (
	opPushData1 = 0x4c
	opPushData2 = 0x4d
	opPushData4 = 0x4e
	opPush0     = 0x50 // plus 1 to 16
	opCheckSig  = 0xac
	opMultiSig  = 0xae
	maxPush     = 75
	maxMulti    = 16 // keys, and signatures brought
)

// proof is one of a transaction's, read.
type proof struct {
	keys []codec.Key
	sigs [][]byte // as many as must sign
}

// checkSigs checks every proof of a transaction, and that one is its payer's,
// as v1.0.0's checkTransactionSignatures. That somebody else's proofs do not
// count is found before any signature is checked. It uses CPU: for at most 16
// proofs, each of 16 signatures by 16 keys, which are in one order as a rule.
func checkSigs(t codec.Tx) error {
	paid, proofs := false, make([]proof, 0, len(t.Sigs))
	for _, s := range t.Sigs {
		keys, m, err := program(s.Verification)
		if err != nil {
			return err
		}
		sigs, err := pushes(s.Invocation)
		if err != nil {
			return err
		}
		if len(sigs) < m {
			return fmt.Errorf("%w: %d signatures, want %d", errScript, len(sigs), m)
		}
		at := codec.AddressOfKey(keys[0].Bytes())
		if len(keys) > 1 {
			if at, err = codec.AddressOfKeys(keys, m); err != nil {
				return fmt.Errorf("%w: %w", errScript, err)
			}
		}
		paid = paid || at == t.Payer
		proofs = append(proofs, proof{keys, sigs[:m]})
	}
	if !paid {
		return errNoPayer
	}
	for _, p := range proofs {
		if !signed(t.Hash[:], p.keys, p.sigs) {
			return errProof
		}
	}
	return nil
}

// signed reports whether each signature is by a key of its own. Signatures and
// keys are as a rule in one order; a key that signed none is passed over at most
// once a signature.
func signed(msg []byte, keys []codec.Key, sigs [][]byte) bool {
	used := make([]bool, len(keys))
next:
	for i, sig := range sigs {
		for d := range keys {
			if j := (i + d) % len(keys); !used[j] && keys[j].Verify(msg, sig) {
				used[j] = true
				continue next
			}
		}
		return false
	}
	return true
}

// program reads a verification script: the keys, and how many of them sign.
func program(b []byte) (keys []codec.Key, m int, err error) {
	if len(b) < 3 {
		return nil, 0, errScript
	}
	end, body := b[len(b)-1], b[:len(b)-1]
	switch end {
	case opCheckSig:
		raw, rest, err := readPush(body)
		if err != nil || len(rest) > 0 {
			return nil, 0, errScript
		}
		k, err := ownForm(raw)
		return []codec.Key{k}, 1, err
	case opMultiSig:
		if m, body, err = readNumber(body); err != nil {
			return nil, 0, err
		}
		var raw [][]byte
		for len(body) > 0 && (body[0] <= opPushData4) {
			var one []byte
			if one, body, err = readPush(body); err != nil {
				return nil, 0, err
			}
			if raw = append(raw, one); len(raw) > maxMulti+1 {
				return nil, 0, errScript
			}
		}
		n := 0
		switch {
		case len(body) > 0:
			if n, body, err = readNumber(body); err != nil {
				return nil, 0, err
			}
		case len(raw) > 0 && len(raw[len(raw)-1]) == 1: // v1.0.0 reads that too
			n, raw = int(raw[len(raw)-1][0]), raw[:len(raw)-1]
		}
		if len(body) > 0 || n != len(raw) || m < 1 || m > n || n > maxMulti {
			return nil, 0, errScript
		}
		for _, one := range raw {
			k, err := ownForm(one)
			if err != nil {
				return nil, 0, err
			}
			keys = append(keys, k)
		}
		return keys, m, nil
	}
	return nil, 0, errScript
}

// ownForm parses a key in its own form. Others spell the same key otherwise, and
// nodes make an address of the form of their own: left to them.
func ownForm(b []byte) (codec.Key, error) {
	k, err := codec.ParseKey(b)
	switch {
	case errors.Is(err, codec.ErrKeyKind):
		return k, errForm
	case err != nil:
		return k, fmt.Errorf("%w: %w", errScript, err)
	}
	const keyECDSA, p256 = 0x12, 2
	if b[0] == 4 || b[0] == keyECDSA && (b[1] == p256 || b[2] == 4) {
		return k, errForm
	}
	return k, nil
}

// readNumber reads an opcode that pushes 1 to 16.
func readNumber(b []byte) (int, []byte, error) {
	if len(b) == 0 || b[0] <= opPush0 || b[0] > opPush0+maxMulti {
		return 0, nil, errScript
	}
	return int(b[0] - opPush0), b[1:], nil
}

// pushes reads an invocation script: nothing but data.
func pushes(b []byte) (all [][]byte, err error) {
	for len(b) > 0 {
		var one []byte
		if one, b, err = readPush(b); err != nil {
			return nil, err
		}
		if all = append(all, one); len(all) > maxMulti {
			return nil, errScript
		}
	}
	return all, nil
}

// readPush reads an opcode that pushes data, and the data.
func readPush(b []byte) (data, rest []byte, err error) {
	n, at := uint64(0), 0
	switch {
	case len(b) >= 1 && b[0] >= 1 && b[0] <= maxPush:
		n, at = uint64(b[0]), 1
	case len(b) >= 2 && b[0] == opPushData1:
		n, at = uint64(b[1]), 2
	case len(b) >= 3 && b[0] == opPushData2:
		n, at = uint64(binary.LittleEndian.Uint16(b[1:])), 3
	case len(b) >= 5 && b[0] == opPushData4:
		n, at = uint64(binary.LittleEndian.Uint32(b[1:])), 5
	default:
		return nil, nil, errScript
	}
	if n > uint64(len(b)-at) {
		return nil, nil, errScript
	}
	end := at + int(n)
	return b[at:end:end], b[end:], nil
}
