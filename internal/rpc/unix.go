package rpc

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/starlingp2p/starling/internal/pause"
)

// maxPath is the longest path of a socket, in bytes: what the systems that we
// know all take.
const maxPath = 100

// CheckPath refuses a path that is too long for a socket.
func CheckPath(path string) error {
	if len(path) > maxPath {
		return fmt.Errorf("rpc: socket path %q has %d bytes, the system takes at most %d; choose a shorter datadir", path, len(path), maxPath)
	}
	return nil
}

// Listen opens the unix socket at path with mode 0600. A socket that a dead
// process left there is taken over; the caller holds the datadir's lock, so no
// living node has it.
func Listen(path string) (net.Listener, error) {
	if err := CheckPath(path); err != nil {
		return nil, err
	}
	info, err := os.Lstat(path)
	if err == nil && info.Mode().Type() != os.ModeSocket {
		return nil, fmt.Errorf("rpc: %s is no socket; move it away, or choose another datadir", path)
	}
	if err == nil {
		err = os.Remove(path)
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("rpc: old socket: %w", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("rpc: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("rpc: %w", err), l.Close())
	}
	return l, nil
}

// How long Serve rests when it cannot accept: doubling, and at most.
const (
	acceptPause    = 5 * time.Millisecond
	maxAcceptPause = 200 * time.Millisecond
)

// passes reports whether accepting can be tried again after err: the process
// or the machine has too much open, or the caller went away.
func passes(err error) bool {
	for _, e := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// Serve accepts connections of the unix socket until ctx ends, closes l, and
// returns when every call has ended. Whoever connects has all authority, and
// speaks JSON-RPC as a stream of messages, or HTTP.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	var (
		wg   sync.WaitGroup
		room = make(chan struct{}, MaxConns)
		stop = context.AfterFunc(ctx, func() { l.Close() })
	)
	defer wg.Wait()
	defer stop()
	web := newHandoff(l.Addr())
	wg.Go(func() { s.serveWeb(ctx, web, s.unixHandler()) })
	defer web.Close()
	wait := time.Duration(0)
	for {
		conn, err := l.Accept()
		if err == nil {
			wait = 0
		} else {
			if ctx.Err() != nil {
				return nil
			}
			if passes(err) {
				wait = min(max(2*wait, acceptPause), maxAcceptPause)
				s.log.Debug("rpc connection not accepted", "err", err)
				pause.For(ctx, wait)
				continue
			}
			l.Close()
			return fmt.Errorf("rpc: %w", err)
		}
		select {
		case room <- struct{}{}:
		default:
			s.events.Add("connection-refused", 1)
			s.log.Debug("rpc connection refused", "reason", "too-many", "max", MaxConns)
			conn.Close()
			continue
		}
		wg.Go(func() {
			defer func() { <-room }()
			s.serveUnix(ctx, conn, web)
		})
	}
}

// serveUnix finds out what a connection speaks: a request of HTTP begins with
// a capital letter, which no JSON does.
func (s *Server) serveUnix(ctx context.Context, conn net.Conn, web *handoff) {
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	in := bufio.NewReaderSize(conn, 4<<10)
	first, err := in.Peek(1)
	stop()
	switch {
	case err != nil:
		conn.Close()
	case first[0] >= 'A' && first[0] <= 'Z':
		web.give(&rereader{Conn: conn, in: in, closed: make(chan struct{})})
	default:
		s.serveStream(ctx, conn, in)
	}
}

// serveStream answers the calls of one connection of the unix socket.
func (s *Server) serveStream(ctx context.Context, conn net.Conn, in *bufio.Reader) {
	st := newStream(s, &pipe{framer{conn, in}}, &caller{class: Admin, slots: s.local}, &s.localBytes)
	st.run(ctx)
}

// pipe is a connection that carries JSON as a stream of values.
type pipe struct{ framer }

func (p *pipe) write(msg []byte) error {
	if err := p.conn.SetWriteDeadline(time.Now().Add(answerWithin(len(msg)))); err != nil {
		return err
	}
	_, err := p.conn.Write(append(msg, '\n'))
	return err
}

func (p *pipe) close() { p.conn.Close() }

// rereader is a connection of which something was read already.
type rereader struct {
	net.Conn
	in     *bufio.Reader
	once   sync.Once
	closed chan struct{}
}

func (r *rereader) Read(b []byte) (int, error) { return r.in.Read(b) }

func (r *rereader) Close() error {
	r.once.Do(func() { close(r.closed) })
	return r.Conn.Close()
}

// CloseWrite is as that of counted.
func (r *rereader) CloseWrite() error { return closeWrite(r.Conn) }

// handoff is a listener that is given its connections.
type handoff struct {
	addr  net.Addr
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
}

func newHandoff(addr net.Addr) *handoff {
	return &handoff{addr: addr, conns: make(chan net.Conn), done: make(chan struct{})}
}

// give hands a connection over and blocks until it is closed.
func (h *handoff) give(r *rereader) {
	select {
	case h.conns <- r:
		<-r.closed
	case <-h.done:
		r.Close()
	}
}

func (h *handoff) Accept() (net.Conn, error) {
	select {
	case c := <-h.conns:
		return c, nil
	case <-h.done:
		return nil, net.ErrClosed
	}
}

func (h *handoff) Close() error {
	h.once.Do(func() { close(h.done) })
	return nil
}

func (h *handoff) Addr() net.Addr { return h.addr }
