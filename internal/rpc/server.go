package rpc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/starlingp2p/starling"
)

// callTimeout bounds one call, answerTimeout the writing of its answer.
const (
	callTimeout   = time.Minute
	answerTimeout = 10 * time.Second
)

// Server answers calls. Its methods are set at construction.
type Server struct {
	methods map[string]starling.Method
	log     *slog.Logger
}

// New makes a server of methods; two of one name are an error.
func New(methods []starling.Method, log *slog.Logger) (*Server, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	s := &Server{methods: make(map[string]starling.Method, len(methods)), log: log}
	for _, m := range methods {
		if _, taken := s.methods[m.Name]; taken {
			return nil, fmt.Errorf("rpc: two methods are named %q", m.Name)
		}
		s.methods[m.Name] = m
	}
	return s, nil
}

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

// rest waits, at most until ctx ends.
func rest(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// Serve accepts connections until ctx ends, closes l, and returns when every
// call has ended.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	var (
		wg   sync.WaitGroup
		room = make(chan struct{}, MaxConns)
		stop = context.AfterFunc(ctx, func() { l.Close() })
	)
	defer wg.Wait()
	defer stop()
	pause := time.Duration(0)
	for {
		conn, err := l.Accept()
		if err == nil {
			pause = 0
		} else {
			if ctx.Err() != nil {
				return nil
			}
			if passes(err) {
				pause = min(max(2*pause, acceptPause), maxAcceptPause)
				s.log.Debug("rpc connection not accepted", "err", err)
				rest(ctx, pause)
				continue
			}
			l.Close()
			return fmt.Errorf("rpc: %w", err)
		}
		select {
		case room <- struct{}{}:
		default:
			s.log.Debug("rpc connection refused", "reason", "too-many", "max", MaxConns)
			conn.Close()
			continue
		}
		wg.Go(func() {
			defer func() { <-room }()
			s.serveConn(ctx, conn)
		})
	}
}

// serveConn answers the calls of one connection, one after the other.
func (s *Server) serveConn(ctx context.Context, conn net.Conn) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	defer conn.Close()
	bounded := &io.LimitedReader{R: conn}
	dec := json.NewDecoder(bounded)
	for {
		bounded.N = MaxRequestBytes
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			if bounded.N <= 0 {
				s.write(conn, response{Error: &Error{CodeInvalid, fmt.Sprintf("rpc: request is over %d bytes", MaxRequestBytes)}})
			} else if !errors.Is(err, io.EOF) && ctx.Err() == nil {
				s.write(conn, response{Error: &Error{CodeParse, "rpc: not JSON: " + err.Error()}})
			}
			return
		}
		if !s.write(conn, s.answer(ctx, raw)) {
			return
		}
	}
}

func (s *Server) write(conn net.Conn, r response) bool {
	r.Version = "2.0"
	if r.ID == nil {
		r.ID = json.RawMessage("null")
	}
	out, err := json.Marshal(r)
	if err == nil && len(out) > MaxAnswerBytes {
		out, err = json.Marshal(response{Version: "2.0", ID: r.ID, Error: &Error{CodeFailed, fmt.Sprintf("rpc: answer is over %d bytes", MaxAnswerBytes)}})
	}
	if err != nil || conn.SetWriteDeadline(time.Now().Add(answerTimeout)) != nil {
		return false
	}
	_, err = conn.Write(append(out, '\n'))
	return err == nil
}

// answer runs one call. A method that panics fails that call only.
func (s *Server) answer(ctx context.Context, raw json.RawMessage) (r response) {
	var q request
	if err := json.Unmarshal(raw, &q); err != nil || q.Version != "2.0" || q.Method == "" {
		return response{Error: &Error{CodeInvalid, `rpc: want {"jsonrpc":"2.0","id":…,"method":…,"params":[…]}`}}
	}
	r.ID = q.ID
	defer func() {
		if p := recover(); p != nil {
			s.log.Error("rpc method panicked", "method", q.Method, "err", p)
			r.Result, r.Error = nil, &Error{CodeInternal, "rpc: internal error"}
		}
	}()
	m, ok := s.methods[q.Method]
	if !ok {
		r.Error = &Error{CodeNoMethod, fmt.Sprintf("rpc: no method %.80q", q.Method)}
		return r
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	value, err := m.Call(ctx, q.Params)
	if err == nil {
		r.Result, err = json.Marshal(value)
	}
	if err != nil {
		var own *Error
		if !errors.As(err, &own) {
			own = &Error{Code: CodeFailed, Message: err.Error()}
		}
		r.Error = own
	}
	return r
}
