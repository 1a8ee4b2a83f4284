package rpc

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/starlingp2p/starling"
)

// Bounds of subscriptions.
const (
	maxSubscriptions = 32  // on one connection
	maxRemoteSubs    = 128 // over TCP, of all connections without the token
	// maxFeedParams bounds the params of a subscription in bytes. They are
	// decoded before they are looked at, and take many times their size.
	maxFeedParams = 64 << 10
	// MaxLag is by how many events a reader may be behind before its
	// subscription ends.
	MaxLag = 1024
)

// Feed is something to subscribe to on a connection that stays, in geth's way:
// NAMESPACE_subscribe(NAME, …) gives an id, NAMESPACE_subscription
// notifications follow it, NAMESPACE_unsubscribe(ID) ends them.
type Feed struct {
	Namespace, Name string
	Doc             string
	Params          []starling.Param // after the name
	Result          any              // an example of what a notification carries
	// Open checks the params after the name, at most 64 KiB as a JSON array, and
	// begins: what happens from now on is delivered. It must not block.
	Open func(params json.RawMessage) (Reader, error)
}

// Reader delivers a subscription: it calls send for each value until ctx ends,
// send fails, or nothing more comes. send blocks until the other side has taken
// the value; a Reader that is MaxLag behind gives up with Lagging. It runs on a
// goroutine of its own.
type Reader func(ctx context.Context, send func(value any) error) error

// Lagging is the error of a reader that was too slow.
func Lagging(missed uint64) error {
	return errorf(CodeDropped, "rpc: the subscription has ended: its reader is more than %d events behind, and misses %d; subscribe again", MaxLag, missed)
}

// errGone is what send fails with when the connection is of no more use.
var errGone = errors.New("rpc: the connection has ended")

// AddFeed adds a feed. It must be called before the first listener is served.
func (s *Server) AddFeed(f Feed) error {
	byName := s.feeds[f.Namespace]
	if byName == nil {
		byName = map[string]Feed{}
		s.feeds[f.Namespace] = byName
	}
	if _, taken := byName[f.Name]; taken {
		return fmt.Errorf("rpc: two subscriptions are named %q in %s", f.Name, f.Namespace)
	}
	byName[f.Name] = f
	return nil
}

// method finds a method. Those of subscriptions are made for the caller; after
// is set to what begins one.
func (s *Server) method(c *caller, name string, after *func(context.Context)) (starling.Method, bool) {
	if m, ok := s.methods[name]; ok {
		return m, true
	}
	if ns, ok := strings.CutSuffix(name, "_subscribe"); ok && s.feeds[ns] != nil {
		return starling.Method{Call: func(_ context.Context, params json.RawMessage) (any, error) {
			return s.subscribe(c, ns, params, after)
		}}, true
	}
	if ns, ok := strings.CutSuffix(name, "_unsubscribe"); ok && s.feeds[ns] != nil {
		return starling.Method{Call: func(_ context.Context, params json.RawMessage) (any, error) {
			var id string
			if err := Params(params, &id); err != nil {
				return nil, err
			}
			if c.stream == nil || !c.stream.subs.end(id) {
				return nil, errorf(CodeFailed, "rpc: subscription %.40q not found", id)
			}
			return true, nil
		}}, true
	}
	return starling.Method{}, false
}

func (s *Server) subscribe(c *caller, ns string, params json.RawMessage, after *func(context.Context)) (any, error) {
	if c.stream == nil {
		return nil, errorf(CodeNoNotify, "notifications not supported; subscribe over WebSocket or the unix socket, or read /events")
	}
	if len(params) > maxFeedParams {
		return nil, BadParams("params of a subscription have %d bytes, want at most %d", len(params), maxFeedParams)
	}
	name, rest, err := headOf(params)
	if err != nil {
		return nil, err
	}
	feed, ok := s.feeds[ns][name]
	if !ok {
		return nil, errorf(CodeNoMethod, "no %.80q subscription in %s namespace", name, ns)
	}
	reader, err := feed.Open(rest)
	if err != nil {
		return nil, err
	}
	leave := func() {}
	if c.class < Admin {
		select {
		case s.remoteSubs <- struct{}{}:
			leave = func() { <-s.remoteSubs }
		default:
			return nil, errorf(CodeLimited, "rpc: too many subscriptions over TCP, want at most %d; end some, or use the unix socket or the token", maxRemoteSubs)
		}
	}
	id, err := c.stream.subs.add(leave)
	if err != nil {
		leave()
		return nil, err
	}
	*after = func(ctx context.Context) { c.stream.deliver(ctx, ns, id, reader) }
	return id, nil
}

// headOf cuts the first param, a name, off the others.
func headOf(params json.RawMessage) (name string, rest json.RawMessage, err error) {
	const most = 8
	var list []json.RawMessage
	if shape, err := shapeOf(params); err != nil {
		return "", nil, err
	} else if !shape.batch || shape.items < 1 || shape.items > most {
		return "", nil, BadParams("params must be an array of 1 to %d that begins with the subscription's name", most)
	}
	if err := json.Unmarshal(params, &list); err != nil {
		return "", nil, BadParams("params must be an array: %v", err)
	}
	if err := json.Unmarshal(list[0], &name); err != nil {
		return "", nil, BadParams("param 1: %v", err)
	}
	rest, err = json.Marshal(list[1:])
	return name, rest, err
}

// subscriptions are those of one connection.
type subscriptions struct {
	running sync.WaitGroup

	mu sync.Mutex
	by map[string]*subscription
}

type subscription struct {
	cancel context.CancelFunc // nil: not begun yet
	leave  func()             // gives its place back
}

// add gives a new subscription's id.
func (s *subscriptions) add(leave func()) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.by) >= maxSubscriptions {
		return "", errorf(CodeLimited, "rpc: %d subscriptions on a connection, want at most %d", len(s.by)+1, maxSubscriptions)
	}
	raw := make([]byte, 16)
	rand.Read(raw) // never fails
	id := "0x" + strings.TrimLeft(hex.EncodeToString(raw), "0")
	s.by[id] = &subscription{leave: leave}
	return id, nil
}

// begin gives the context of a subscription; false if it has ended already.
func (s *subscriptions) begin(ctx context.Context, id string) (context.Context, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sub, ok := s.by[id]
	if !ok {
		return nil, false
	}
	ctx, sub.cancel = context.WithCancel(ctx)
	return ctx, true
}

// end ends a subscription. It reports whether there was one.
func (s *subscriptions) end(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	sub, ok := s.by[id]
	if !ok {
		return false
	}
	delete(s.by, id)
	if sub.cancel != nil {
		sub.cancel()
	}
	sub.leave()
	return true
}

// endAll ends those that are left when the connection has ended.
func (s *subscriptions) endAll() {
	s.mu.Lock()
	ids := slices.Collect(maps.Keys(s.by))
	s.mu.Unlock()
	for _, id := range ids {
		s.end(id)
	}
	s.running.Wait()
}

// deliver runs a subscription's reader until it ends.
func (st *stream) deliver(conn context.Context, ns, id string, read Reader) {
	ctx, ok := st.subs.begin(conn, id)
	if !ok {
		return
	}
	tell := func(ctx context.Context, key string, value any) error {
		raw, ok := value.(json.RawMessage) // many subscriptions may share it
		if !ok {
			var err error
			if raw, err = json.Marshal(value); err != nil {
				return fmt.Errorf("rpc: notification: %w", err)
			}
		}
		if !st.send(ctx, fmt.Appendf(nil, `{"jsonrpc":"2.0","method":"%s_subscription","params":{"subscription":"%s","%s":%s}}`, ns, id, key, raw)) {
			return errGone
		}
		return nil
	}
	st.server.events.Add("subscribed", 1)
	st.subs.running.Go(func() {
		defer st.subs.end(id)
		err := st.server.read(ctx, read, func(v any) error { return tell(ctx, "result", v) })
		if ctx.Err() != nil || errors.Is(err, errGone) {
			return
		}
		var own *Error
		switch {
		case err == nil:
			own = errorf(CodeFailed, "rpc: the subscription has ended: the node stops")
		case !errors.As(err, &own):
			own = errorf(CodeFailed, "%s", err.Error())
		}
		tell(conn, "error", own)
	})
}

// read runs a reader. One that panics fails alone.
func (s *Server) read(ctx context.Context, r Reader, send func(any) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = s.panicked("subscription", p)
		}
	}()
	return r(ctx, send)
}
