package rpc

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/starlingp2p/starling"
	"github.com/starlingp2p/starling/internal/jwt"
)

// Five wrong tokens within a second lock whoever guesses out for ten seconds:
// then nothing is told of a wrong one. Reading goes on, and so does who has the
// right one, since on loopback all are one source. Threat row A-04.
func TestWrongTokensLockOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const token = "0123456789abcdef0123456789abcdef"
		_, c, stop := bubble(t, testServer(t), TCP{Open: true, Token: token})
		defer stop()
		for range 20 { // slowly: no lock-out
			if status, _, _ := ask(t, c, one, "wrong"); status != 401 {
				t.Fatalf("a wrong token gave %d, want 401", status)
			}
			time.Sleep(300 * time.Millisecond)
		}
		time.Sleep(2 * time.Second)
		for range maxFailures {
			if status, _, _ := ask(t, c, one, "wrong"); status != 401 {
				t.Fatalf("a wrong token gave %d, want 401", status)
			}
		}
		if status, retry, _ := ask(t, c, one, "wrong"); status != 429 || retry == "" {
			t.Errorf("after %d wrong ones, one more gave %d, want 429", maxFailures, status)
		}
		if status, _, _ := ask(t, c, one, token); status != 200 {
			t.Errorf("after %d wrong ones, the right one gave %d, want 200", maxFailures, status)
		}
		if status, _, _ := ask(t, c, one, ""); status != 200 {
			t.Errorf("reading gave %d, want 200", status)
		}
		time.Sleep(lockDuration)
		if status, _, _ := ask(t, c, one, "wrong"); status != 401 {
			t.Errorf("after the lock-out a wrong one gave %d, want 401", status)
		}
	})
}

// Who has the token finds its allowance whole, whatever strangers ask from the
// same address. Threat rows.
func TestStrangersDoNotUseUpWhatTheOwnerMayAsk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const token = "0123456789abcdef0123456789abcdef"
		_, c, stop := bubble(t, testServer(t), TCP{Open: true, Token: token})
		defer stop()
		for limited := false; !limited; {
			status, _, _ := ask(t, c, one, "wrong")
			limited = status == 429
		}
		for limited := false; !limited; {
			status, _, _ := ask(t, c, one, "")
			limited = status == 429
		}
		if status, _, _ := ask(t, c, one, token); status != 200 {
			t.Errorf("the owner is told %d, want 200", status)
		}
	})
}

// Pages and names that may not call are refused no faster than others are
// answered, and use nothing up of what a reader may ask. Threat rows A-03 and
//
func TestWhoIsTurnedAwayIsPaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c, stop := bubble(t, testServer(t), TCP{Open: true})
		defer stop()
		refused := func(change func(*http.Request)) {
			t.Helper()
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://localhost/", nil)
			if err != nil {
				t.Fatal(err)
			}
			change(req)
			res, err := c.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			if res.StatusCode != http.StatusForbidden {
				t.Fatalf("status %d, want 403", res.StatusCode)
			}
		}
		began := time.Now()
		for i := range 2 * DefaultRate {
			refused(func(r *http.Request) {
				if i%2 == 0 {
					r.Host = "evil.example"
				} else {
					r.Header.Set("Origin", "https://evil.example")
				}
			})
		}
		if took := time.Since(began); took < time.Second/2 {
			t.Errorf("%d were refused in %v", 2*DefaultRate, took)
		}
		if status, _, _ := ask(t, c, one, ""); status != 200 {
			t.Errorf("a reader is told %d, want 200", status)
		}
	})
}

// Of whom there is nothing to remember is looked for once a second at most,
// however many new addresses come. Threat row R-09.
func TestClientsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClients(10)
		var raw [4]byte
		next := func() source {
			binary.BigEndian.PutUint32(raw[:], binary.BigEndian.Uint32(raw[:])+1)
			return source{addr: netip.AddrFrom4(raw)}
		}
		for range 3 * maxClients {
			c.charge(next(), 1)
		}
		if len(c.known) != maxClients || c.rest == nil {
			t.Errorf("%d clients are known, want %d", len(c.known), maxClients)
		}
		swept := c.swept
		time.Sleep(sweepEvery / 2)
		c.charge(next(), 1)
		if c.swept != swept {
			t.Errorf("they are looked through again after %v", sweepEvery/2)
		}
		time.Sleep(2 * time.Second) // all may ask as much as they like again
		if c.charge(next(), 1); len(c.known) != 1 {
			t.Errorf("%d clients are known, want 1: the others have made room", len(c.known))
		}
	})
}

// Those who call fill every place of theirs; who reads events still finds one,
// and the other way round. Threat row R-09.
func TestCallersAndReadersOfEventsAreNotInEachOthersWay(t *testing.T) {
	s := testServer(t)
	for range maxStays {
		s.stays[stayKind{}] <- struct{}{}
	}
	for kind, want := range map[stayKind]bool{{}: false, {events: true}: true, {admin: true}: true, {events: true, admin: true}: true} {
		c := &caller{class: Read}
		if kind.admin {
			c.class = Admin
		}
		if _, ok := s.stay(nothing{}, c, kind.events); ok != want {
			t.Errorf("%+v: a place is found: %v, want %v", kind, ok, want)
		}
	}
}

// nothing takes an answer.
type nothing struct{}

func (nothing) Header() http.Header         { return http.Header{} }
func (nothing) Write(b []byte) (int, error) { return len(b), nil }
func (nothing) WriteHeader(int)             {}

// A client that takes a large answer slowly is not let go while it takes it: no
// pong is asked of it meanwhile.
func TestASlowHonestReaderKeepsItsConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		large := strings.Repeat("x", 8<<20)
		s := testServer(t, starling.Method{Name: "large", Call: func(context.Context, json.RawMessage) (any, error) { return large, nil }})
		l, _, stop := bubble(t, s, TCP{Open: true})
		defer stop()
		slow := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := l.dial(ctx, network, addr)
			return slowConn{c}, err
		}}}
		defer slow.CloseIdleConnections()
		ws, _, err := websocket.Dial(t.Context(), "ws://localhost/", &websocket.DialOptions{HTTPClient: slow})
		if err != nil {
			t.Fatal(err)
		}
		defer ws.CloseNow()
		ws.SetReadLimit(-1)
		began := time.Now()
		for range 2 {
			if err := ws.Write(t.Context(), websocket.MessageText, []byte(`{"jsonrpc":"2.0","id":1,"method":"large"}`)); err != nil {
				t.Fatal(err)
			}
			if _, got, err := ws.Read(t.Context()); err != nil || len(got) < len(large) {
				t.Fatalf("%d bytes after %v: %v", len(got), time.Since(began), err)
			}
		}
		if took := time.Since(began); took < pingEvery+answerTimeout {
			t.Errorf("the answers took %v, which shows nothing", took)
		}
	})
}

// slowConn gives what it reads at 300 KiB a second.
type slowConn struct{ net.Conn }

func (c slowConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b[:min(len(b), 32<<10)])
	time.Sleep(time.Duration(n) * time.Second / (300 << 10))
	return n, err
}

// Who signs with the secret and has a wrong clock is told so, however often it
// comes, and its token may be as long as such tokens are.
func TestALateTokenIsNoGuess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		long := strings.Repeat("a", jwt.MaxToken)
		_, c, stop := bubble(t, testServer(t), TCP{Bearer: func(token string) error {
			switch token {
			case "late":
				return jwt.ErrTime
			case long:
				return nil
			}
			return jwt.ErrSignature
		}})
		defer stop()
		late := func() {
			t.Helper()
			for range 2 * maxFailures {
				if status, _, text := ask(t, c, one, "late"); status != 401 || !strings.Contains(text, "clocks") {
					t.Fatalf("a late token gave %d, %s", status, text)
				}
			}
		}
		late()
		for range maxFailures {
			if status, _, _ := ask(t, c, one, "wrong"); status != 401 {
				t.Fatalf("a wrong token gave %d, want 401", status)
			}
		}
		if status, _, _ := ask(t, c, one, "wrong"); status != 429 {
			t.Errorf("one more wrong token gave %d, want 429", status)
		}
		late()
		if status, _, text := ask(t, c, one, long); status != 200 {
			t.Errorf("a long token gave %d, %s", status, text)
		}
	})
}
