package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/coder/websocket"
	"golang.org/x/sync/errgroup"

	"github.com/starlingp2p/starling"
)

// How a page that watches networks is told (go-ethereum ethstats).
const (
	statsEvery   = 15 * time.Second // a full report
	statsWait    = 5 * time.Second  // for an answer
	statsWrite   = 10 * time.Second
	statsRetry   = 10 * time.Second // doubling to statsMost
	statsMost    = 5 * time.Minute
	statsBytes   = 64 << 10 // of a message from the page
	statsHistory = 50       // blocks
	statsLasting = time.Minute
)

// statsPage is where a page is, and who we are to it.
type statsPage struct {
	name   string
	urls   []string // tried in turn
	secret string
}

// parseStats reads NAME@HOST:PORT, or NAME@ws://… or wss://…; where the text has
// no scheme, TLS is tried first, as geth does, and alone where there is a secret
// to tell. geth's form has the secret in it,
// which a config that is shown must not have.
func parseStats(text string) (p statsPage, err error) {
	at := strings.LastIndexByte(text, '@')
	if at <= 0 || at == len(text)-1 || len(text) > 512 {
		return p, errors.New("write it as NAME@HOST:PORT")
	}
	host := strings.TrimSuffix(text[at+1:], "/") + "/api"
	if p.name = text[:at]; strings.ContainsRune(p.name, ':') {
		return p, errors.New("it has a secret in it; write NAME@HOST:PORT, put the secret into a file of mode 0600 and name that in ethstats_secret")
	}
	switch scheme, _, ok := strings.Cut(host, "://"); {
	case !ok:
		p.urls = []string{"wss://" + host, "ws://" + host}
	case scheme == "ws" || scheme == "wss":
		p.urls = []string{host}
	default:
		return p, fmt.Errorf("%.20q is no scheme of it; want ws or wss", scheme)
	}
	return p, nil
}

// keep gives the page a secret, which goes unencrypted only to this machine and
// where the config says ws://.
func (p *statsPage) keep(secret string) {
	p.secret = secret
	if len(p.urls) < 2 {
		return
	}
	host, _, _ := strings.Cut(strings.TrimPrefix(p.urls[0], "wss://"), "/")
	if _, _, err := net.SplitHostPort(host); err != nil {
		host += ":443"
	}
	if !isLoopback(host) {
		p.urls = p.urls[:1]
	}
}

// statsSource is what there is to tell.
type statsSource struct {
	hello   func(name, secret string) any
	block   func(ctx context.Context, number *uint64) (any, error) // nil: the head
	head    func() uint64
	pending func() int
	stats   func() any
}

// statsReporter is the service that tells a page of the node. At most one
// connection is open, and what it waits with is one head.
type statsReporter struct {
	page   statsPage
	source statsSource
	retry  time.Duration
	log    *slog.Logger
	client *starling.Client
}

func (s *statsReporter) Kind() string    { return "ethstats" }
func (s *statsReporter) Needs() []string { return nil }

func (s *statsReporter) Build(b *starling.Builder) (starling.Part, error) {
	s.client = b.Client()
	return s, nil
}

// Run reports until ctx ends, and comes back when a connection is lost: after
// ten seconds, and twice as long each time, up to five minutes.
func (s *statsReporter) Run(ctx context.Context, ready func()) error {
	ready()
	wait := s.retry
	for {
		began := time.Now()
		err := s.report(ctx)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if time.Since(began) > statsLasting {
			wait = s.retry
		}
		s.log.Warn("the page of ethstats is not told", "err", err, "wait", wait)
		t := time.NewTimer(time.Duration(float64(wait) * (0.8 + 0.4*rand.Float64())))
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return context.Cause(ctx)
		}
		wait = min(2*wait, statsMost)
	}
}

// statsLink is one connection to the page.
type statsLink struct {
	*statsReporter
	conn    *websocket.Conn
	pongs   chan struct{} // of capacity 1
	history chan []uint64 // of capacity 1
	echo    chan string   // of capacity 1: answers to the page's own pings
}

// report connects, and reports until the connection ends.
func (s *statsReporter) report(ctx context.Context) error {
	var conn *websocket.Conn
	var errs []error
	for _, url := range s.page.urls {
		dial, cancel := context.WithTimeout(ctx, statsWait)
		c, _, err := websocket.Dial(dial, url, &websocket.DialOptions{HTTPHeader: http.Header{"Origin": {"http://localhost"}}})
		cancel()
		if err == nil {
			conn = c
			break
		}
		errs = append(errs, err)
	}
	if conn == nil {
		return errors.Join(errs...)
	}
	defer conn.CloseNow()
	conn.SetReadLimit(statsBytes)
	l := &statsLink{s, conn, make(chan struct{}, 1), make(chan []uint64, 1), make(chan string, 1)}
	if err := l.login(ctx); err != nil {
		return err
	}
	s.log.Info("the page of ethstats is told", "peer", s.page.name)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return l.read(ctx) })
	g.Go(func() error { return l.write(ctx) })
	return g.Wait()
}

func (l *statsLink) send(ctx context.Context, v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, statsWrite)
	defer cancel()
	return l.conn.Write(ctx, websocket.MessageText, raw)
}

func (l *statsLink) emit(ctx context.Context, kind string, fields map[string]any) error {
	fields["id"] = l.page.name
	return l.send(ctx, map[string]any{"emit": []any{kind, fields}})
}

func (l *statsLink) login(ctx context.Context) error {
	if err := l.send(ctx, map[string]any{"emit": []any{"hello", l.source.hello(l.page.name, l.page.secret)}}); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, statsWait)
	defer cancel()
	_, raw, err := l.conn.Read(ctx)
	var ack struct {
		Emit []any `json:"emit"`
	}
	if err != nil || json.Unmarshal(raw, &ack) != nil || len(ack.Emit) != 1 || ack.Emit[0] != "ready" {
		return errors.New("the page did not let us in; check ethstats_secret")
	}
	return nil
}

// read takes what the page says. What finds no room is dropped: each is one of
// a kind that comes again.
func (l *statsLink) read(ctx context.Context) error {
	for {
		_, raw, err := l.conn.Read(ctx)
		if err != nil {
			return err
		}
		var text string
		if json.Unmarshal(raw, &text) == nil && strings.HasPrefix(text, "primus::ping::") && len(text) < 64 {
			select {
			case l.echo <- strings.Replace(text, "ping", "pong", 1):
			default:
			}
			continue
		}
		var msg struct {
			Emit []json.RawMessage `json:"emit"`
		}
		var kind string
		if json.Unmarshal(raw, &msg) != nil || len(msg.Emit) == 0 || json.Unmarshal(msg.Emit[0], &kind) != nil {
			return errors.New("the page said what is no message")
		}
		switch kind {
		case "node-pong":
			select {
			case l.pongs <- struct{}{}:
			default:
			}
		case "history":
			var ask struct {
				List []uint64 `json:"list"`
			}
			if len(msg.Emit) > 1 && json.Unmarshal(msg.Emit[1], &ask) != nil {
				ask.List = nil // the last ones
			}
			select {
			case l.history <- ask.List[:min(len(ask.List), statsHistory)]:
			default:
			}
		}
	}
}

// write tells of heads as they come, and of all every 15 s.
func (l *statsLink) write(ctx context.Context) error {
	events := l.client.Subscribe(ctx, 64)
	if err := l.all(ctx); err != nil {
		return err
	}
	tick := time.NewTicker(statsEvery)
	defer tick.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
			err = l.all(ctx)
		case text := <-l.echo:
			err = l.send(ctx, text)
		case list := <-l.history:
			err = l.past(ctx, list)
		case ev, ok := <-events.C():
			if _, head := ev.(starling.HeadChanged); head {
				if err = l.block(ctx); err == nil {
					err = l.waiting(ctx)
				}
			} else if !ok {
				return starling.ErrNotRunning
			}
		}
		if err != nil {
			return err
		}
	}
}

func (l *statsLink) all(ctx context.Context) error {
	for _, do := range []func(context.Context) error{l.latency, l.block, l.waiting, func(ctx context.Context) error {
		return l.emit(ctx, "stats", map[string]any{"stats": l.source.stats()})
	}} {
		if err := do(ctx); err != nil {
			return err
		}
	}
	return nil
}

// latency measures half a round trip and tells it.
func (l *statsLink) latency(ctx context.Context) error {
	began := time.Now()
	if err := l.emit(ctx, "node-ping", map[string]any{"clientTime": began.UTC().Format(time.RFC3339Nano)}); err != nil {
		return err
	}
	late := time.NewTimer(statsWait)
	defer late.Stop()
	for {
		select {
		case <-l.pongs:
			return l.emit(ctx, "latency", map[string]any{"latency": strconv.FormatInt((time.Since(began) / 2).Milliseconds(), 10)})
		case text := <-l.echo:
			if err := l.send(ctx, text); err != nil {
				return err
			}
		case <-late.C:
			return errors.New("the page does not answer our ping")
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (l *statsLink) block(ctx context.Context) error {
	b, err := l.source.block(ctx, nil)
	if err != nil {
		return err
	}
	return l.emit(ctx, "block", map[string]any{"block": b})
}

func (l *statsLink) waiting(ctx context.Context) error {
	return l.emit(ctx, "pending", map[string]any{"stats": map[string]int{"pending": l.source.pending()}})
}

// past tells of blocks that the page names; where it names none, of the last.
func (l *statsLink) past(ctx context.Context, list []uint64) error {
	if len(list) == 0 {
		head := l.source.head()
		for n := head - min(head, statsHistory-1); n <= head; n++ {
			list = append(list, n)
		}
	}
	blocks := []any{}
	for i := len(list) - 1; i >= 0; i-- { // the highest first, as geth does
		if b, err := l.source.block(ctx, &list[i]); err == nil {
			blocks = append(blocks, b)
		}
	}
	return l.emit(ctx, "history", map[string]any{"history": blocks})
}
