package rpc

import (
	"bufio"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"time"
)

// frameTimeout bounds the time from a message's first byte to its last.
const frameTimeout = 30 * time.Second

// budget bounds the bytes of all messages that are being read or worked on.
type budget struct {
	most int64
	each int // bytes of one message; 0: MaxRequestBytes
	used atomic.Int64
}

func (b *budget) take(n int) bool {
	if b.used.Add(int64(n)) > b.most {
		b.used.Add(int64(-n))
		return false
	}
	return true
}

// message is how many bytes one message may have.
func (b *budget) message() int {
	if b.each > 0 {
		return b.each
	}
	return MaxRequestBytes
}

func (b *budget) give(n int) { b.used.Add(int64(-n)) }

// body is a message as it grows. What it holds is charged to a budget until it
// is freed.
type body struct {
	budget *budget
	bytes  []byte
}

// firstBytes is what a message is given room for at first.
const firstBytes = 4 << 10

// room makes room for at least one byte more. It doubles, up to the bound.
func (b *body) room() error {
	if len(b.bytes) < cap(b.bytes) {
		return nil
	}
	if len(b.bytes) >= b.budget.message() {
		return errTooLarge(b.budget.message())
	}
	size := min(max(2*cap(b.bytes), firstBytes), b.budget.message())
	if !b.budget.take(size - cap(b.bytes)) {
		return errorf(CodeLimited, "rpc: too many bytes of requests at once (%d); try again", b.budget.most)
	}
	grown := make([]byte, len(b.bytes), size)
	copy(grown, b.bytes)
	b.bytes = grown
	return nil
}

func errTooLarge(most int) *Error {
	return errorf(CodeInvalid, "rpc: request is over %d bytes", most)
}

// free gives the room back. The bytes must no longer be used.
func (b *body) free() {
	b.budget.give(cap(b.bytes))
	b.bytes = nil
}

// readAll reads until the end of r. Whatever it returns, b is to be freed.
func (b *body) readAll(r io.Reader) error {
	for {
		if err := b.room(); err != nil {
			var one [1]byte // at the bound exactly there may be no more
			if n, rerr := io.ReadFull(r, one[:]); n == 0 && errors.Is(rerr, io.EOF) {
				return nil
			}
			return err
		}
		n, err := r.Read(b.bytes[len(b.bytes):cap(b.bytes)])
		b.bytes = b.bytes[:len(b.bytes)+n]
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// framer cuts a stream of JSON values, one after the other with or without
// space between them.
type framer struct {
	conn net.Conn
	in   *bufio.Reader
}

// read gives the next value. It waits for its first byte for ever, and for the
// rest of it for frameTimeout. io.EOF is a clean end; an *Error is one that the
// other side is told of, after which the stream is of no more use.
func (f *framer) read(budget *budget) (*body, error) {
	if err := f.begin(); err != nil {
		return nil, err
	}
	if err := f.conn.SetReadDeadline(time.Now().Add(frameTimeout)); err != nil {
		return nil, err
	}
	b := &body{budget: budget}
	err := f.value(b)
	if err == nil {
		err = f.conn.SetReadDeadline(time.Time{})
	}
	if err != nil {
		b.free()
		return nil, err
	}
	return b, nil
}

// begin skips space before a value.
func (f *framer) begin() error {
	for {
		c, err := f.in.ReadByte()
		if err != nil {
			return err
		}
		if !space(c) {
			return f.in.UnreadByte()
		}
	}
}

func (f *framer) value(b *body) error {
	var n nesting
	for {
		if f.in.Buffered() == 0 {
			if _, err := f.in.Peek(1); err != nil {
				if errors.Is(err, io.EOF) {
					if n.bare {
						return nil
					}
					return errorf(CodeParse, "rpc: not JSON: it ends in the middle")
				}
				return err
			}
		}
		chunk, _ := f.in.Peek(f.in.Buffered())
		for i, c := range chunk {
			ended := n.next(c)
			if n.depth > MaxDepth {
				return tooDeep()
			}
			if ended {
				take := i + 1
				if n.bare {
					take = i
				}
				return f.take(b, chunk[:take])
			}
		}
		if err := f.take(b, chunk); err != nil {
			return err
		}
	}
}

// take moves bytes from the reader to the message.
func (f *framer) take(b *body, chunk []byte) error {
	for rest := chunk; len(rest) > 0; {
		if err := b.room(); err != nil {
			return err
		}
		n := copy(b.bytes[len(b.bytes):cap(b.bytes)], rest)
		b.bytes = b.bytes[:len(b.bytes)+n]
		rest = rest[n:]
	}
	f.in.Discard(len(chunk)) // they are buffered: it cannot fail
	return nil
}
