package rpc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/starlingp2p/starling/internal/bucket"
	"github.com/starlingp2p/starling/internal/pause"
)

// Bounds of HTTP.
const (
	headerTimeout = 5 * time.Second
	bodyTimeout   = 30 * time.Second // from the header to the end of the body
	writeTimeout  = 2 * time.Minute  // of a whole answer
	idleTimeout   = time.Minute      // between two requests
	maxHeader     = 16 << 10         // bytes
	stopTimeout   = 2 * time.Second  // for what is under way at the end
)

// Mount lets a part of the node answer HTTP under a pattern of
// http.ServeMux. class is what a caller needs; the server checks Host, Origin
// and token before the handler. It panics on a pattern that is taken, and must
// be called before the first listener is served.
func (s *Server) Mount(pattern string, class Class, h http.Handler) {
	s.mux.Handle(pattern, &mounted{class, h})
}

// mounted is a handler with what a caller of it needs.
type mounted struct {
	class Class
	h     http.Handler
}

func (m *mounted) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if c := callerOf(r); c.class < m.class {
		deny(w, c, errorf(CodeDenied, "rpc: %s needs authority: use the unix socket in the datadir, or the token", r.URL.Path))
		return
	}
	m.h.ServeHTTP(w, r)
}

// callerKey is where a request's context holds its caller.
type callerKey struct{}

func callerOf(r *http.Request) *caller {
	c, _ := r.Context().Value(callerKey{}).(*caller)
	if c == nil {
		return &caller{class: Public}
	}
	return c
}

// serveWeb serves HTTP on a listener until ctx ends.
func (s *Server) serveWeb(ctx context.Context, l net.Listener, h http.Handler) error {
	under := newRoll()
	defer under.close()
	server := &http.Server{
		Handler:           s.guarded(h, under),
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		BaseContext:       func(net.Listener) context.Context { return ctx },
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	done := make(chan struct{})
	defer close(done)
	wg.Go(func() {
		select {
		case <-ctx.Done():
		case <-done:
		}
		l.Close()
		late, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
		defer cancel()
		if server.Shutdown(late) != nil {
			server.Close()
		}
	})
	if err := server.Serve(l); ctx.Err() == nil && !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("rpc: %w", err)
	}
	return nil
}

// guarded bounds a request in time, and lets a handler that panics fail alone.
func (s *Server) guarded(h http.Handler, under *roll) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !under.enter() {
			return
		}
		defer under.leave()
		defer func() {
			if p := recover(); p != nil && p != http.ErrAbortHandler {
				refuse(w, http.StatusInternalServerError, s.panicked(r.Pattern, p))
			}
		}()
		control := http.NewResponseController(w)
		if r.ContentLength != 0 {
			control.SetReadDeadline(time.Now().Add(bodyTimeout))
		}
		control.SetWriteDeadline(time.Now().Add(writeTimeout))
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "no-store")
		h.ServeHTTP(w, r)
	})
}

// unixHandler serves HTTP on the unix socket, to the node's own user.
func (s *Server) unixHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := &caller{class: Admin, slots: s.local}
		s.mux.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), callerKey{}, c)))
	})
}

// serveRoot is JSON-RPC by POST, and on a WebSocket.
func (s *Server) serveRoot(w http.ResponseWriter, r *http.Request) {
	if isUpgrade(r) {
		if c := callerOf(r); c.class < Read {
			s.strange(w, c)
			return
		}
		s.serveWS(w, r)
		return
	}
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", "POST")
		refuse(w, http.StatusMethodNotAllowed, errorf(CodeInvalid, "rpc: method is %.20q, want POST with a call as JSON", r.Method))
		return
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		refuse(w, http.StatusUnsupportedMediaType, errorf(CodeInvalid, "rpc: content type is %.80q, want application/json", r.Header.Get("Content-Type")))
		return
	}
	c := callerOf(r)
	if c.class < Read {
		s.strange(w, c)
		return
	}
	if most := s.bytesOf(c).message(); r.ContentLength > int64(most) {
		refuseBody(w, r, errTooLarge(most))
		return
	}
	b := body{budget: s.bytesOf(c)}
	defer b.free()
	if err := b.readAll(r.Body); err != nil {
		var own *Error
		switch {
		case !errors.As(err, &own):
			refuse(w, http.StatusBadRequest, errorf(CodeParse, "rpc: the body did not come whole within %v", bodyTimeout))
		case own.Code == CodeLimited:
			refuse(w, http.StatusServiceUnavailable, own)
		default:
			refuseBody(w, r, own)
		}
		return
	}
	http.NewResponseController(w).SetReadDeadline(time.Time{})
	n, bad := calls(b.bytes)
	if bad != nil {
		refuse(w, http.StatusBadRequest, bad)
		return
	}
	if wait := c.wait(n - 1); wait > 0 { // the request was counted as one
		s.events.Add("rate-limited", 1)
		tarry(r, wait)
		busy(w, wait)
		return
	}
	s.reply(w, c, s.handle(r.Context(), c, b.bytes))
}

// strange refuses who may call nothing, before anything is read or kept for
// them: they must not be in the way of those who show a token.
func (s *Server) strange(w http.ResponseWriter, c *caller) {
	s.events.Add("call-denied", 1)
	deny(w, c, errorf(CodeDenied, "rpc: calls need authority: use the unix socket in the datadir, or a token"))
}

// reply writes what became of a message. A single call that lacks authority
// shows in the status too; whatever else fails is told in the body alone.
func (s *Server) reply(w http.ResponseWriter, c *caller, r reply) {
	if r.out == nil {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(r.out)+1))
	if r.code == CodeDenied {
		w.WriteHeader(c.deniedStatus(w))
	}
	w.Write(append(r.out, '\n'))
}

// deniedStatus is 401 for who shows no token, and 403 for one that is not enough.
func (c *caller) deniedStatus(w http.ResponseWriter) int {
	if c.token {
		return http.StatusForbidden
	}
	w.Header().Set("WWW-Authenticate", `Bearer realm="starling"`)
	return http.StatusUnauthorized
}

func deny(w http.ResponseWriter, c *caller, err *Error) { refuse(w, c.deniedStatus(w), err) }

// busy tells a caller to come later.
func busy(w http.ResponseWriter, wait time.Duration) {
	w.Header().Set("Retry-After", strconv.Itoa(int(wait/time.Second)+1))
	refuse(w, http.StatusTooManyRequests, errorf(CodeLimited, "rpc: too much at once; try again in %v", wait.Round(time.Millisecond)))
}

// refuse answers a request with an error, as JSON-RPC says it.
func refuse(w http.ResponseWriter, status int, err *Error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(append(response{Error: err}.encode(), '\n'))
}

// refuseBody refuses a body that is too large. net/http is told, so that it
// lets the answer arrive before it ends a connection on which more comes.
func refuseBody(w http.ResponseWriter, r *http.Request, err *Error) {
	http.MaxBytesReader(w, r.Body, 0).Read(make([]byte, 1))
	refuse(w, http.StatusRequestEntityTooLarge, err)
}

// capped is a listener that lets a bounded number of connections be open, and
// closes what comes above it.
type capped struct {
	net.Listener
	ctx  context.Context // net.Listener has no contexts
	pace bucket.Bucket   // of new connections; only Accept touches it
	most int64
	open atomic.Int64
	log  *slog.Logger

	refused func()
}

func (c *capped) Accept() (net.Conn, error) {
	for {
		if delay, _ := c.pace.Reserve(time.Now(), 1, time.Minute); delay > 0 {
			pause.For(c.ctx, delay)
		}
		conn, err := c.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if c.open.Add(1) <= c.most {
			return &counted{Conn: conn, left: sync.OnceFunc(func() { c.open.Add(-1) })}, nil
		}
		c.open.Add(-1)
		c.refused()
		c.log.Debug("rpc connection refused", "reason", "too-many", "max", c.most)
		conn.Close()
	}
}

type counted struct {
	net.Conn
	left func()
}

func (c *counted) Close() error {
	c.left()
	return c.Conn.Close()
}

// CloseWrite lets net/http end a connection so that an answer to what was not
// read whole still arrives.
func (c *counted) CloseWrite() error { return closeWrite(c.Conn) }

func closeWrite(c net.Conn) error {
	if half, ok := c.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// hostOf is the host of a Host header, without port and brackets.
func hostOf(hostport string) string {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	}
	return strings.ToLower(strings.Trim(host, "[]"))
}
