package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
	"golang.org/x/sys/unix"
)

// hostile runs hostile clients of an RPC until ctx ends. They run at the lowest
// priority: what is measured is what they do to the node, not what they take
// from a machine that a node shares with anybody.
func hostile(ctx context.Context, url string, ready func()) error {
	if err := unix.Setpriority(unix.PRIO_PROCESS, 0, 19); err != nil {
		return err
	}
	var wg sync.WaitGroup
	kinds := []func(context.Context, string) error{floods, floods, batches, bombs, slowly, subscribes, streams, guesses, reconnects, costly}
	for i := range hostileClients {
		kind := kinds[i%len(kinds)]
		wg.Go(func() {
			for ctx.Err() == nil {
				if kind(ctx, url) != nil { // refused: the next try is a little later
					select {
					case <-time.After(10 * time.Millisecond):
					case <-ctx.Done():
					}
				}
			}
		})
	}
	ready()
	wg.Wait()
	return nil
}

// post sends one body and takes the answer.
func post(ctx context.Context, url, body, auth string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	if auth != "" {
		req.Header.Set("Authorization", "Bearer "+auth)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	io.Copy(io.Discard, res.Body)
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", res.StatusCode)
	}
	return nil
}

func call(method, params string) string {
	return `{"jsonrpc":"2.0","id":1,"method":"` + method + `","params":` + params + `}`
}

// floods calls as fast as it is answered.
func floods(ctx context.Context, url string) error {
	return post(ctx, url, call("starling_peers", "[]"), "")
}

// batches sends a hundred calls at a time.
func batches(ctx context.Context, url string) error {
	one := call("starling_status", "[]")
	return post(ctx, url, "["+strings.Repeat(one+",", 99)+one+"]", "")
}

// bombs sends what is large, deep or many.
func bombs(ctx context.Context, url string) error {
	post(ctx, url, call("starling_block", `["`+strings.Repeat("x", 4<<20)+`"]`), "")
	post(ctx, url, strings.Repeat("[", 100_000), "")
	return post(ctx, url, call("starling_block", "["+strings.Repeat("1,", 1<<20)+"1]"), "")
}

// slowly sends a request a byte a second.
func slowly(ctx context.Context, url string) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	text := "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 5000000\r\n\r\n"
	if _, err := io.WriteString(conn, text); err != nil {
		return err
	}
	for tick := time.NewTicker(time.Second); ; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			tick.Stop()
			return ctx.Err()
		}
		if _, err := io.WriteString(conn, "{"); err != nil {
			tick.Stop()
			return err
		}
	}
}

// subscribes takes every event that there is, and then reads nothing.
func subscribes(ctx context.Context, url string) error {
	conn, _, err := websocket.Dial(ctx, "ws"+strings.TrimPrefix(url, "http"), nil)
	if err != nil {
		return err
	}
	defer conn.CloseNow()
	for _, name := range []string{"events", "heads", "blocks"} {
		for range 10 {
			if err := conn.Write(ctx, websocket.MessageText, []byte(call("starling_subscribe", `["`+name+`"]`))); err != nil {
				return err
			}
		}
	}
	select {
	case <-time.After(30 * time.Second):
	case <-ctx.Done():
	}
	return nil
}

// streams opens an event stream from its beginning, and reads nothing.
func streams(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/events", nil)
	if err != nil {
		return err
	}
	req.Header.Set("Last-Event-ID", "0")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	select {
	case <-time.After(5 * time.Second):
	case <-ctx.Done():
	}
	return nil
}

// guesses tries tokens on what changes something.
func guesses(ctx context.Context, url string) error {
	return post(ctx, url, call("starling_ban", `["127.0.0.1",3600]`), "0123456789abcdef0123456789abcdef")
}

// reconnects opens connections and closes them, with a rest: without one, what
// is slow is the machine's loopback, whoever is at the other end.
func reconnects(ctx context.Context, url string) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		return err
	}
	time.Sleep(2 * time.Millisecond)
	return conn.Close()
}

// costly asks what costs most to answer.
func costly(ctx context.Context, url string) error {
	for _, c := range []string{call("rpc.discover", "[]"), call("starling_why", "[]"), call("starling_knownPeers", "[1000]"), call("starling_block", "[1]")} {
		if err := post(ctx, url, c, ""); err != nil {
			return err
		}
	}
	return nil
}
