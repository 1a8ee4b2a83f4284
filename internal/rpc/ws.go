package rpc

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// Bounds of connections that stay, over TCP and over HTTP on the unix socket.
const (
	maxStays    = 64               // WebSockets and event streams, with authority and without
	pingEvery   = 30 * time.Second // on a WebSocket
	pongTimeout = 10 * time.Second
)

func isUpgrade(r *http.Request) bool {
	return r.Method == http.MethodGet && strings.EqualFold(r.Header.Get("Upgrade"), "websocket")
}

// stay takes one of the places for connections that stay: who has authority
// has places of their own. It answers and reports false where there is none.
func (s *Server) stay(w http.ResponseWriter, c *caller) (leave func(), ok bool) {
	places := s.stays
	if c.class == Admin {
		places = s.adminStays
	}
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
	leave, ok := s.stay(w, callerOf(r))
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
}

func (s *socket) read(b *budget) (*body, error) {
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	_, r, err := s.conn.Reader(ctx)
	if err != nil {
		return nil, err
	}
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
	ctx, cancel := context.WithTimeout(s.ctx, answerTimeout)
	defer cancel()
	return s.conn.Write(ctx, websocket.MessageText, msg)
}

func (s *socket) close() { s.conn.CloseNow() }

// keepAlive ends a connection whose other side does not answer any more.
func (s *socket) keepAlive(ctx context.Context) {
	tick := time.NewTicker(pingEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		late, cancel := context.WithTimeout(ctx, pongTimeout)
		err := s.conn.Ping(late)
		cancel()
		if err != nil {
			s.close()
			return
		}
	}
}
