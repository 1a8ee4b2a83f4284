package rpc

import (
	"context"
	"errors"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/starlingp2p/starling/internal/pause"
)

// starved is a listener that fails some times before it waits for its end.
type starved struct {
	fails  int
	err    error
	tries  atomic.Int64
	closed chan struct{}
	ends   atomic.Int64
}

func (s *starved) Accept() (net.Conn, error) {
	if int(s.tries.Add(1)) <= s.fails {
		return nil, &net.OpError{Op: "accept", Net: "unix", Err: os.NewSyscallError("accept4", s.err)}
	}
	<-s.closed
	return nil, net.ErrClosed
}

func (s *starved) Close() error {
	if s.ends.Add(1) == 1 {
		close(s.closed)
	}
	return nil
}

func (s *starved) Addr() net.Addr { return &net.UnixAddr{Name: "starved", Net: "unix"} }

// Too many open files end no server: it tries again, with rests between. Threat
// row C-02.
func TestServeOutlivesTooManyOpenFiles(t *testing.T) {
	for _, err := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ECONNABORTED} {
		synctest.Test(t, func(t *testing.T) {
			s, nerr := New(nil, nil)
			if nerr != nil {
				t.Fatal(nerr)
			}
			l := &starved{fails: 50, err: err, closed: make(chan struct{})}
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- s.Serve(ctx, l) }()
			synctest.Wait()
			if got := l.tries.Load(); got != 1 {
				t.Errorf("%d tries without a rest", got)
			}
			for l.tries.Load() <= 50 {
				pause.For(ctx, maxAcceptPause)
				synctest.Wait()
			}
			cancel()
			if err := <-done; err != nil {
				t.Errorf("Serve = %v, want nil", err)
			}
		})
	}
}

// What does not pass ends the server, with its cause.
func TestServeEndsWithItsListener(t *testing.T) {
	s, err := New(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	l := &starved{fails: 1, err: syscall.EBADF, closed: make(chan struct{})}
	if err := s.Serve(t.Context(), l); !errors.Is(err, syscall.EBADF) {
		t.Errorf("Serve = %v, want %v", err, syscall.EBADF)
	}
}
