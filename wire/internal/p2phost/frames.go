package p2phost

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/starlingp2p/starling/peer"
)

const (
	smallFrame  = 4 << 10          // bytes; smaller frames need no grant: a session has one at most
	frameTime   = 10 * time.Second // for any frame
	frameRate   = 32 << 10         // bytes a second that a frame must reach besides
	grantTime   = 30 * time.Second // longest wait for memory
	maxLenBytes = 5                // of a length prefix
	// dripRate is the rate, in bytes a second, below which a late frame that is
	// still moving is a fault. A link that is slow, or has stopped, is none.
	dripRate = 256
)

// Pace tells how the bytes of one frame come in. One goroutine uses it.
type Pace struct {
	began time.Time
	last  time.Time // when bytes came last
	got   int
}

// Begin notes that a frame begins, of which some bytes are there already.
func (p *Pace) Begin(got int) {
	now := time.Now()
	p.began, p.last, p.got = now, now, got
}

// Came notes that n more bytes of it came.
func (p *Pace) Came(n int) {
	if n > 0 {
		p.got += n
		p.last = time.Now()
	}
}

// Drips reports whether a frame that is late is still moving, and slower than
// any link that is of use: the way to hold memory at no cost. What a lossy link
// delays, or one that has stopped, comes in bursts or not at all.
func (p *Pace) Drips() bool {
	now := time.Now()
	return now.Sub(p.last) < frameTime*6/10 && p.got < int(now.Sub(p.began).Seconds()*dripRate)
}

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
	grant   *grant // nil: none
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
		s.grant.got.Add(int64(n))
	}
	if s.left == 0 {
		if s.grant != nil {
			s.grant.whole()
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
		if s.grant, err = s.budget.frame(ctx, s.left, func() { s.Stream.SetReadDeadline(time.Unix(1, 0)) }); err != nil {
			s.starve()
			return 0, fmt.Errorf("p2phost: no memory for a gossip frame of %d bytes: %w", s.left, err)
		}
	}
	s.Stream.SetReadDeadline(time.Now().Add(frameTime + time.Duration(s.left)*time.Second/frameRate))
	return n, nil
}

func (s *grantedStream) giveBack() {
	if s.grant != nil {
		s.grant.giveBack()
		s.grant = nil
	}
}

// fault tells a stream that ends inside a frame from one that drips. A reset
// is nobody's fault, nor is a late frame otherwise: the link may just be slow,
// or gone.
func (s *grantedStream) fault(err error) error {
	switch {
	case s.grant != nil && s.grant.late.Load():
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

// IsTimeout reports whether an error is a missed deadline. Multiplexers have
// each their own.
func IsTimeout(err error) bool {
	var t net.Error
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &t) && t.Timeout()
}
