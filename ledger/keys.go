package ledger

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/starlingp2p/starling/chain"
)

// The key space, schema 1. Numbers are big-endian, so a scan ascends. Blocks
// are stored under their number first: a chain that grows appends, and what
// is large is seldom rewritten by compaction.
//
//	'M' name                    meta: "spec", "head", "final"
//	'B' number hash part        a block's header 'h', body 'b', extra 'x'
//	'I' hash                    info: kind, number, parent, weight
//	'N' number                  hash of the canonical block
//	'S' number hash             a staged block; empty value
//	'T' transaction             number and index in the canonical chain
//	'U' number                  undo of the canonical block's state changes
//	'A' key                     state
//
// Every value is sealed: four bytes of CRC-32C over key and payload, then the
// payload.
const (
	keyMeta  = 'M'
	keyBlock = 'B'
	keyInfo  = 'I'
	keyCanon = 'N'
	keyStage = 'S'
	keyTx    = 'T'
	keyUndo  = 'U'
	keyState = 'A'

	partHeader = 'h'
	partBody   = 'b'
	partExtra  = 'x'
)

const sealLen = 4

const (
	metaSpec  = "spec"
	metaHead  = "head"
	metaFinal = "final"
)

func metaKey(name string) string { return string(rune(keyMeta)) + name }

func numbered(prefix byte, n uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{prefix}, n)
}

// blockKey is the key of a part of a block; part 0 gives their common prefix.
func blockKey(r chain.Ref, part byte) []byte {
	k := make([]byte, 0, 1+8+32+1)
	k = append(k, keyBlock)
	k = binary.BigEndian.AppendUint64(k, r.Number)
	k = append(k, r.Hash[:]...)
	if part != 0 {
		k = append(k, part)
	}
	return k
}

func hashed(prefix byte, h chain.Hash) string {
	k := make([]byte, 33)
	k[0] = prefix
	copy(k[1:], h[:])
	return string(k)
}

func canonKey(n uint64) string { return string(numbered(keyCanon, n)) }
func undoKey(n uint64) string  { return string(numbered(keyUndo, n)) }

func stageKey(r chain.Ref) string {
	return string(append(numbered(keyStage, r.Number), r.Hash[:]...))
}

func stateKey(key []byte) string { return string(rune(keyState)) + string(key) }

// castagnoli is the polynomial that processors compute; the table is constant.
func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

func checksum(key, payload []byte) uint32 {
	t := castagnoli()
	return crc32.Update(crc32.Update(0, t, key), t, payload)
}

// seal writes payload and its checksum to dst, which has their length.
func seal(dst, key, payload []byte) {
	binary.BigEndian.PutUint32(dst, checksum(key, payload))
	copy(dst[sealLen:], payload)
}

// open gives the payload of a sealed value; it shares v's memory.
func open(key, v []byte) ([]byte, error) {
	if len(v) < sealLen {
		return nil, corrupt("value of %d bytes under key %x has no seal", len(v), key)
	}
	payload := v[sealLen:]
	if got, want := checksum(key, payload), binary.BigEndian.Uint32(v); got != want {
		return nil, corrupt("value under key %x has checksum %08x, want %08x", key, got, want)
	}
	return payload, nil
}

type kind byte

const (
	imported kind = 1
	staged   kind = 2
)

// info is what is known of a block by its hash.
type info struct {
	kind   kind
	number uint64
	parent chain.Hash
	weight chain.Weight // zero where staged
}

const infoLen = 1 + 8 + 32 + 32

func (i info) encode() []byte {
	b := make([]byte, 0, infoLen)
	b = append(b, byte(i.kind))
	b = binary.BigEndian.AppendUint64(b, i.number)
	b = append(b, i.parent[:]...)
	return append(b, i.weight[:]...)
}

func decodeInfo(b []byte) (info, error) {
	if len(b) != infoLen || (kind(b[0]) != imported && kind(b[0]) != staged) {
		return info{}, fmt.Errorf("info of %d bytes", len(b))
	}
	i := info{kind: kind(b[0]), number: binary.BigEndian.Uint64(b[1:])}
	copy(i.parent[:], b[9:])
	copy(i.weight[:], b[41:])
	return i, nil
}

func encodeRef(r chain.Ref) []byte {
	return append(binary.BigEndian.AppendUint64(nil, r.Number), r.Hash[:]...)
}

func decodeRef(b []byte) (r chain.Ref, err error) {
	if len(b) != 40 {
		return r, fmt.Errorf("ref of %d bytes, want 40", len(b))
	}
	r.Number = binary.BigEndian.Uint64(b)
	copy(r.Hash[:], b[8:])
	return r, nil
}

// place is where a transaction is in the canonical chain.
type place struct {
	number uint64
	index  uint32
}

func (p place) encode() []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint64(nil, p.number), p.index)
}

func decodePlace(b []byte) (place, error) {
	if len(b) != 12 {
		return place{}, fmt.Errorf("place of %d bytes, want 12", len(b))
	}
	return place{binary.BigEndian.Uint64(b), binary.BigEndian.Uint32(b[8:])}, nil
}

// encodeUndo lists writes that restore what a block changed. A length of
// 2^32-1 stands for a nil value.
func encodeUndo(ws []Write) []byte {
	var b []byte
	for _, w := range ws {
		b = binary.BigEndian.AppendUint32(b, uint32(len(w.Key)))
		b = append(b, w.Key...)
		if w.Value == nil {
			b = binary.BigEndian.AppendUint32(b, 1<<32-1)
			continue
		}
		b = binary.BigEndian.AppendUint32(b, uint32(len(w.Value)))
		b = append(b, w.Value...)
	}
	return b
}

func decodeUndo(b []byte) ([]Write, error) {
	var ws []Write
	field := func() ([]byte, bool, error) {
		if len(b) < 4 {
			return nil, false, fmt.Errorf("undo ends in a length")
		}
		n := binary.BigEndian.Uint32(b)
		b = b[4:]
		if n == 1<<32-1 {
			return nil, true, nil
		}
		if uint64(n) > uint64(len(b)) {
			return nil, false, fmt.Errorf("undo has %d bytes left of %d", len(b), n)
		}
		f := b[:n:n]
		b = b[n:]
		return f, false, nil
	}
	for len(b) > 0 {
		k, absent, err := field()
		if err != nil || absent {
			return nil, fmt.Errorf("undo has no key: %v", err)
		}
		v, _, err := field()
		if err != nil {
			return nil, err
		}
		ws = append(ws, Write{Key: k, Value: v})
	}
	return ws, nil
}
