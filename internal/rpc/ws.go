package rpc

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
)

// Bounds of connections that stay, over TCP and over HTTP on the unix socket.
const (
	maxStays    = 32               // of each kind, in all a half of DefaultConns
	pingEvery   = 30 * time.Second // on a WebSocket that is silent
	pongTimeout = 30 * time.Second
)

// stayKind is a kind of connections that stay. Each has places of its own:
// neither who reads events is in the way of who calls, nor who reads at all in
// that of who has all authority.
type stayKind struct{ events, admin bool }

func newStays() map[stayKind]chan struct{} {
	places := map[stayKind]chan struct{}{}
	for _, k := range []stayKind{{}, {events: true}, {admin: true}, {events: true, admin: true}} {
		places[k] = make(chan struct{}, maxStays)
	}
	return places
}

func isUpgrade(r *http.Request) bool {
	return r.Method == http.MethodGet && strings.EqualFold(r.Header.Get("Upgrade"), "websocket")
}

// stay takes one of the places for connections that stay, on which events are
// read or calls are made. It answers and reports false where there is none.
func (s *Server) stay(w http.ResponseWriter, c *caller, events bool) (leave func(), ok bool) {
	places := s.stays[stayKind{events, c.class == Admin}]
	select {
	case places <- struct{}{}:
		return func() { <-places }, true
	default:
		w.Header().Set("Retry-After", "10")
		refuse(w, http.StatusServiceUnavailable, errorf(CodeLimited, "rpc: %d connections stay open, want at most that many; try again", maxStays))
		return nil, false
	}
}

// serveWS answers calls on a WebSocket until it ends. Host, Origin and token
// were checked before.
func (s *Server) serveWS(w http.ResponseWriter, r *http.Request) {
	leave, ok := s.stay(w, callerOf(r), false)
	if !ok {
		return
	}
	defer leave()
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true}) // the origin is checked for all of HTTP
	if err != nil {
		s.log.Debug("websocket not accepted", "err", err)
		return
	}
	conn.SetReadLimit(-1) // the budget bounds messages
	ctx, cancel := context.WithCancel(r.Context())
	socket := &socket{conn: conn, ctx: ctx}
	var alive sync.WaitGroup
	defer alive.Wait()
	defer cancel()
	alive.Go(func() { socket.keepAlive(ctx) })
	c := callerOf(r)
	newStream(s, socket, c, s.bytesOf(c)).run(ctx)
}

// socket carries messages over a WebSocket.
type socket struct {
	conn *websocket.Conn
	ctx  context.Context // of the request; carrier has no contexts

	moving atomic.Int64 // messages on their way, in or out
	moved  atomic.Bool  // one has been since the last look
}

// move notes a message on its way, until the end of what it gives.
func (s *socket) move() (end func()) {
	s.moving.Add(1)
	return func() { s.moved.Store(true); s.moving.Add(-1) }
}

// lively reports whether a message is on its way, or has been since the last
// look. Each has its own time to be whole.
func (s *socket) lively() bool { return s.moved.Swap(false) || s.moving.Load() > 0 }

func (s *socket) read(b *budget) (*body, error) {
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	_, r, err := s.conn.Reader(ctx)
	if err != nil {
		return nil, err
	}
	defer s.move()()
	late := time.AfterFunc(frameTimeout, cancel)
	defer late.Stop()
	msg := &body{budget: b}
	if err := msg.readAll(r); err != nil {
		msg.free()
		return nil, err
	}
	return msg, nil
}

func (s *socket) write(msg []byte) error {
	defer s.move()()
	ctx, cancel := context.WithTimeout(s.ctx, answerWithin(len(msg)))
	defer cancel()
	return s.conn.Write(ctx, websocket.MessageText, msg)
}

func (s *socket) close() { s.conn.CloseNow() }

// keepAlive ends a connection whose other side does not answer any more. One
// on which messages travel, however slowly, is not asked: a pong would wait
// behind them.
func (s *socket) keepAlive(ctx context.Context) {
	tick := time.NewTicker(pingEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if s.lively() {
			continue
		}
		late, cancel := context.WithTimeout(ctx, pongTimeout)
		err := s.conn.Ping(late)
		cancel()
		if err != nil && !s.lively() {
			s.close()
			return
		}
	}
}
