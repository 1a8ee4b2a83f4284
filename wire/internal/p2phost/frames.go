package p2phost

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire/internal/intake"
)

const (
	smallFrame  = 4 << 10          // bytes; smaller frames need no grant: a session has one at most
	frameTime   = 10 * time.Second // for any frame
	frameRate   = 32 << 10         // bytes a second that a frame must reach besides
	grantTime   = 30 * time.Second // longest wait for memory
	maxLenBytes = 5                // of a length prefix
)

// Pace is intake.Pace.
type Pace = intake.Pace

// Budget is intake.Budget.
type Budget = intake.Budget

// NewBudget is intake.NewBudget.
func NewBudget(size int64) *Budget { return intake.NewBudget(size) }

// IsTimeout is intake.IsTimeout.
func IsTimeout(err error) bool { return intake.IsTimeout(err) }

// grantedStream lets pubsub read its length-prefixed frames, each only once
// the budget has granted the memory that pubsub is about to take for it, and
// only for so long. One goroutine reads it.
type grantedStream struct {
	network.Stream
	budget *Budget
	max    int // bytes of a frame
	ctx    context.Context
	charge func(peer.Offense, string)
	starve func() // a frame was given up for want of memory

	length  uint64 // as far as it is read
	nlength int    // its bytes
	left    int    // bytes of the frame that are still to come
	pace    Pace
	grant   *intake.Grant // nil: none
}

// Read gives at most one byte of a length prefix at a time, so that pubsub
// never knows a length before the memory is there.
func (s *grantedStream) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	if s.left == 0 {
		return s.readLength(b[:1])
	}
	n, err := s.Stream.Read(b[:min(len(b), s.left)])
	s.left -= n
	s.pace.Came(n)
	if s.grant != nil {
		s.grant.Came(n)
	}
	if s.left == 0 {
		if s.grant != nil {
			s.grant.Whole()
		}
		s.Stream.SetReadDeadline(time.Time{})
	} else if err != nil {
		err = s.fault(err)
	}
	return n, err
}

func (s *grantedStream) readLength(b []byte) (int, error) {
	if s.nlength == 0 {
		s.giveBack() // pubsub is done with the frame before
	}
	n, err := s.Stream.Read(b)
	if n == 0 {
		if err != nil && s.nlength > 0 {
			err = s.fault(err)
		}
		return n, err
	}
	if s.nlength == 0 {
		s.pace.Begin(0)
		s.Stream.SetReadDeadline(time.Now().Add(frameTime))
	}
	s.pace.Came(n)
	s.length |= uint64(b[0]&0x7f) << (7 * s.nlength)
	s.nlength++
	if b[0]&0x80 != 0 {
		if s.nlength == maxLenBytes {
			return 0, s.fail(peer.BadFrame, "gossip frame: length has more than %d bytes", maxLenBytes)
		}
		return n, nil
	}
	size := s.length
	s.length, s.nlength = 0, 0
	if size > uint64(s.max) {
		return 0, s.fail(peer.BadFrame, "gossip frame: %d bytes, at most %d", size, s.max)
	}
	s.left = int(size)
	if s.left == 0 {
		s.Stream.SetReadDeadline(time.Time{})
		return n, nil
	}
	if s.left > smallFrame {
		ctx, cancel := context.WithTimeout(s.ctx, grantTime)
		defer cancel()
		if s.grant, err = s.budget.Frame(ctx, s.left, func() { s.Stream.SetReadDeadline(time.Unix(1, 0)) }); err != nil {
			s.starve()
			return 0, fmt.Errorf("p2phost: no memory for a gossip frame of %d bytes: %w", s.left, err)
		}
	}
	s.Stream.SetReadDeadline(time.Now().Add(frameTime + time.Duration(s.left)*time.Second/frameRate))
	return n, nil
}

func (s *grantedStream) giveBack() {
	if s.grant != nil {
		s.grant.GiveBack()
		s.grant = nil
	}
}

// fault tells a stream that ends inside a frame from one that drips. A reset
// is nobody's fault, nor is a late frame otherwise: the link may just be slow,
// or gone.
func (s *grantedStream) fault(err error) error {
	switch {
	case s.grant != nil && s.grant.Late():
		s.starve()
		return fmt.Errorf("p2phost: a gossip frame was too slow while others waited for memory: %w", err)
	case IsTimeout(err) && s.pace.Drips():
		return s.fail(peer.SlowFrame, "gossip frame: %d bytes short at its deadline", s.left)
	case err == io.EOF: // one that merely wraps it tells of a lost connection
		return s.fail(peer.TruncatedFrame, "gossip frame: ended %d bytes short", s.left)
	}
	return err
}

func (s *grantedStream) fail(o peer.Offense, format string, args ...any) error {
	text := fmt.Sprintf(format, args...)
	s.charge(o, text)
	return errors.New("p2phost: " + text)
}
