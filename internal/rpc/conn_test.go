package rpc

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/starlingp2p/starling"
)

// bigServer has one method, whose answer fills any buffer.
func bigServer(t *testing.T) *Server {
	t.Helper()
	s, err := New([]starling.Method{
		{Name: "big", Call: func(context.Context, json.RawMessage) (any, error) { return bytes.Repeat([]byte("x"), 1<<20), nil }},
		{Name: "wait", Call: func(ctx context.Context, _ json.RawMessage) (any, error) { <-ctx.Done(); return nil, ctx.Err() }},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// A client that does not take its answer is let go after a while.
func TestASlowClientIsLetGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		defer theirs.Close()
		done := make(chan struct{})
		go func() { defer close(done); bigServer(t).serveConn(t.Context(), ours) }()
		if _, err := theirs.Write([]byte(`{"jsonrpc":"2.0","id":1,"method":"big"}` + "\n")); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		<-done
		if took := time.Since(began); took < answerTimeout || took > answerWithin(MaxAnswerBytes) {
			t.Errorf("let go after %v, want %v to %v", took, answerTimeout, answerWithin(MaxAnswerBytes))
		}
	})
}

// A method that does not end is ended, and the call fails; the connection goes on.
func TestACallTakesAMinuteAtTheMost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		done := make(chan struct{})
		go func() { defer close(done); bigServer(t).serveConn(t.Context(), ours) }()
		c := &Client{conn: theirs, dec: json.NewDecoder(theirs)}
		began := time.Now()
		err := c.Call(t.Context(), "wait", nil)
		var own *Error
		if !errors.As(err, &own) || own.Code != CodeFailed {
			t.Errorf("the call ended with %v, want an error of the node", err)
		}
		if took := time.Since(began); took != callTimeout {
			t.Errorf("the call took %v, want %v", took, callTimeout)
		}
		if err := c.Call(t.Context(), "big", nil); err != nil {
			t.Errorf("the next call: %v", err)
		}
		c.Close()
		<-done
	})
}

// A server that does not answer is given up on.
func TestASilentServerIsUnreachable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		defer theirs.Close()
		go func() { theirs.Read(make([]byte, 1024)) }()
		c := &Client{conn: ours, dec: json.NewDecoder(ours)}
		defer c.Close()
		if err := c.Call(t.Context(), "wait", nil); !errors.Is(err, ErrUnreachable) {
			t.Errorf("the call ended with %v, want %v", err, ErrUnreachable)
		}
	})
}

// FuzzAnswer feeds the decoder of requests: whatever comes, each call has an
// answer that is JSON-RPC 2.0, with a result or an error and not both, and
// only notifications have none. Threat rows B-07 and A-08.
func FuzzAnswer(f *testing.F) {
	for _, seed := range []string{
		`{"jsonrpc":"2.0","id":1,"method":"sum","params":[1,2]}`, `{"jsonrpc":"2.0","id":"a","method":"nope"}`, `{"jsonrpc":"2.0","method":"sum","params":{}}`,
		`{"jsonrpc":"2.0","id":{"x":[]},"method":"sum","params":null}`, `[]`, `null`, `{"jsonrpc":"1.0"}`, `{"jsonrpc":"2.0","id":1,"method":"sum","params":[1,2,3,4]}`, ``,
		`[{"jsonrpc":"2.0","id":1,"method":"sum","params":[1]},{"jsonrpc":"2.0","method":"sum"},7]`, `[[[[`, `{"jsonrpc":"2.0","id":1,"method":"boom"}`, `"a\"`,
		"[0,", strings.Repeat("[", 10_000), "[" + strings.Repeat("1,", 101) + "1]",
	} {
		f.Add([]byte(seed))
	}
	s, err := New([]starling.Method{
		{Name: "sum", Call: func(_ context.Context, params json.RawMessage) (any, error) {
			var a, b int64
			if err := Params(params, &a, &b); err != nil {
				return nil, err
			}
			return a + b, nil
		}},
		{Name: "boom", Call: func(context.Context, json.RawMessage) (any, error) { panic("boom") }},
	}, nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		n, bad := calls(in)
		if bad != nil {
			return // refused before it is decoded
		}
		out := s.handle(t.Context(), &caller{class: Admin, slots: s.local}, in).out
		answers := []json.RawMessage{out}
		switch {
		case out == nil:
			answers = nil
		case out[0] == '[':
			if err := json.Unmarshal(out, &answers); err != nil {
				t.Fatalf("%q: the answer is no JSON: %v", in, err)
			}
		}
		if len(answers) > n {
			t.Fatalf("%q is %d calls and has %d answers", in, n, len(answers))
		}
		if len(answers) < n && json.Valid(in) && !bytes.Contains(bytes.ToLower(in), []byte("method")) && !bytes.Contains(in, []byte("\\u")) {
			t.Fatalf("%q has %d answers, want %d", in, len(answers), n)
		}
		for _, a := range answers {
			var r struct {
				Version string          `json:"jsonrpc"`
				ID      json.RawMessage `json:"id"`
				Result  json.RawMessage `json:"result"`
				Error   *Error          `json:"error"`
			}
			if err := json.Unmarshal(a, &r); err != nil {
				t.Fatalf("%q: the answer is no JSON: %v", in, err)
			}
			if r.Version != "2.0" || (r.Result == nil) == (r.Error == nil) || r.ID == nil {
				t.Fatalf("%q is answered with %s", in, a)
			}
			if r.Error != nil && (r.Error.Code == 0 || r.Error.Message == "") {
				t.Fatalf("%q is answered with an error that says nothing", in)
			}
		}
	})
}

// serveConn serves a connection as one of the unix socket that speaks no HTTP.
func (s *Server) serveConn(ctx context.Context, conn net.Conn) {
	s.serveStream(ctx, conn, bufio.NewReaderSize(conn, 4<<10))
}
