package rlpx

import (
	"crypto/cipher"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/ethereum/go-ethereum/rlp"
	"github.com/golang/snappy"
)

// writer makes frames. They gather in buf in the clear, with room for their
// MACs, and flush encrypts them: many small ones cost one write, and of a large
// one the other side already has the first part while we encrypt the second.
type writer struct {
	nc     io.Writer
	stream cipher.Stream
	mac    *mac
	snappy bool
	buf    []byte
	frames []span    // of what is in buf, in order
	large  time.Time // when a buffer over readBuffer was last needed
}

// span is a frame in a writer's buffer: its header's place and its body's
// length without padding.
type span struct{ start, size int }

// part is how much is encrypted before it is written.
const part = 128 << 10

// append adds a frame. A payload that is too large leaves nothing behind.
func (w *writer) append(code uint64, payload []byte) error {
	if len(payload) > MaxMessage {
		return fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, len(payload), MaxMessage)
	}
	start := len(w.buf)
	room := headLen + rlp.IntSize(code) + len(payload) + 2*macLen
	if w.snappy {
		room += snappy.MaxEncodedLen(len(payload)) - len(payload)
	}
	w.buf = slices.Grow(w.buf, room)
	body := start + headLen
	b := rlp.AppendUint64(w.buf[:body], code)
	if w.snappy {
		n := len(b)
		// Room for it is there, so this writes behind b.
		b = b[:n+len(snappy.Encode(b[n:n+snappy.MaxEncodedLen(len(payload))], payload))]
	} else {
		b = append(b, payload...)
	}
	size := len(b) - body
	if size > MaxMessage {
		w.buf = w.buf[:start]
		return fmt.Errorf("%w: frame of %d bytes, at most %d", ErrTooLarge, size, MaxMessage)
	}
	w.buf = b[:body+padded(size)+macLen]
	clear(w.buf[body+size : body+padded(size)])
	w.frames = append(w.frames, span{start, size})
	return nil
}

func (w *writer) flush() error {
	done, err := 0, error(nil)
	for _, f := range w.frames {
		b := w.buf[f.start:]
		head := b[:16]
		clear(head)
		head[0], head[1], head[2] = byte(f.size>>16), byte(f.size>>8), byte(f.size)
		copy(head[3:], "\xc2\x80\x80") // header-data, which nobody reads
		w.stream.XORKeyStream(head, head)
		copy(b[16:], w.mac.header(head))
		end := headLen + padded(f.size)
		for at := headLen; at < end && err == nil; {
			next := b[at:min(at+part, end)]
			w.stream.XORKeyStream(next, next)
			w.mac.absorb(next)
			at += len(next)
			if upto := f.start + at; upto-done >= part {
				_, err = w.nc.Write(w.buf[done:upto])
				done = upto
			}
		}
		copy(b[end:], w.mac.body())
	}
	if err == nil && done < len(w.buf) {
		_, err = w.nc.Write(w.buf[done:])
	}
	w.tidy()
	return err
}

// tidy empties the buffer, and lets go of a large one that is no longer needed:
// an idle peer is to cost little (threat B-06).
func (w *writer) tidy() {
	if cap(w.buf) > 2*readBuffer {
		now := time.Now()
		switch {
		case len(w.buf) > 2*readBuffer:
			w.large = now
		case now.Sub(w.large) > keepLarge:
			w.buf, w.frames = nil, nil
		}
	}
	w.buf, w.frames = w.buf[:0], w.frames[:0]
}

// padded is a length rounded up to whole cipher blocks.
func padded(n int) int { return (n + 15) &^ 15 }
