package p2phost

import (
	"context"
	"fmt"

	"github.com/libp2p/go-libp2p/core/network"
	libpeer "github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"golang.org/x/time/rate"
)

// Kademlia's library takes the memory for a message as soon as it knows its
// length, which it lets be 4 MiB, and anybody may send it one. A question holds
// a key; an answer holds twenty peers with their addresses.
const (
	maxKadQuestion = 16 << 10  // bytes
	maxKadAnswer   = 128 << 10 // bytes
	// A question costs fifty bytes and its answer some thousand, and the work of
	// finding them. An honest node asks another a few times in half a minute.
	kadRate  = 10 // a second
	kadBurst = 50
	maxKad   = 4096 // peers whose pace is remembered
)

// cappedStream gives the library no length prefix over most. One goroutine
// reads it.
type cappedStream struct {
	network.Stream
	most uint64
	pace *rate.Limiter // of messages; nil: none

	length uint64 // as far as it is read
	shift  int
	left   uint64 // bytes of the message that are still to come
}

// Read gives at most one byte of a length prefix at a time.
func (s *cappedStream) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	if s.left > 0 {
		n, err := s.Stream.Read(b[:min(uint64(len(b)), s.left)])
		s.left -= uint64(n)
		return n, err
	}
	n, err := s.Stream.Read(b[:1])
	if n == 0 {
		return n, err
	}
	if s.shift == 0 && s.pace != nil && !s.pace.Allow() {
		s.ResetWithError(network.StreamRateLimited)
		return 0, fmt.Errorf("p2phost: more than %d kademlia messages a second", kadRate)
	}
	s.length |= uint64(b[0]&0x7f) << s.shift
	if s.shift += 7; b[0]&0x80 == 0 {
		s.left, s.length, s.shift = s.length, 0, 0
	}
	if s.left > s.most || s.length > s.most || s.shift > 28 {
		s.ResetWithError(network.StreamProtocolViolation)
		return 0, fmt.Errorf("p2phost: kademlia message of over %d bytes", s.most)
	}
	return n, err
}

// paceOf is the pace of one peer's questions, whatever streams it asks them on.
func (c *cappedHost) paceOf(id libpeer.ID) *rate.Limiter {
	c.mu.Lock()
	defer c.mu.Unlock()
	if l, ok := c.paces.Get(id); ok {
		return l
	}
	l := rate.NewLimiter(kadRate, kadBurst)
	c.paces.Add(id, l)
	return l
}

// NewStream implements host.Host: answers are bounded.
func (c *cappedHost) NewStream(ctx context.Context, id libpeer.ID, protos ...protocol.ID) (network.Stream, error) {
	s, err := c.Host.NewStream(ctx, id, protos...)
	if err != nil {
		return nil, err
	}
	return &cappedStream{Stream: s, most: maxKadAnswer}, nil
}
