package rlpx

import (
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/subtle"
	"fmt"
	"slices"

	"github.com/ethereum/go-ethereum/rlp"
	"github.com/golang/snappy"

	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/internal/framed"
)

const (
	// MaxMessage is the longest message that a frame can hold, compressed and
	// not: lengths have 24 bits.
	MaxMessage = 1<<24 - 1
	// MaxBeforeHello bounds a message before Establish: 2 KiB, as geth's
	// baseProtocolMaxMsgSize.
	MaxBeforeHello = 2 << 10

	// headLen is a frame's header with its MAC.
	headLen = 16 + macLen
	// maxCode is what a code adds to a frame, at most.
	maxCode = 9

	// A side that refuses the other's Hello, or never gets it whole, says so
	// before it compresses, though the other compresses by then. Such a
	// Disconnect is a byte, or a list of one, and never valid snappy.
	disconnectMsg = 1
	plainGoodbye  = 2
)

// Codec makes and takes apart the frames of one connection whose handshake is
// done. It implements framed.Codec: Head and Open are called by one goroutine
// in turn, Seal by one that may be another.
type Codec struct {
	remote *ecdsa.PublicKey
	most   int
	snappy bool

	dec  cipher.Stream
	in   *mac
	size int // of the frame whose header was read, without padding
	rest int // of its ciphertext, that has not come

	enc cipher.Stream
	out *mac
}

var (
	_ framed.Codec    = (*Codec)(nil)
	_ framed.Streamer = (*Codec)(nil)
)

func newCodec(remote *ecdsa.PublicKey, s secrets) *Codec {
	return &Codec{remote: remote, most: MaxBeforeHello, dec: s.dec, in: s.in, enc: s.enc, out: s.out}
}

// Remote is the key that the other side has proven to own.
func (c *Codec) Remote() *ecdsa.PublicKey { return c.remote }

// Establish ends the time before Hello: from now on messages may be of most
// bytes, compressed and decompressed (at most MaxMessage), and are compressed if
// compressed is set. Nobody may read or write meanwhile.
func (c *Codec) Establish(most int, compressed bool) {
	c.most = min(most, MaxMessage)
	c.snappy = compressed
}

// HeadSize implements framed.Codec.
func (c *Codec) HeadSize() int { return headLen }

// Head implements framed.Codec.
func (c *Codec) Head(h []byte) (framed.Head, error) {
	if subtle.ConstantTimeCompare(c.in.header(h[:16]), h[16:]) != 1 {
		return framed.Head{}, ErrMAC
	}
	c.dec.XORKeyStream(h[:16], h[:16])
	c.size = int(h[0])<<16 | int(h[1])<<8 | int(h[2])
	// Snappy may make a payload a little longer than it was.
	if bound := min(c.most+c.most/6+32+maxCode, MaxMessage); c.size > bound {
		return framed.Head{}, fault(peer.BadFrame, "frame of %d bytes, at most %d", c.size, bound)
	}
	c.rest = padded(c.size)
	return framed.Head{Size: c.rest + macLen}, nil
}

// Part implements framed.Streamer: it takes in ciphertext, and leaves the MAC
// behind it.
func (c *Codec) Part(b []byte) {
	b = b[:min(len(b), c.rest)]
	c.rest -= len(b)
	for len(b) > 0 {
		part := b[:min(len(b), step)] // each is still in the cache for the second pass
		c.in.absorb(part)
		c.dec.XORKeyStream(part, part)
		b = b[len(part):]
	}
}

// Keeps implements framed.Streamer: what is decompressed is a copy.
func (c *Codec) Keeps() bool { return !c.snappy }

// Open implements framed.Codec. Part has seen all of b.
func (c *Codec) Open(b []byte, more func(int) error) (code uint64, payload []byte, err error) {
	body, tag := b[:padded(c.size)], b[padded(c.size):]
	if subtle.ConstantTimeCompare(c.in.body(), tag) != 1 {
		return 0, nil, ErrMAC
	}
	code, payload, err = rlp.SplitUint64(body[:c.size])
	if err != nil {
		return 0, nil, fault(peer.BadEncoding, "a message has no code")
	}
	if c.snappy {
		plain := payload
		if payload, err = c.unfold(plain, more); err != nil {
			if code == disconnectMsg && len(plain) <= plainGoodbye {
				return code, slices.Clone(plain), nil
			}
			return 0, nil, err
		}
	}
	if len(payload) > c.most {
		return 0, nil, fault(peer.BadFrame, "message of %d bytes, at most %d", len(payload), c.most)
	}
	return code, payload, nil
}

// step is how much is encrypted and hashed at once.
const step = 16 << 10

// Seal implements framed.Codec.
func (c *Codec) Seal(dst []byte, code uint64, payload []byte) ([]byte, error) {
	start := len(dst)
	if len(payload) > MaxMessage {
		return dst, tooLarge(len(payload))
	}
	room := headLen + maxCode + 2*macLen + len(payload)
	if c.snappy {
		room += snappy.MaxEncodedLen(len(payload)) - len(payload)
	}
	dst = slices.Grow(dst, room)
	body := start + headLen
	b := rlp.AppendUint64(dst[:body], code)
	if c.snappy {
		n := len(b)
		// Room for it is there, so this writes behind b.
		b = b[:n+len(snappy.Encode(b[n:n+snappy.MaxEncodedLen(len(payload))], payload))]
	} else {
		b = append(b, payload...)
	}
	size := len(b) - body
	if size > MaxMessage {
		return dst[:start], tooLarge(size)
	}
	end := body + padded(size)
	b = b[:end+macLen]
	clear(b[body+size : end])

	head := b[start : start+16]
	clear(head)
	head[0], head[1], head[2] = byte(size>>16), byte(size>>8), byte(size)
	copy(head[3:], "\xc2\x80\x80") // header-data, which nobody reads
	c.enc.XORKeyStream(head, head)
	copy(b[start+16:], c.out.header(head))
	for rest := b[body:end]; len(rest) > 0; {
		part := rest[:min(len(rest), step)]
		c.enc.XORKeyStream(part, part)
		c.out.absorb(part)
		rest = rest[len(part):]
	}
	copy(b[end:], c.out.body())
	return b, nil
}

func tooLarge(n int) error {
	return fmt.Errorf("rlpx: message of %d bytes, at most %d: %w", n, MaxMessage, wire.ErrTooLarge)
}

// padded is a length rounded up to whole cipher blocks.
func padded(n int) int { return (n + 15) &^ 15 }
