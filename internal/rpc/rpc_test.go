package rpc_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/starlingp2p/starling"
	"github.com/starlingp2p/starling/internal/rpc"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// limit ends a test that hangs; no result depends on it.
const limit = 3 * time.Minute

// methods are what the tests call.
func methods() []starling.Method {
	return []starling.Method{
		{Name: "echo", Call: func(_ context.Context, params json.RawMessage) (any, error) {
			var text string
			if err := rpc.Params(params, &text); err != nil {
				return nil, err
			}
			return text, nil
		}},
		{Name: "add", Call: func(_ context.Context, params json.RawMessage) (any, error) {
			var a, b int
			if err := rpc.Params(params, &a, &b); err != nil {
				return nil, err
			}
			return a + b, nil
		}},
		{Name: "fail", Call: func(context.Context, json.RawMessage) (any, error) { return nil, errors.New("node: it went wrong") }},
		{Name: "panic", Call: func(context.Context, json.RawMessage) (any, error) { panic("at the disco") }},
		{Name: "wait", Call: func(ctx context.Context, _ json.RawMessage) (any, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}},
		{Name: "huge", Call: func(context.Context, json.RawMessage) (any, error) {
			return strings.Repeat("x", rpc.MaxAnswerBytes), nil
		}},
		{Name: "large", Call: func(context.Context, json.RawMessage) (any, error) {
			return strings.Repeat("x", rpc.MaxAnswerBytes*2/5), nil
		}},
		{Name: "unspeakable", Call: func(context.Context, json.RawMessage) (any, error) { return func() {}, nil }},
	}
}

// serve answers methods on a socket until the test ends.
func serve(t *testing.T, ms []starling.Method) (path string, stop func()) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "s")
	server, err := rpc.New(ms, nil)
	if err != nil {
		t.Fatal(err)
	}
	l, err := rpc.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- server.Serve(ctx, l) }()
	stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("Serve: %v", err)
			}
		case <-time.After(limit):
			t.Error("Serve does not end")
		}
	})
	t.Cleanup(stop)
	return path, stop
}

func dial(t *testing.T, path string) *rpc.Client {
	t.Helper()
	c, err := rpc.Dial(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	return ctx
}

func TestCallsGiveResultsAndErrors(t *testing.T) {
	path, _ := serve(t, methods())
	c, ctx := dial(t, path), within(t)
	var text string
	if err := c.Call(ctx, "echo", &text, "hello"); err != nil || text != "hello" {
		t.Errorf("echo gave %q, %v", text, err)
	}
	var sum int
	if err := c.Call(ctx, "add", &sum, 2, 3); err != nil || sum != 5 {
		t.Errorf("add gave %d, %v", sum, err)
	}
	for _, tt := range []struct {
		method string
		params []any
		code   int
		want   string
	}{
		{"nonsense", nil, rpc.CodeNoMethod, `"nonsense"`},
		{"fail", nil, rpc.CodeFailed, "node: it went wrong"},
		{"panic", nil, rpc.CodeInternal, "internal error"},
		{"unspeakable", nil, rpc.CodeFailed, "func()"},
		{"huge", nil, rpc.CodeFailed, "answer is over"},
		{"echo", []any{1}, rpc.CodeBadParams, "param 1"},
		{"echo", []any{"a", "b"}, rpc.CodeBadParams, "2 params, want at most 1"},
	} {
		err := c.Call(ctx, tt.method, nil, tt.params...)
		var own *rpc.Error
		if !errors.As(err, &own) || own.Code != tt.code || !strings.Contains(own.Message, tt.want) {
			t.Errorf("%s%v: %v, want code %d and %q", tt.method, tt.params, err, tt.code, tt.want)
		}
		if errors.Is(err, rpc.ErrUnreachable) {
			t.Errorf("%s: an error of the node looks like one of the way", tt.method)
		}
	}
	if err := c.Call(ctx, "echo", &text, "still here"); err != nil || text != "still here" {
		t.Errorf("after all errors, echo gave %q, %v", text, err)
	}
}

// raw speaks to the socket without the client.
func raw(t *testing.T, path string) net.Conn {
	t.Helper()
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(limit))
	return conn
}

func TestWhatIsNoCallIsRefusedByCode(t *testing.T) {
	path, _ := serve(t, methods())
	for _, tt := range []struct {
		name, in string
		code     int
		ends     bool // the connection too
	}{
		{"not JSON", "hello\n", rpc.CodeParse, true},
		{"cut off", `{"jsonrpc":`, rpc.CodeParse, true},
		{"no object", "5\n", rpc.CodeInvalid, false},
		{"another version", `{"jsonrpc":"1.0","id":1,"method":"echo"}` + "\n", rpc.CodeInvalid, false},
		{"no method", `{"jsonrpc":"2.0","id":1}` + "\n", rpc.CodeInvalid, false},
		{"an empty batch", "[]\n", rpc.CodeInvalid, false},
		{"a long batch", "[" + strings.Repeat("1,", rpc.MaxBatch) + "1]\n", rpc.CodeInvalid, false},
		{"too deep", strings.Repeat("[", 10_000), rpc.CodeInvalid, true}, // at the 65th bracket
		{"an object as id", `{"jsonrpc":"2.0","id":{},"method":"add"}` + "\n", rpc.CodeInvalid, false},
		{"params by name", `{"jsonrpc":"2.0","id":1,"method":"echo","params":{"a":1}}` + "\n", rpc.CodeBadParams, false},
		{"too large", `{"jsonrpc":"2.0","id":1,"method":"echo","params":["` + strings.Repeat("x", rpc.MaxRequestBytes) + `"]}` + "\n", rpc.CodeInvalid, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			conn := raw(t, path)
			wrote := make(chan struct{})
			go func() { // a server that stops reading may leave us in the middle
				defer close(wrote)
				conn.Write([]byte(tt.in))
				if tt.name == "cut off" {
					conn.(*net.UnixConn).CloseWrite()
				}
			}()
			in := bufio.NewReader(conn)
			line, err := in.ReadBytes('\n')
			if err != nil {
				t.Fatalf("no answer: %v", err)
			}
			var r struct {
				Error *rpc.Error `json:"error"`
			}
			if err := json.Unmarshal(line, &r); err != nil || r.Error == nil || r.Error.Code != tt.code {
				t.Errorf("answer %.200s, want code %d", line, tt.code)
			}
			if tt.ends {
				if _, err := in.ReadByte(); err == nil {
					t.Error("the connection goes on")
				}
			} else {
				fmt.Fprintln(conn, `{"jsonrpc":"2.0","id":7,"method":"add","params":[1,2]}`)
				if line, err := in.ReadString('\n'); err != nil || line != `{"jsonrpc":"2.0","id":7,"result":3}`+"\n" {
					t.Errorf("the next call gave %q, %v", line, err)
				}
			}
			conn.Close()
			<-wrote
		})
	}
}

// A request of exactly the bound passes; requests one after the other each
// have the whole bound.
func TestTheBoundIsForEachRequest(t *testing.T) {
	path, _ := serve(t, methods())
	c, ctx := dial(t, path), within(t)
	large := strings.Repeat("x", rpc.MaxRequestBytes-1024)
	for range 3 {
		var text string
		if err := c.Call(ctx, "echo", &text, large); err != nil || text != large {
			t.Fatalf("%d bytes gave %d, %v", len(large), len(text), err)
		}
	}
}

func TestTooManyConnectionsAreRefusedUntilOneEnds(t *testing.T) {
	path, _ := serve(t, methods())
	ctx := within(t)
	clients := make([]*rpc.Client, rpc.MaxConns)
	for i := range clients {
		clients[i] = dial(t, path)
		if err := clients[i].Call(ctx, "add", nil, 1, 2); err != nil {
			t.Fatalf("connection %d: %v", i+1, err)
		}
	}
	if err := dial(t, path).Call(ctx, "add", nil, 1, 2); !errors.Is(err, rpc.ErrUnreachable) {
		t.Errorf("one more: %v, want %v", err, rpc.ErrUnreachable)
	}
	if err := clients[0].Call(ctx, "add", nil, 1, 2); err != nil {
		t.Errorf("who is connected: %v", err)
	}
}

func TestConcurrentCallsDoNotWaitForEachOther(t *testing.T) {
	// Each call waits until all are under way.
	const n = 8
	var (
		mu  sync.Mutex
		in  int
		all = make(chan struct{})
	)
	path, _ := serve(t, append(methods(), starling.Method{Name: "meet", Call: func(ctx context.Context, _ json.RawMessage) (any, error) {
		mu.Lock()
		if in++; in == n {
			close(all)
		}
		mu.Unlock()
		select {
		case <-all:
			return true, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}}))
	ctx := within(t)
	errs := make(chan error, n)
	for range n {
		c := dial(t, path)
		go func() { errs <- c.Call(ctx, "meet", nil) }()
	}
	for range n {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

func TestACallEndsWithItsContext(t *testing.T) {
	path, _ := serve(t, methods())
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	c := dial(t, path)
	go func() { done <- c.Call(ctx, "wait", nil) }()
	cancel()
	select {
	case err := <-done:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("the call ended with %v, want %v", err, context.Canceled)
		}
	case <-time.After(limit):
		t.Fatal("the call goes on")
	}
}

// A server that stops ends its calls and connections, and takes its socket away.
func TestServeEndsWithItsContextAndItsCalls(t *testing.T) {
	began := make(chan struct{})
	path, stop := serve(t, []starling.Method{{Name: "wait", Call: func(ctx context.Context, _ json.RawMessage) (any, error) {
		close(began)
		<-ctx.Done()
		return nil, ctx.Err()
	}}})
	done := make(chan error, 1)
	c := dial(t, path)
	ctx := within(t)
	go func() { done <- c.Call(ctx, "wait", nil) }()
	<-began
	raw(t, path) // and one that says nothing
	stop()
	if err := <-done; err == nil {
		t.Error("a call succeeded on a server that stopped")
	}
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("the socket is there yet: %v", err)
	}
	if _, err := rpc.Dial(ctx, path); !errors.Is(err, rpc.ErrUnreachable) {
		t.Errorf("dialling a server that stopped: %v, want %v", err, rpc.ErrUnreachable)
	}
}

func TestTheSocketIsTheOwnersAlone(t *testing.T) {
	path, _ := serve(t, nil)
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got != 0o600 || info.Mode().Type() != os.ModeSocket {
		t.Errorf("the socket has mode %v, want a socket of 0600", info.Mode())
	}
}

// What a killed process left is taken over; a file that is no socket is not.
func TestAStaleSocketIsTakenOver(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	old, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	old.SetUnlinkOnClose(false)
	old.Close()
	if _, err := os.Lstat(path); err != nil {
		t.Fatal(err)
	}
	l, err := rpc.Listen(path)
	if err != nil {
		t.Fatalf("over a stale socket: %v", err)
	}
	l.Close()
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if l, err := rpc.Listen(path); err == nil {
		l.Close()
		t.Error("a file that is no socket was taken over")
	} else if !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "no socket") {
		t.Errorf("the error is %q", err)
	}
	if text, err := os.ReadFile(path); string(text) != "precious" {
		t.Errorf("the file holds %q: %v", text, err)
	}
}

func TestASocketPathThatIsTooLongIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), strings.Repeat("x", 101))
	l, err := rpc.Listen(path)
	if err == nil {
		l.Close()
		t.Fatal("it was taken")
	}
	for _, want := range []string{path, "at most 100", "shorter datadir"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error %q does not say %q", err, want)
		}
	}
}

func TestTwoMethodsOfOneNameAreRefused(t *testing.T) {
	if _, err := rpc.New(append(methods(), methods()...), nil); err == nil || !strings.Contains(err.Error(), `"echo"`) {
		t.Errorf("New gave %v", err)
	}
}
