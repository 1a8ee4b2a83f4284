package rpc

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/starlingp2p/starling"
	"github.com/starlingp2p/starling/internal/eventlog"
)

// pipes is a listener whose connections are in memory, so that a test has its
// own time.
type pipes struct{ *handoff }

func newPipes() pipes { return pipes{newHandoff(&net.UnixAddr{Name: "pipes", Net: "unix"})} }

func (p pipes) dial(context.Context, string, string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case p.conns <- theirs:
		return ours, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

// bubble serves over TCP, in memory, until the function that it gives is called.
func bubble(t *testing.T, s *Server, opts TCP) (pipes, *http.Client, func()) {
	t.Helper()
	l := newPipes()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.ServeTCP(ctx, l, opts) }()
	client := &http.Client{Transport: &http.Transport{DialContext: l.dial}}
	return l, client, func() {
		client.CloseIdleConnections()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("ServeTCP: %v", err)
		}
	}
}

// fed is a server whose feed is a log of events.
func fed(t *testing.T) (*eventlog.Log, *Server) {
	t.Helper()
	log, s := eventlog.New(0), testServer(t)
	if err := s.AddFeed(logFeed(log)); err != nil {
		t.Fatal(err)
	}
	return log, s
}

func testServer(t *testing.T, more ...starling.Method) *Server {
	t.Helper()
	s, err := New(append(
		more,
		starling.Method{Name: "one", Call: func(context.Context, json.RawMessage) (any, error) { return 1, nil }},
		starling.Method{Name: "change", Write: true, Call: func(context.Context, json.RawMessage) (any, error) { return 2, nil }},
	), nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

const one = `{"jsonrpc":"2.0","id":1,"method":"one"}`

// ask posts one call.
func ask(t *testing.T, c *http.Client, body, auth string) (status int, retry, text string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://localhost/", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if auth != "" {
		req.Header.Set("Authorization", "Bearer "+auth)
	}
	res, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, res.Header.Get("Retry-After"), string(raw)
}

// staying is how many connections stay.
func staying(s *Server) (n int) {
	for _, places := range s.stays {
		n += len(places)
	}
	return n
}

// A client has 200 calls a second, those in batches counted one by one, and is
// told when to come back, after a while. Threat row R-09.
func TestAClientIsPaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c, stop := bubble(t, testServer(t), TCP{Open: true})
		defer stop()
		batch := "[" + strings.Repeat(one+",", 9) + one + "]"
		try := func(i int) (calls int, refused bool) {
			t.Helper()
			body, n := one, 1
			if i%2 == 0 {
				body, n = batch, 10
			}
			status, retry, text := ask(t, c, body, "")
			if status == 200 {
				return n, false
			}
			if status != 429 || retry == "" || !strings.Contains(text, "-32005") {
				t.Fatalf("over the pace: %d %s", status, text)
			}
			return 0, true
		}
		began, passed := time.Now(), 0
		for i := 0; ; i++ {
			n, refused := try(i)
			if passed += n; refused {
				break
			}
		}
		if passed > DefaultRate || passed < DefaultRate-10 {
			t.Errorf("%d calls passed at once, want %d", passed, DefaultRate)
		}
		if time.Since(began) == 0 {
			t.Error("a client that asks too much is told so at once: it can ask in vain as fast as it likes")
		}
		for i := 0; time.Since(began) < 10*time.Second; i++ {
			n, _ := try(i)
			passed += n
		}
		if most := DefaultRate + int(float64(DefaultRate)*time.Since(began).Seconds()); passed > most || passed < most/2 {
			t.Errorf("%d calls passed in %v, want at most %d", passed, time.Since(began), most)
		}
	})
}

// What is large, or takes long, counts as several calls. Threat rows R-09 and
// B-07.
func TestWhatIsCostlyCountsForMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := starling.Method{Name: "slow", Call: func(context.Context, json.RawMessage) (any, error) { time.Sleep(time.Second / 2); return 1, nil }}
		large := starling.Method{Name: "large", Call: func(context.Context, json.RawMessage) (any, error) { return strings.Repeat("x", 3<<20), nil }}
		_, c, stop := bubble(t, testServer(t, slow, large), TCP{Open: true})
		defer stop()
		for _, tt := range []struct {
			name, body string
			most       int // that pass within a second, from a full allowance
		}{
			{"cheap", one, DefaultRate},
			{"large requests", strings.Repeat(" ", 3<<20) + one, 3},
			{"large answers", `{"jsonrpc":"2.0","id":1,"method":"large"}`, 4},
			{"slow answers", `{"jsonrpc":"2.0","id":1,"method":"slow"}`, 3},
		} {
			time.Sleep(10 * time.Second) // less than a connection may be idle
			passed := 0
			for began := time.Now(); time.Since(began) < time.Second; {
				if status, _, _ := ask(t, c, tt.body, ""); status != 200 {
					break
				}
				passed++
			}
			if passed > tt.most || passed == 0 {
				t.Errorf("%s: %d passed, want at most %d", tt.name, passed, tt.most)
			}
		}
	})
}

// New connections are accepted no faster than their pace, and none is refused
// for coming early.
func TestNewConnectionsArePaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _, stop := bubble(t, testServer(t), TCP{Open: true})
		defer stop()
		began := time.Now()
		for range 3 * connectRate {
			conn, err := l.dial(t.Context(), "", "")
			if err != nil {
				t.Fatal(err)
			}
			conn.Close()
		}
		if took := time.Since(began); took < 1900*time.Millisecond || took > 3*time.Second {
			t.Errorf("%d connections took %v, want 2s: %d at once and as many a second", 3*connectRate, took, connectRate)
		}
	})
}

// A connection that stays is not refused what comes too fast: it is not read.
// Threat row R-09.
func TestAStreamIsPacedByNotReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		done := make(chan struct{})
		go func() { defer close(done); testServer(t).serveConn(t.Context(), theirs) }()
		const n = 1000
		go func() {
			for range n {
				io.WriteString(ours, one)
			}
		}()
		began, dec := time.Now(), json.NewDecoder(ours)
		for range n {
			var r response
			if err := dec.Decode(&r); err != nil || string(r.Result) != "1" {
				t.Fatalf("%s, %v", r.Result, err)
			}
		}
		if took := time.Since(began); took < 3900*time.Millisecond || took > 5*time.Second {
			t.Errorf("%d calls took %v, want 4s: %d at once and %d a second", n, took, connRate, connRate)
		}
		ours.Close()
		<-done
	})
}

// Whoever sends a request slowly, or none, is let go. Threat rows A-08 and B-07.
func TestSlowRequestsAreLetGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _, stop := bubble(t, testServer(t), TCP{Open: true})
		defer stop()
		for _, tt := range []struct {
			name, in string
			least    time.Duration
			most     time.Duration
		}{
			{"nothing", "", headerTimeout, idleTimeout + time.Second},
			{"half a header", "POST / HTTP/1.1\r\nHost: localhost\r\n", headerTimeout, headerTimeout + time.Second},
			{"half a body", "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{", bodyTimeout, bodyTimeout + 2*time.Second},
		} {
			conn, err := l.dial(t.Context(), "", "")
			if err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			go io.WriteString(conn, tt.in)
			io.Copy(io.Discard, conn) // until the other side ends it
			if took := time.Since(began); took < tt.least || took > tt.most {
				t.Errorf("%s: let go after %v, want %v to %v", tt.name, took, tt.least, tt.most)
			}
			conn.Close()
		}
	})
	synctest.Test(t, func(t *testing.T) { // and on the unix socket
		ours, theirs := net.Pipe()
		go io.WriteString(ours, `{"jsonrpc":`)
		began := time.Now()
		testServer(t).serveConn(t.Context(), theirs)
		if took := time.Since(began); took != frameTimeout {
			t.Errorf("half a message on the unix socket: let go after %v, want %v", took, frameTimeout)
		}
		ours.Close()
	})
}

// Connections over the bound are closed, and let in again when others end.
func TestConnectionsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _, stop := bubble(t, testServer(t), TCP{Open: true, Conns: 3})
		defer stop()
		alive := func(conn net.Conn) bool {
			go io.WriteString(conn, "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 39\r\n\r\n"+one)
			res, err := http.ReadResponse(bufio.NewReader(conn), nil)
			return err == nil && res.StatusCode == 200
		}
		var conns []net.Conn
		for range 3 {
			conn, _ := l.dial(t.Context(), "", "")
			conns = append(conns, conn)
			if !alive(conn) {
				t.Fatal("a connection within the bound does not work")
			}
		}
		over, _ := l.dial(t.Context(), "", "")
		if alive(over) {
			t.Error("one more works too")
		}
		conns[0].Close()
		synctest.Wait()
		again, _ := l.dial(t.Context(), "", "")
		if !alive(again) {
			t.Error("there is no room after one has ended")
		}
		for _, c := range append(conns, over, again) {
			c.Close()
		}
	})
}

// logFeed delivers a log's records, as the daemon's feeds do.
func logFeed(log *eventlog.Log) Feed {
	return Feed{Namespace: "admin", Name: "peerEvents", Open: func(json.RawMessage) (Reader, error) {
		at := log.Last()
		return func(ctx context.Context, send func(any) error) error {
			for {
				if err := log.Wait(ctx, at); err != nil {
					return err
				}
				recs, missed := log.Since(at, MaxLag+1)
				if missed > 0 || len(recs) > MaxLag {
					return Lagging(log.Last() - at)
				}
				if err := send(recs[0].ID); err != nil {
					return err
				}
				at = recs[0].ID
			}
		}, nil
	}}
}

// note reads the next message of a stream.
type note struct {
	ID     json.RawMessage
	Method string
	Result json.RawMessage
	Error  *Error
	Params struct {
		Subscription string
		Result       uint64
		Error        *Error
	}
}

// A subscription gives an id, then notifications of it in order, on the same
// connection as other calls, until it is ended.
func TestSubscriptionsFollowTheirId(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, s := fed(t)
		ours, theirs := net.Pipe()
		done := make(chan struct{})
		go func() { defer close(done); s.serveConn(t.Context(), theirs) }()
		dec := json.NewDecoder(ours)
		next := func() (n note) {
			t.Helper()
			ours.SetReadDeadline(time.Now().Add(time.Minute))
			if err := dec.Decode(&n); err != nil {
				t.Fatal(err)
			}
			return n
		}
		io.WriteString(ours, `{"jsonrpc":"2.0","id":1,"method":"admin_subscribe","params":["peerEvents"]}`)
		var id string
		if err := json.Unmarshal(next().Result, &id); err != nil || !strings.HasPrefix(id, "0x") {
			t.Fatalf("the id is %q, %v", id, err)
		}
		go func() {
			for range 3 {
				log.Add(starling.Alarm{Text: "x"})
			}
		}()
		for i := range uint64(3) {
			if n := next(); n.Method != "admin_subscription" || n.Params.Subscription != id || n.Params.Result != i+1 {
				t.Errorf("notification %d is %+v", i+1, n)
			}
		}
		io.WriteString(ours, one)
		if n := next(); string(n.Result) != "1" {
			t.Errorf("a call beside it gave %+v", n)
		}
		for _, tt := range []struct{ call, want string }{
			{`{"jsonrpc":"2.0","id":2,"method":"admin_unsubscribe","params":["` + id + `"]}`, "true"},
			{`{"jsonrpc":"2.0","id":3,"method":"admin_unsubscribe","params":["` + id + `"]}`, "not found"},
			{`{"jsonrpc":"2.0","id":4,"method":"admin_subscribe","params":["nothing"]}`, `no "nothing" subscription in admin namespace`},
			{`{"jsonrpc":"2.0","id":5,"method":"admin_subscribe"}`, "name"},
			{`{"jsonrpc":"2.0","id":6,"method":"net_subscribe","params":["x"]}`, "no method"},
		} {
			io.WriteString(ours, tt.call)
			n := next()
			text := string(n.Result)
			if n.Error != nil {
				text = n.Error.Message
			}
			if !strings.Contains(text, tt.want) {
				t.Errorf("%s gave %q, want %q", tt.call, text, tt.want)
			}
		}
		log.Add(starling.Alarm{Text: "nobody hears it"})
		for i := range maxSubscriptions + 1 {
			io.WriteString(ours, `{"jsonrpc":"2.0","id":1,"method":"admin_subscribe","params":["peerEvents"]}`)
			if n := next(); (n.Error == nil) != (i < maxSubscriptions) {
				t.Errorf("subscription %d: %v", i+1, n.Error)
			}
		}
		ours.Close()
		<-done
	})
}

// A reader that is too slow is told so and loses its subscription; whoever
// makes the events never waits, and the connection goes on. Threat row Z-08.
func TestASlowSubscriberIsDroppedWithNotice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, s := fed(t)
		ours, theirs := net.Pipe()
		done := make(chan struct{})
		go func() { defer close(done); s.serveConn(t.Context(), theirs) }()
		dec := json.NewDecoder(ours)
		io.WriteString(ours, `{"jsonrpc":"2.0","id":1,"method":"admin_subscribe","params":["peerEvents"]}`)
		var n note
		if err := dec.Decode(&n); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		for range MaxLag + 10 { // nobody reads
			log.Add(starling.Alarm{Text: "x"})
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("whoever makes events waited %v", took)
		}
		for {
			n = note{}
			if err := dec.Decode(&n); err != nil {
				t.Fatal(err)
			}
			if n.Params.Error != nil {
				break
			}
			if n.Params.Result > 2 {
				t.Fatalf("event %d was delivered after all", n.Params.Result)
			}
		}
		if n.Params.Error.Code != CodeDropped || !strings.Contains(n.Params.Error.Message, "1024") {
			t.Errorf("the notice is %+v", n.Params.Error)
		}
		io.WriteString(ours, one)
		if err := dec.Decode(&n); err != nil || string(n.Result) != "1" {
			t.Errorf("the next call gave %+v, %v", n, err)
		}
		ours.Close()
		<-done
	})
}

// A WebSocket carries calls and notifications, is paced as HTTP is, and one
// whose other side is silent is let go.
func TestWebSockets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, s := fed(t)
		_, client, stop := bubble(t, s, TCP{Open: true})
		defer stop()
		conn, _, err := websocket.Dial(t.Context(), "ws://localhost/", &websocket.DialOptions{HTTPClient: client})
		if err != nil {
			t.Fatal(err)
		}
		exchange := func(call string) (n note) {
			t.Helper()
			if call != "" {
				if err := conn.Write(t.Context(), websocket.MessageText, []byte(call)); err != nil {
					t.Fatal(err)
				}
			}
			_, raw, err := conn.Read(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(raw, &n); err != nil {
				t.Fatalf("%s: %v", raw, err)
			}
			return n
		}
		if n := exchange(one); string(n.Result) != "1" {
			t.Errorf("a call gave %+v", n)
		}
		if n := exchange(`{"jsonrpc":"2.0","id":1,"method":"change"}`); n.Error == nil || n.Error.Code != CodeDenied {
			t.Errorf("a change without a token gave %+v", n)
		}
		exchange(`{"jsonrpc":"2.0","id":1,"method":"admin_subscribe","params":["peerEvents"]}`)
		log.Add(starling.Alarm{Text: "x"})
		if n := exchange(""); n.Method != "admin_subscription" || n.Params.Result != 1 {
			t.Errorf("the notification is %+v", n)
		}
		if n := exchange(`{"jsonrpc":"2.0","id":1,"method":"echo","params":["` + strings.Repeat("x", MaxRequestBytes) + `"]}`); n.Error == nil || n.Error.Code != CodeInvalid {
			t.Errorf("a message over the bound gave %+v", n.Error)
		}
		if _, _, err := conn.Read(t.Context()); err == nil {
			t.Error("the connection goes on after it")
		}
		conn.CloseNow()

		silent, _, err := websocket.Dial(t.Context(), "ws://localhost/", &websocket.DialOptions{HTTPClient: client})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(pingEvery + pongTimeout + time.Second) // it reads nothing, so no pong
		synctest.Wait()
		if staying(s) != 0 {
			t.Errorf("%d connections stay after one was silent", staying(s))
		}
		silent.CloseNow()
	})
}

// sse reads an event stream.
type sse struct {
	t   *testing.T
	res *http.Response
	in  *bufio.Reader
	run string // of the node, as ids tell it
}

func openStream(t *testing.T, c *http.Client, query string, header ...string) *sse {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://localhost/events"+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if got := res.Header.Get("Content-Type"); res.StatusCode == 200 && got != "text/event-stream" {
		t.Errorf("content type %q", got)
	}
	return &sse{t: t, res: res, in: bufio.NewReader(res.Body)}
}

// next gives an event's id, name and data; signs of life are skipped.
func (s *sse) next() (id, name, data string) {
	s.t.Helper()
	for {
		line, err := s.in.ReadString('\n')
		if err != nil {
			s.t.Fatal(err)
		}
		key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		switch key {
		case "id":
			s.run, id, _ = strings.Cut(value, "-")
		case "event":
			name = value
		case "data":
			data = value
		case "":
			if value == "" && name != "" {
				return id, name, data
			}
		}
	}
}

func (s *sse) expect(id, name, data string) {
	s.t.Helper()
	if i, n, d := s.next(); i != id || n != name || !strings.Contains(d, data) {
		s.t.Errorf("event %s %q %s, want %s %q with %s", i, n, d, id, name, data)
	}
}

// An event stream begins with a snapshot, resumes after the last event that
// the client has, coalesces states, and tells what was dropped. Threat row Z-08.
func TestEventStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, s := eventlog.New(4*MaxLag), testServer(t)
		s.Mount("/events", Read, s.EventStream(log, func() any { return map[string]int{"v": 1} }))
		_, client, stop := bubble(t, s, TCP{Open: true})
		defer stop()
		log.Add(starling.Alarm{Text: "before"})

		a := openStream(t, client, "")
		a.expect("1", "snapshot", `"v":1`)
		log.Add(starling.Alarm{Text: "first"})
		a.expect("2", "alarm", "first")
		began := time.Now()
		for range 5 {
			log.Add(starling.HeadChanged{})
		}
		log.Add(starling.Alarm{Text: "second"})
		a.expect("7", "head-changed", "")
		a.expect("8", "alarm", "second")
		if took := time.Since(began); took > streamEvery {
			t.Errorf("delivered after %v, want within %v", took, streamEvery)
		}

		b := openStream(t, client, "", "Last-Event-ID", a.run+"-1")
		b.expect("2", "alarm", "first")
		b.expect("7", "head-changed", "")
		b.expect("8", "alarm", "second")
		c := openStream(t, client, "?last_event_id="+a.run+"-1&events=alarm")
		c.expect("2", "alarm", "first")
		c.expect("8", "alarm", "second")
		// The numbers of another run of the node, and those that were never given
		// out, name other events: nothing is replayed for them.
		d := openStream(t, client, "", "Last-Event-ID", a.run+"-4000000")
		for _, id := range []string{"0badf00d-1", "1"} {
			g := openStream(t, client, "", "Last-Event-ID", id)
			g.expect("8", "dropped", `"dropped":0,"restarted":true,"total":0`)
			g.expect("8", "snapshot", `"v":1`)
			g.res.Body.Close()
		}
		d.expect("8", "dropped", `"restarted":true`)
		d.expect("8", "snapshot", `"v":1`)
		h := openStream(t, client, "?last_event_id=0")
		h.expect("1", "alarm", "before")
		h.res.Body.Close()

		// All of them read nothing for a while.
		for range MaxLag + 2 {
			log.Add(starling.Alarm{Text: "flood"})
		}
		time.Sleep(streamEvery)
		a.expect("1034", "dropped", `"dropped":1026,"total":1026`)
		a.expect("1034", "snapshot", "")
		log.Add(starling.Alarm{Text: "third"})
		a.expect("1035", "alarm", "third")

		// What is replayed is not taken for being slow.
		e := openStream(t, client, "", "Last-Event-ID", a.run+"-8")
		for i := range MaxLag + 2 {
			if _, name, _ := e.next(); name != "alarm" {
				t.Fatalf("replayed event %d is %q", i, name)
			}
		}
		if f := openStream(t, client, "", "Last-Event-ID", "x"); f.res.StatusCode != 400 {
			t.Errorf("an id that is none gave %d", f.res.StatusCode)
		}
		for _, id := range []string{"-1", "x-1", a.run + "-", a.run + "--1", "1-x"} {
			if status := openStream(t, client, "?last_event_id="+id); status.res.StatusCode != 400 {
				t.Errorf("the id %q gave %d", id, status.res.StatusCode)
			}
		}
		for _, x := range []*sse{a, b, c, d, e} {
			x.res.Body.Close()
		}
		synctest.Wait()
		time.Sleep(streamAlive + answerTimeout)
		synctest.Wait()
		if staying(s) != 0 {
			t.Errorf("%d streams stay after their clients have left", staying(s))
		}
	})
}

// Bodies that are being read are bounded together. Threat row B-07.
func TestBytesOfRequestsAreBounded(t *testing.T) {
	b := budget{most: 3 * firstBytes}
	var bodies []*body
	for range 3 {
		x := &body{budget: &b}
		if err := x.readAll(strings.NewReader("x")); err != nil {
			t.Fatal(err)
		}
		bodies = append(bodies, x)
	}
	over := &body{budget: &b}
	var own *Error
	if err := over.readAll(strings.NewReader("x")); !errors.As(err, &own) || own.Code != CodeLimited {
		t.Errorf("over the budget: %v", err)
	}
	over.free()
	bodies[0].free()
	if err := over.readAll(strings.NewReader("x")); err != nil {
		t.Errorf("with room again: %v", err)
	}
	for _, x := range append(bodies, over) {
		x.free()
	}
	if used := b.used.Load(); used != 0 {
		t.Errorf("%d bytes are charged at the end", used)
	}
}

// A server that stops waits for what is under way.
func TestStoppingWaitsForCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var once sync.Once
		began, ended := make(chan struct{}), make(chan struct{})
		_, c, stop := bubble(t, testServer(t, starling.Method{Name: "wait", Call: func(ctx context.Context, _ json.RawMessage) (any, error) {
			once.Do(func() { close(began) })
			<-ctx.Done()
			time.Sleep(time.Second)
			close(ended)
			return nil, nil
		}}), TCP{Open: true})
		go func() {
			res, err := c.Post("http://localhost/", "application/json", strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"wait"}`))
			if err == nil {
				res.Body.Close()
			}
		}()
		<-began
		stop()
		select {
		case <-ended:
		default:
			t.Error("it has stopped while a call runs")
		}
	})
}

// Subscriptions over TCP are bounded over all connections, and one that ends
// gives its place back; whoever has the token is not in that bound.
func TestSubscriptionsOverTCPAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const token = "0123456789abcdef0123456789abcdef"
		_, s := fed(t)
		_, client, stop := bubble(t, s, TCP{Open: true, Token: token})
		defer stop()
		open := func(auth string) *websocket.Conn {
			t.Helper()
			header := http.Header{}
			if auth != "" {
				header.Set("Authorization", auth)
			}
			conn, _, err := websocket.Dial(t.Context(), "ws://localhost/", &websocket.DialOptions{HTTPClient: client, HTTPHeader: header})
			if err != nil {
				t.Fatal(err)
			}
			return conn
		}
		subscribe := func(c *websocket.Conn) bool {
			t.Helper()
			if err := c.Write(t.Context(), websocket.MessageText, []byte(`{"jsonrpc":"2.0","id":1,"method":"admin_subscribe","params":["peerEvents"]}`)); err != nil {
				t.Fatal(err)
			}
			_, raw, err := c.Read(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return strings.Contains(string(raw), `"result":"0x`)
		}
		var conns []*websocket.Conn
		for i := range maxRemoteSubs + 1 {
			if i%maxSubscriptions == 0 {
				conns = append(conns, open(""))
			}
			if ok := subscribe(conns[len(conns)-1]); ok != (i < maxRemoteSubs) {
				t.Fatalf("subscription %d: %v", i+1, ok)
			}
		}
		owner := open("Bearer " + token)
		if !subscribe(owner) {
			t.Error("the holder of the token finds no place")
		}
		conns[0].CloseNow()
		time.Sleep(time.Second)
		if !subscribe(conns[len(conns)-1]) {
			t.Error("there is no place after a connection has ended")
		}
		for _, c := range append(conns, owner) {
			c.CloseNow()
		}
		synctest.Wait()
		time.Sleep(time.Second)
		if len(s.remoteSubs) != 0 {
			t.Errorf("%d places are taken at the end", len(s.remoteSubs))
		}
	})
}
