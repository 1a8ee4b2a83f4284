package rpc

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
)

// Who may call nothing has no memory and no place kept for it: nothing of what
// it sends is read, and no WebSocket is opened. Threat row R-09.
func TestStrangersAreRefusedBeforeTheyAreHeard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const token = "0123456789abcdef0123456789abcdef"
		s := testServer(t)
		l, client, stop := bubble(t, s, TCP{Token: token})
		defer stop()
		conn, err := l.dial(t.Context(), "", "")
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		head := "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n"
		go conn.Write([]byte(head + strings.Repeat(" ", 1000)))
		began, answer := time.Now(), make([]byte, 12)
		conn.SetReadDeadline(began.Add(time.Hour))
		if _, err := conn.Read(answer); err != nil || string(answer) != "HTTP/1.1 401" {
			t.Errorf("a stranger that sends a body slowly got %q, %v, want 401", answer, err)
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("it was listened to for %v", took)
		}
		ws, res, err := websocket.Dial(t.Context(), "ws://localhost/", &websocket.DialOptions{HTTPClient: client})
		if err == nil {
			ws.CloseNow()
			t.Error("a stranger has a WebSocket")
		} else if res == nil || res.StatusCode != http.StatusUnauthorized {
			t.Errorf("a stranger's WebSocket: %v, want 401", res)
		}
		if status, _, text := ask(t, client, one, token); status != http.StatusOK {
			t.Errorf("the token gave %d %s", status, text)
		}
	})
}

// Those who read fill every place for connections that stay; who has authority
// still finds one. Threat row R-09.
func TestPlacesOfReadersAreNotThoseOfTheOwner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const token = "0123456789abcdef0123456789abcdef"
		s := testServer(t)
		_, client, stop := bubble(t, s, TCP{Open: true, Token: token})
		defer stop()
		dial := func(auth string) error {
			header := http.Header{}
			if auth != "" {
				header.Set("Authorization", "Bearer "+auth)
			}
			ws, _, err := websocket.Dial(t.Context(), "ws://localhost/", &websocket.DialOptions{HTTPClient: client, HTTPHeader: header})
			if err == nil {
				t.Cleanup(func() { ws.CloseNow() })
			}
			return err
		}
		for range maxStays {
			if err := dial(""); err != nil {
				t.Fatal(err)
			}
		}
		if dial("") == nil {
			t.Errorf("more than %d readers stay", maxStays)
		}
		if err := dial(token); err != nil {
			t.Errorf("the owner finds no place: %v", err)
		}
	})
}

// The params of a subscription are small, or are not decoded. Threat row B-07.
func TestLargeParamsOfASubscriptionAreRefused(t *testing.T) {
	s := testServer(t)
	err := s.AddFeed(Feed{Namespace: "test", Name: "all", Open: func(json.RawMessage) (Reader, error) {
		t.Error("they were decoded")
		return func(context.Context, func(any) error) error { return nil }, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := net.Pipe()
	done := make(chan struct{})
	go func() { defer close(done); s.serveConn(t.Context(), ours) }()
	c := &Client{conn: theirs, dec: json.NewDecoder(theirs)}
	err = c.Call(t.Context(), "test_subscribe", nil, "all", make([]string, 100_000))
	if own, ok := err.(*Error); !ok || own.Code != CodeBadParams {
		t.Errorf("it ended with %v, want code %d", err, CodeBadParams)
	}
	c.Close()
	<-done
}
