package ontology

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/ontology/codec"
)

// maxAhead is how many bytes of headers are kept before the node asks for them.
const maxAhead = 1 << 20

// ahead is a question for headers that the node has not put yet: while it
// verifies those of one answer the peer looks for the next. Their hashes have
// to be known to ask, so the node itself cannot ask so early.
type ahead struct {
	base codec.Hash
	left chan struct{} // closed when the question has left us
	done chan struct{} // closed when the rest is set
	hs   []codec.Header
	err  error
}

// lookAhead asks for the headers behind a full answer's last, once.
func (s *session) lookAhead(base codec.Hash) {
	a := &ahead{base: base, left: make(chan struct{}), done: make(chan struct{})}
	s.mu.Lock()
	busy := s.ahead != nil
	if !busy {
		s.ahead = a
	}
	s.mu.Unlock()
	if busy {
		return
	}
	if !s.node.goes(func() {
		defer close(a.done)
		left := sync.OnceFunc(func() { close(a.left) }) // a request may go on to ask for more
		ctx := wire.OnSent(s.ctx, func(time.Time) { left() })
		if a.hs, a.err = s.ask(ctx, base); a.err != nil {
			return
		}
		size := 0
		for _, h := range a.hs {
			size += len(h.Raw)
		}
		if size > maxAhead {
			a.hs, a.err = nil, errAhead
		}
	}) {
		s.forget(a)
	}
}

var errAhead = errors.New("ontology: more headers than are kept ahead")

func (s *session) forget(a *ahead) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ahead == a {
		s.ahead = nil
	}
}

// follow gives the headers behind one, which may have been asked for already.
func (s *session) follow(ctx context.Context, base codec.Hash) ([]codec.Header, error) {
	s.mu.Lock()
	a := s.ahead
	s.ahead = nil // of another base: the node goes another way
	s.mu.Unlock()
	if a == nil || a.base != base {
		return s.ask(ctx, base)
	}
	for left, waits := a.left, true; waits; {
		select {
		case <-left:
			left = nil
			wire.Sent(ctx, time.Now()) // for whoever waits now it counts from now
		case <-a.done:
			waits = false
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-s.link.Done():
			return nil, wire.ErrClosed
		}
	}
	if a.err != nil || len(a.hs) == 0 { // it may have more by now
		return s.ask(ctx, base)
	}
	return a.hs, nil
}
