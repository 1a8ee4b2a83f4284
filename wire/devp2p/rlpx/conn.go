package rlpx

import (
	"crypto/ecdsa"
	"net"
	"time"
)

const (
	// MaxMessage is the longest message that a frame can hold, compressed and
	// not: lengths have 24 bits.
	MaxMessage = 1<<24 - 1
	// MaxBeforeHello bounds a message before Establish: 2 KiB, as geth's
	// baseProtocolMaxMsgSize.
	MaxBeforeHello = 2 << 10

	earlyBuffer = 4 << 10  // of reading, before Establish
	readBuffer  = 32 << 10 // after
	step        = 64 << 10 // bytes that are read, decrypted and hashed at once
	// keepLarge is how long a buffer over readBuffer outlives its last use.
	keepLarge = time.Second
	// headLen is a frame's header with its MAC.
	headLen = 16 + macLen
)

// Timeouts bound the reading of frames. Zero fields: no bound.
type Timeouts struct {
	Idle  time.Duration // from one frame to the header of the next
	Frame time.Duration // from a header to the end of its frame, beside Floor
	Floor int           // bytes a second that a frame may at least take
}

// Message is a code and its payload.
type Message struct {
	Code    uint64
	Payload []byte
	// Wire is the payload's length as it travelled.
	Wire int
}

// Conn is an RLPx connection behind its handshake. One goroutine may call Read
// while another calls the writing methods.
type Conn struct {
	nc     net.Conn
	remote *ecdsa.PublicKey
	in     reader
	out    writer
}

func newConn(nc net.Conn, remote *ecdsa.PublicKey, s secrets) *Conn {
	return &Conn{
		nc: nc, remote: remote,
		in: reader{
			nc: nc, stream: s.dec, mac: s.in,
			buf: make([]byte, earlyBuffer), most: MaxBeforeHello,
		},
		out: writer{nc: nc, stream: s.enc, mac: s.out},
	}
}

// Remote is the key that the other side has proven to own.
func (c *Conn) Remote() *ecdsa.PublicKey { return c.remote }

// Establish ends the time before Hello: from now on messages may be of most
// bytes, compressed and decompressed (at most MaxMessage), and are compressed if
// snappy is set. It may be called by the reading goroutine only, while nobody
// writes.
func (c *Conn) Establish(most int, snappy bool) {
	c.in.most = min(most, MaxMessage)
	c.in.snappy, c.out.snappy = snappy, snappy
	c.in.enlarge()
}

// SetTimeouts bounds what Read may take from now on. The reading goroutine
// calls it.
func (c *Conn) SetTimeouts(t Timeouts) { c.in.times = t }

// Read blocks for the next message. Its payload is valid until the next Read.
// Any error is final.
func (c *Conn) Read() (Message, error) { return c.in.read() }

// Append adds a message to what the next Flush writes. It does not block.
func (c *Conn) Append(code uint64, payload []byte) error { return c.out.append(code, payload) }

// Pending is how many bytes wait for Flush.
func (c *Conn) Pending() int { return len(c.out.buf) }

// Flush writes what was appended, in one piece. It blocks until the link took
// it, or its write deadline.
func (c *Conn) Flush() error { return c.out.flush() }

// Close closes the link.
func (c *Conn) Close() error { return c.nc.Close() }
