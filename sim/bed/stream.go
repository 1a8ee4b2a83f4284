package bed

import (
	"bytes"
	"errors"
	"io"
	"os"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
)

var (
	errCorrupt     = errors.New("bed: bytes were corrupted")
	errReadClosed  = errors.New("bed: stream is closed for reading")
	errWriteClosed = errors.New("bed: stream is closed for writing")
)

var _ network.MuxedStream = (*muxStream)(nil)

// muxStream is one end of a stream. A writer is held back by what its reader
// has not read (1 MiB) and by the connection's queue.
type muxStream struct {
	conn   *muxConn
	peer   *muxStream
	serial uint64

	// Under the net's lock.
	buf          [][]byte
	size         int
	owed         int // bytes read that the writer has not been told of
	credit       int // bytes that may be written
	eof          bool
	err          error // reset, or the connection is closed
	drain        bool  // what has arrived is read before err
	readClosed   bool
	finished     bool // we have ended our side
	closed       bool // both are, by us
	rdead, wdead time.Time
	rwait, wwait signal
}

// Read blocks until there is something to read, the stream has ended or is
// reset, or the read deadline has passed.
func (s *muxStream) Read(b []byte) (int, error) {
	for {
		n, w, err := s.read(b)
		if w.ch == nil {
			return n, err
		}
		w.await()
	}
}

func (s *muxStream) read(b []byte) (n int, w waiting, err error) {
	s.conn.net.lock()
	defer s.conn.net.unlock()
	switch {
	case s.err != nil && !(s.drain && s.size > 0):
		return 0, w, s.err
	case s.readClosed:
		return 0, w, errReadClosed
	case passed(s.rdead):
		return 0, w, os.ErrDeadlineExceeded
	case s.size > 0 || len(b) == 0:
		for n < len(b) && len(s.buf) > 0 {
			k := copy(b[n:], s.buf[0])
			n += k
			if s.buf[0] = s.buf[0][k:]; len(s.buf[0]) == 0 {
				s.buf[0] = nil
				s.buf = s.buf[1:]
			}
		}
		s.size -= n
		s.giveBack(n)
		return n, w, nil
	case s.eof:
		return 0, w, io.EOF
	}
	return 0, waiting{s.rwait.wait(), s.rdead}, nil
}

// giveBack tells the writer, once half a window has been read, that it may
// write as much again.
func (s *muxStream) giveBack(n int) {
	s.owed += n
	if s.owed < streamWindow/2 || s.conn.err != nil || s.eof {
		return
	}
	k := s.owed
	s.owed = 0
	s.conn.send(frameHeader, func() {
		s.peer.credit += k
		s.peer.wwait.wake()
	})
}

// Write blocks while the reader's window or the link's queue is full. It keeps
// no part of b.
func (s *muxStream) Write(b []byte) (int, error) {
	sent := 0
	for {
		n, w, err := s.write(b[sent:])
		sent += n
		if err != nil || sent == len(b) {
			return sent, err
		}
		if w.ch != nil {
			w.await()
		}
	}
}

func (s *muxStream) write(b []byte) (n int, w waiting, err error) {
	c := s.conn
	c.net.lock()
	defer c.net.unlock()
	switch {
	case s.err != nil:
		return 0, w, s.err
	case s.finished:
		return 0, w, errWriteClosed
	case passed(s.wdead):
		return 0, w, os.ErrDeadlineExceeded
	}
	room := c.out.room()
	if n = min(len(b), s.credit, room); n == 0 && len(b) > 0 {
		if room == 0 {
			c.starved = append(c.starved, s)
		}
		return 0, waiting{s.wwait.wait(), s.wdead}, nil
	}
	s.credit -= n
	rest := bytes.Clone(b[:n])
	for len(rest) > 0 {
		part := rest[:min(len(rest), maxSegment-frameHeader)]
		rest = rest[len(part):]
		c.send(frameHeader+len(part), func() { s.peer.take(part) })
	}
	return n, w, nil
}

// take is data that arrives at this end.
func (s *muxStream) take(part []byte) {
	switch {
	case s.err != nil:
	case s.readClosed:
		s.giveBack(len(part))
	default:
		s.buf = append(s.buf, part)
		s.size += len(part)
		s.rwait.wake()
	}
}

// Close ends both sides: what was written arrives, what was not read is lost.
func (s *muxStream) Close() error {
	s.conn.net.lock()
	defer s.conn.net.unlock()
	s.finish()
	s.closeRead()
	s.closed = true
	delete(s.conn.streams, s)
	return nil
}

// CloseWrite ends the stream after what was written; reading goes on.
func (s *muxStream) CloseWrite() error {
	s.conn.net.lock()
	defer s.conn.net.unlock()
	s.finish()
	return nil
}

// CloseRead throws away what has come and what comes.
func (s *muxStream) CloseRead() error {
	s.conn.net.lock()
	defer s.conn.net.unlock()
	s.closeRead()
	return nil
}

func (s *muxStream) finish() {
	if s.finished || s.err != nil {
		return
	}
	s.finished = true
	s.wwait.wake()
	s.conn.send(frameHeader, func() {
		s.peer.eof = true
		s.peer.rwait.wake()
	})
}

func (s *muxStream) closeRead() {
	if s.readClosed {
		return
	}
	s.readClosed = true
	n := s.size
	s.buf, s.size = nil, 0
	s.giveBack(n)
	s.rwait.wake()
}

// Reset ends both sides at both ends.
func (s *muxStream) Reset() error { return s.ResetWithError(network.StreamNoError) }

// ResetWithError is Reset with a code for the other side.
func (s *muxStream) ResetWithError(code network.StreamErrorCode) error {
	s.conn.net.lock()
	defer s.conn.net.unlock()
	s.reset(code)
	return nil
}

func (s *muxStream) reset(code network.StreamErrorCode) {
	if s.err != nil || s.closed && s.eof {
		return
	}
	s.conn.send(frameHeader, func() {
		s.peer.fail(&network.StreamError{ErrorCode: code, Remote: true}, true)
	})
	s.fail(&network.StreamError{ErrorCode: code}, true)
}

// fail ends the stream at this end; hard: what has arrived is not read any
// more.
func (s *muxStream) fail(err error, hard bool) {
	if s.err != nil {
		return
	}
	s.err, s.drain = err, !hard
	if hard {
		s.buf, s.size = nil, 0
	}
	delete(s.conn.streams, s)
	s.rwait.wake()
	s.wwait.wake()
}

// SetDeadline sets both deadlines. Calls that wait notice.
func (s *muxStream) SetDeadline(t time.Time) error { return s.setDeadlines(&t, &t) }

// SetReadDeadline sets that of Read; the zero time: none.
func (s *muxStream) SetReadDeadline(t time.Time) error { return s.setDeadlines(&t, nil) }

// SetWriteDeadline sets that of Write; the zero time: none.
func (s *muxStream) SetWriteDeadline(t time.Time) error { return s.setDeadlines(nil, &t) }

func (s *muxStream) setDeadlines(r, w *time.Time) error {
	s.conn.net.lock()
	defer s.conn.net.unlock()
	if r != nil {
		s.rdead = *r
		s.rwait.wake()
	}
	if w != nil {
		s.wdead = *w
		s.wwait.wake()
	}
	return nil
}
