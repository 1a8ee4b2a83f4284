package codec

import (
	"encoding/binary"
	"fmt"

	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// Dialect is how strictly a peer's encodings are read.
type Dialect bool

// Strict takes canonical encodings only, as nodes from v1.6.0 on do. Lenient
// takes what v1.0.0 takes: padded varuints, any non-zero bool, trailing bytes.
const (
	Strict  Dialect = true
	Lenient Dialect = false
)

// fault is a checkable fault of whoever sent the bytes.
func fault(o peer.Offense, format string, args ...any) error {
	return &wire.Fault{Offense: o, Err: fmt.Errorf("codec: "+format, args...)}
}

// reader walks a message. The first error stays, and everything after it reads
// as zero.
type reader struct {
	msg       string // for errors
	b         []byte
	dialect   Dialect
	irregular bool // a padded varuint or a strange bool was read
	err       error
}

func newReader(msg string, b []byte, d Dialect) *reader { return &reader{msg: msg, b: b, dialect: d} }

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fault(peer.BadEncoding, r.msg+": "+format, args...)
		r.b = nil
	}
}

// take gives the next n bytes; nil where they are not there. The result
// aliases the input and its capacity ends with it.
func (r *reader) take(n int, what string) []byte {
	if n > len(r.b) {
		if r.err == nil {
			r.fail("%s needs %d bytes, %d are left", what, n, len(r.b))
		}
		return nil
	}
	b := r.b[:n:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) u8(what string) byte {
	if b := r.take(1, what); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) u16(what string) uint16 {
	if b := r.take(2, what); b != nil {
		return binary.LittleEndian.Uint16(b)
	}
	return 0
}

func (r *reader) u32(what string) uint32 {
	if b := r.take(4, what); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (r *reader) u64(what string) uint64 {
	if b := r.take(8, what); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

func (r *reader) flag(what string) bool {
	v := r.u8(what)
	if v > 1 {
		if r.dialect == Strict {
			r.fail("%s is %d, want 0 or 1", what, v)
			return false
		}
		r.irregular = true
	}
	return v != 0
}

func (r *reader) hash(what string) (h Hash) {
	copy(h[:], r.take(len(h), what))
	return h
}

func (r *reader) address(what string) (a Address) {
	copy(a[:], r.take(len(a), what))
	return a
}

// varuint reads Bitcoin's variable integer.
func (r *reader) varuint(what string) uint64 {
	first := r.u8(what)
	var v, least uint64
	switch first {
	case 0xfd:
		v, least = uint64(r.u16(what)), 0xfd
	case 0xfe:
		v, least = uint64(r.u32(what)), 0x10000
	case 0xff:
		v, least = r.u64(what), 0x100000000
	default:
		return uint64(first)
	}
	if r.err == nil && v < least {
		if r.dialect == Strict {
			r.fail("%s is %d in more bytes than it takes", what, v)
			return 0
		}
		r.irregular = true
	}
	return v
}

// count reads a varuint that counts items of at least each bytes, of which
// most are allowed: what remains bounds it before anything is taken for it.
func (r *reader) count(what string, each int, most uint64) int {
	return r.counted(what, r.varuint(what), each, most)
}

func (r *reader) counted(what string, n uint64, each int, most uint64) int {
	if r.err != nil {
		return 0
	}
	if left := uint64(len(r.b) / each); n > left || n > most {
		r.fail("%s is %d, at most %d fit and %d are allowed", what, n, left, most)
		return 0
	}
	return int(n)
}

// varbytes reads a length and as many bytes, at most most of them.
func (r *reader) varbytes(what string, most int) []byte {
	n := r.varuint(what)
	if r.err != nil {
		return nil
	}
	if n > uint64(min(most, len(r.b))) {
		r.fail("%s has %d bytes, at most %d are allowed and %d are left", what, n, most, len(r.b))
		return nil
	}
	return r.take(int(n), what)
}

// end is the error of the walk. Bytes left over are one where the dialect is
// strict.
func (r *reader) end() error {
	if r.err == nil && r.dialect == Strict && len(r.b) > 0 {
		r.fail("%d bytes are left over", len(r.b))
	}
	return r.err
}

func appendVaruint(dst []byte, v uint64) []byte {
	switch {
	case v < 0xfd:
		return append(dst, byte(v))
	case v <= 0xffff:
		return binary.LittleEndian.AppendUint16(append(dst, 0xfd), uint16(v))
	case v <= 0xffffffff:
		return binary.LittleEndian.AppendUint32(append(dst, 0xfe), uint32(v))
	}
	return binary.LittleEndian.AppendUint64(append(dst, 0xff), v)
}

func appendVarbytes(dst, b []byte) []byte {
	return append(appendVaruint(dst, uint64(len(b))), b...)
}

func appendText(dst []byte, s string) []byte {
	return append(appendVaruint(dst, uint64(len(s))), s...)
}

func appendFlag(dst []byte, v bool) []byte {
	if v {
		return append(dst, 1)
	}
	return append(dst, 0)
}
