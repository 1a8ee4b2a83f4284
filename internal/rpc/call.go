package rpc

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"runtime/debug"
	"strings"
	"time"
)

// Class says how much authority something needs, or somebody has.
type Class uint8

// Public is what anybody may see who reaches the server. Read is what anybody
// on this machine may see, and from elsewhere the holder of a token. Admin is
// what changes the node or looks inside of it: for the unix socket and for the
// holder of the token.
const (
	Public Class = iota
	Read
	Admin
)

func (c Class) String() string {
	switch c {
	case Public:
		return "public"
	case Read:
		return "read"
	}
	return "admin"
}

// caller is who calls.
type caller struct {
	class  Class
	token  bool                                // it has shown a token
	stream *stream                             // nil: it can't be notified
	slots  chan struct{}                       // of calls that run at once; shared with others of its kind
	charge func(n int) time.Duration           // takes n calls from what it may ask; 0, or how long it must wait. Nil: it may ask anything
	spent  func(took time.Duration, bytes int) // takes what calls have cost, afterwards. Nil: nothing is
}

// wait takes n calls from what the caller may ask.
func (c *caller) wait(n int) time.Duration {
	if c.charge == nil {
		return 0
	}
	return c.charge(n)
}

// callTimeout bounds one message: a call, or a batch of them.
const callTimeout = time.Minute

// reply is what becomes of one message.
type reply struct {
	out   []byte                  // nil: there is nothing to say
	code  int                     // of the error, where a single call failed
	after []func(context.Context) // to be called once out is written
}

// calls gives how many calls a message holds, or why it is none.
func calls(raw []byte) (int, *Error) {
	s, err := shapeOf(raw)
	var own *Error
	switch {
	case errors.As(err, &own):
		return 0, own
	case !s.batch:
		return 1, nil
	case s.items == 0:
		return 0, errorf(CodeInvalid, "rpc: an empty batch")
	case s.items > MaxBatch:
		return 0, errorf(CodeInvalid, "rpc: a batch of %d calls, want at most %d", s.items, MaxBatch)
	}
	return s.items, nil
}

// handle answers one message that calls has found well formed. It blocks until
// all its calls have ended, callTimeout at most.
func (s *Server) handle(ctx context.Context, c *caller, raw []byte) reply {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	case <-ctx.Done():
		return failed(errorf(CodeLimited, "rpc: too many calls at once; try again"))
	}
	began := time.Now()
	r := s.answer(ctx, c, raw)
	if c.spent != nil {
		c.spent(time.Since(began), len(r.out))
	}
	return r
}

// answer does what a message says.
func (s *Server) answer(ctx context.Context, c *caller, raw []byte) reply {
	if !bytes.HasPrefix(bytes.TrimLeft(raw, " \t\r\n"), []byte("[")) {
		return s.single(ctx, c, raw)
	}
	var batch []json.RawMessage
	if err := json.Unmarshal(raw, &batch); err != nil {
		return failed(errorf(CodeParse, "rpc: not JSON: %v", err))
	}
	var all reply
	for _, item := range batch {
		r := s.single(ctx, c, item)
		if len(all.out)+len(r.out) > MaxAnswerBytes {
			r.out = response{ID: idOf(item), Error: errAnswerTooLarge()}.encode()
		}
		all.after = append(all.after, r.after...)
		if r.out == nil {
			continue
		}
		if all.out == nil {
			all.out = []byte{'['}
		} else {
			all.out = append(all.out, ',')
		}
		all.out = append(all.out, r.out...)
	}
	if all.out != nil {
		all.out = append(all.out, ']')
	}
	return all
}

func errAnswerTooLarge() *Error {
	return errorf(CodeFailed, "rpc: answer is over %d bytes", MaxAnswerBytes)
}

// failed is the reply to what is no call.
func failed(err *Error) reply {
	return reply{out: response{Error: err}.encode(), code: err.Code}
}

// single answers one call, or does what a notification says.
func (s *Server) single(ctx context.Context, c *caller, raw []byte) (out reply) {
	var q request
	if err := json.Unmarshal(raw, &q); err != nil {
		if !json.Valid(raw) {
			return failed(errorf(CodeParse, "rpc: not JSON: %v", err))
		}
		return failed(errNoCall())
	}
	if q.Version != "2.0" || q.Method == "" || !validID(q.ID) {
		r := failed(errNoCall())
		if validID(q.ID) {
			r.out = response{ID: q.ID, Error: errNoCall()}.encode()
		}
		return r
	}
	if q.ID == nil && strings.HasSuffix(q.Method, "_subscribe") {
		return reply{} // nobody would know its id
	}
	result, after, err := s.invoke(ctx, c, q)
	s.events.Add(outcome(err), 1)
	if q.ID == nil {
		return reply{}
	}
	r := response{ID: q.ID, Result: result}
	if err != nil {
		r.Result, r.Error = nil, err
		out.code = err.Code
	} else if after != nil {
		out.after = []func(context.Context){after}
	}
	out.out = r.encode()
	if len(out.out) > MaxAnswerBytes {
		out.out, out.code = response{ID: q.ID, Error: errAnswerTooLarge()}.encode(), CodeFailed
	}
	return out
}

func errNoCall() *Error {
	return errorf(CodeInvalid, `rpc: want {"jsonrpc":"2.0","id":…,"method":…,"params":[…]}`)
}

// validID: a text, a number or null (JSON-RPC 2.0 §4), and not a long one.
func validID(id json.RawMessage) bool {
	return len(id) <= maxIDBytes && (id == nil || !strings.ContainsRune("{[tf", rune(id[0])))
}

// idOf is the id of a call, null where it has none.
func idOf(raw []byte) json.RawMessage {
	var q request
	if json.Unmarshal(raw, &q) != nil || !validID(q.ID) {
		return nil
	}
	return q.ID
}

// invoke runs one call. A method that panics fails that call only. after, if
// there is one, is to be called once the answer is written.
func (s *Server) invoke(ctx context.Context, c *caller, q request) (result json.RawMessage, after func(context.Context), err *Error) {
	defer func() {
		if p := recover(); p != nil {
			result, after, err = nil, nil, s.panicked(q.Method, p)
		}
	}()
	m, ok := s.method(c, q.Method, &after)
	if !ok {
		return nil, nil, errorf(CodeNoMethod, "rpc: no method %.80q", q.Method)
	}
	if m.Write && c.class < Admin || c.class < Read {
		return nil, nil, errorf(CodeDenied, "rpc: %.80s needs authority: use the unix socket in the datadir, or the token", q.Method)
	}
	if m.Write {
		select {
		case s.writes <- struct{}{}:
			defer func() { <-s.writes }()
		case <-ctx.Done():
			return nil, nil, errorf(CodeLimited, "rpc: too many calls that change something at once; try again")
		}
	}
	value, failure := m.Call(ctx, q.Params)
	if failure == nil {
		result, failure = json.Marshal(value)
	}
	if failure != nil {
		var own *Error
		if !errors.As(failure, &own) {
			own = errorf(CodeFailed, "%s", failure.Error())
		}
		return nil, nil, own
	}
	return result, after, nil
}

// panicked tells our log of a fault of ours, and the caller no more than that.
func (s *Server) panicked(what string, p any) *Error {
	s.log.Error("rpc method panicked", "method", what, "err", p, "stack", string(debug.Stack()))
	return errorf(CodeInternal, "rpc: internal error")
}
