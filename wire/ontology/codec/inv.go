package codec

import "encoding/binary"

// Kind is what an inventory or a getdata speaks of.
type Kind byte

// The kinds.
const (
	KindTx    Kind = 0x01
	KindBlock Kind = 0x02
)

const (
	invHead = 5
	// MaxInv is how many hashes of an inventory are read, as every release does.
	MaxInv = 64
)

// Inv says what its sender has.
type Inv struct {
	Kind   Kind
	Hashes []Hash
	More   int // hashes beyond MaxInv, which were not read
}

// Append appends the payload.
func (i Inv) Append(dst []byte) []byte {
	dst = append(dst, byte(i.Kind))
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(i.Hashes)))
	for _, h := range i.Hashes {
		dst = append(dst, h[:]...)
	}
	return dst
}

// DecodeInv reads a payload. Hashes beyond MaxInv are counted only.
func DecodeInv(b []byte, d Dialect) (i Inv, err error) {
	r := newReader("inv", b, d)
	i.Kind = Kind(r.u8("type"))
	n := r.counted("count", uint64(r.u32("count")), len(Hash{}), 1<<32)
	keep := min(n, MaxInv)
	for range keep {
		i.Hashes = append(i.Hashes, r.hash("hash"))
	}
	i.More = n - keep
	r.take(i.More*len(Hash{}), "hashes")
	if err := r.end(); err != nil {
		return Inv{}, err
	}
	return i, nil
}
