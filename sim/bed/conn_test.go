package bed

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/net/nettest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// virtual runs fn in a bubble with a network of its own.
func virtual(t *testing.T, cfg Config, fn func(t *testing.T, n *Net)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		if cfg.Seed == 0 {
			cfg.Seed = 1
		}
		n := NewNet(cfg)
		defer n.Close()
		fn(t, n)
	})
}

// connected returns the two ends of a connection from host 1 to host 2.
func connected(t *testing.T, n *Net) (client, server net.Conn) {
	t.Helper()
	l, err := n.Host(host(2)).Listen(t.Context(), "tcp", ":80")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err = n.Host(host(1)).Dial(t.Context(), "tcp", "1.2.0.2:80")
	if err != nil {
		t.Fatal(err)
	}
	server, err = l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return client, server
}

func TestConnsKeepTheRulesOfNetConn(t *testing.T) {
	for name, cfg := range map[string]Config{
		"instant": {}, "slow": {Link: Link{Latency: 100 * time.Microsecond, Jitter: 100 * time.Microsecond, Rate: 50e6, Loss: 0.01, RTO: time.Millisecond}},
	} {
		t.Run(name, func(t *testing.T) {
			nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) {
				n := NewNet(cfg)
				l, err := n.Host(host(2)).Listen(context.Background(), "tcp", ":80")
				if err != nil {
					return nil, nil, nil, err
				}
				c, err := n.Host(host(1)).Dial(context.Background(), "tcp", l.Addr().String())
				if err != nil {
					return nil, nil, nil, err
				}
				s, err := l.Accept()
				return c, s, func() { c.Close(); s.Close(); n.Close() }, err
			})
		})
	}
}

func TestDialTakesARoundTrip(t *testing.T) {
	virtual(t, Config{Link: Link{Latency: 50 * time.Millisecond}}, func(t *testing.T, n *Net) {
		start := time.Now()
		c, s := connected(t, n)
		between(t, "dial and accept", time.Since(start), 150*time.Millisecond, 150*time.Millisecond)
		if got, want := c.RemoteAddr().String(), s.LocalAddr().String(); got != want || want != "1.2.0.2:80" {
			t.Errorf("RemoteAddr = %s, the other LocalAddr = %s", got, want)
		}
		if got, want := c.LocalAddr().String(), s.RemoteAddr().String(); got != want || !strings.HasPrefix(want, "1.2.0.1:") {
			t.Errorf("LocalAddr = %s, the other RemoteAddr = %s", got, want)
		}
	})
}

func TestAMegabyteOverAMegabyteASecond(t *testing.T) {
	virtual(t, Config{Link: Link{Rate: 1e6, Latency: 20 * time.Millisecond}}, func(t *testing.T, n *Net) {
		c, s := connected(t, n)
		sent := make([]byte, 1e6)
		rand.NewChaCha8([32]byte{}).Read(sent)
		start := time.Now()
		var wg sync.WaitGroup
		wg.Go(func() {
			c.Write(sent)
			c.Close()
		})
		got, err := io.ReadAll(s)
		wg.Wait()
		if err != nil || !bytes.Equal(got, sent) {
			t.Errorf("read %d bytes, %v; want what was sent", len(got), err)
		}
		between(t, "1 MB", time.Since(start), 1052*time.Millisecond, 1090*time.Millisecond)
		a, b := n.Host(host(1)).Traffic(), n.Host(host(2)).Traffic()
		if a.Sent != 1e6 || b.Received != 1e6 || b.Sent != 0 {
			t.Errorf("Sent = %d, Received = %d, sent back = %d", a.Sent, b.Received, b.Sent)
		}
		// 122 whole segments and one, the rest of it 4.5 %, and the handshake.
		if want := uint64(1e6 + 45e3 + 123*segmentTax); a.WireSent < want-130 || a.WireSent > want+300 {
			t.Errorf("WireSent = %d, want about %d", a.WireSent, want)
		}
	})
}

func TestDeadlinesHold(t *testing.T) {
	virtual(t, Config{Link: Link{Latency: time.Second, Queue: 1000, Window: 1000}}, func(t *testing.T, n *Net) {
		c, s := connected(t, n)
		start := time.Now()
		c.SetReadDeadline(start.Add(300 * time.Millisecond))
		_, err := c.Read(make([]byte, 1))
		between(t, "read", time.Since(start), 300*time.Millisecond, 300*time.Millisecond)
		var ne net.Error
		if !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &ne) || !ne.Timeout() {
			t.Errorf("Read = %v, want a timeout", err)
		}
		c.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
		if n, err := c.Write(make([]byte, 100_000)); !errors.Is(err, os.ErrDeadlineExceeded) || n == 0 || n == 100_000 {
			t.Errorf("Write = %d, %v; want a part and a timeout", n, err)
		}
		// A deadline moved while a call waits counts.
		var wg sync.WaitGroup
		start = time.Now()
		wg.Go(func() {
			s.Read(make([]byte, 1<<20))
			s.Read(make([]byte, 1<<20))
			for {
				if _, err := s.Read(make([]byte, 1<<20)); err != nil {
					break
				}
			}
			between(t, "moved deadline", time.Since(start), 10*time.Second, 10*time.Second)
		})
		time.Sleep(5 * time.Second)
		s.SetReadDeadline(start.Add(10 * time.Second))
		wg.Wait()
	})
}

func TestCloseWakesReadersAndWriters(t *testing.T) {
	virtual(t, Config{Link: Link{Latency: 10 * time.Second, Queue: 10}}, func(t *testing.T, n *Net) {
		c, s := connected(t, n)
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				if _, err := c.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
					t.Errorf("Read = %v, want closed", err)
				}
			})
			wg.Go(func() {
				if _, err := c.Write(make([]byte, 1e6)); !errors.Is(err, net.ErrClosed) {
					t.Errorf("Write = %v, want closed", err)
				}
			})
		}
		synctest.Wait()
		start := time.Now()
		c.Close()
		wg.Wait()
		between(t, "close", time.Since(start), 0, 0)
		if err := c.Close(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("second Close = %v, want closed", err)
		}
		s.Close()
	})
}

func TestTheRestIsReadBeforeTheEnd(t *testing.T) {
	virtual(t, Config{Link: Link{Latency: 30 * time.Millisecond}}, func(t *testing.T, n *Net) {
		c, s := connected(t, n)
		fmt.Fprint(c, "last words")
		c.Close()
		fmt.Fprint(s, "too late") // answered by a reset, after the last words
		time.Sleep(time.Second)
		got, err := io.ReadAll(s)
		if string(got) != "last words" || err != nil {
			t.Errorf("read %q, %v; want the last words", got, err)
		}
		if _, err := s.Write([]byte("x")); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("Write to a closed connection = %v, want reset", err)
		}
	})
}

func TestHalfCloseLeavesTheOtherWayOpen(t *testing.T) {
	virtual(t, Config{Link: Link{Latency: 30 * time.Millisecond}}, func(t *testing.T, n *Net) {
		c, s := connected(t, n)
		fmt.Fprint(c, "question")
		c.(*Conn).CloseWrite()
		if got, _ := io.ReadAll(s); string(got) != "question" {
			t.Errorf("read %q", got)
		}
		fmt.Fprint(s, "answer")
		s.Close()
		if got, err := io.ReadAll(c); string(got) != "answer" || err != nil {
			t.Errorf("read %q, %v", got, err)
		}
		if _, err := c.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
			t.Errorf("Write after CloseWrite = %v, want EPIPE", err)
		}
		c.Close()
		time.Sleep(time.Second)
		if k := len(n.Host(host(1)).conns) + len(n.Host(host(2)).conns); k != 0 {
			t.Errorf("%d connections are kept after both ends closed", k)
		}
	})
}

func TestAReaderThatStopsStopsTheWriter(t *testing.T) {
	virtual(t, Config{Link: Link{Queue: 1000, Buffer: 50_000}}, func(t *testing.T, n *Net) {
		c, s := connected(t, n)
		c.SetWriteDeadline(time.Now().Add(time.Minute))
		k, err := c.Write(make([]byte, 1e6))
		if !errors.Is(err, os.ErrDeadlineExceeded) || k < 40_000 || k > 60_000 {
			t.Errorf("Write = %d, %v; want the buffer and the queue full", k, err)
		}
		c.SetWriteDeadline(time.Time{})
		var wg sync.WaitGroup
		wg.Go(func() {
			c.Write(make([]byte, 1e6))
			c.Close()
		})
		if rest, err := io.Copy(io.Discard, s); err != nil || rest != int64(k)+1e6 {
			t.Errorf("read %d, %v; want %d", rest, err, k+1e6)
		}
		wg.Wait()
	})
}

func TestDialsFailAsOnARealNetwork(t *testing.T) {
	virtual(t, Config{Link: Link{Latency: 10 * time.Millisecond}}, func(t *testing.T, n *Net) {
		a, b := n.Host(host(1)), n.Host(host(2))
		l, err := b.Listen(t.Context(), "tcp", ":80")
		if err != nil {
			t.Fatal(err)
		}
		dial := func(addr string, d time.Duration) (time.Duration, error) {
			ctx, stop := context.WithTimeout(t.Context(), d)
			defer stop()
			start := time.Now()
			c, err := a.Dial(ctx, "tcp", addr)
			if err == nil {
				c.Close()
			}
			return time.Since(start), err
		}
		took, err := dial("1.2.0.2:81", time.Hour)
		if between(t, "refusal", took, 20*time.Millisecond, 20*time.Millisecond); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("nobody listens = %v, want refused", err)
		}
		took, err = dial("9.9.9.9:80", time.Minute)
		if between(t, "black hole", took, time.Minute, time.Minute); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("no such host = %v, want deadline exceeded", err)
		}
		took, err = dial("9.9.9.9:80", time.Hour)
		var ne net.Error
		if between(t, "black hole", took, 127*time.Second, 127*time.Second); !errors.As(err, &ne) || !ne.Timeout() {
			t.Errorf("no such host = %v, want a timeout", err)
		}
		n.Partition(Break, []netip.Addr{host(2)})
		took, err = dial("1.2.0.2:80", time.Hour)
		if between(t, "refusal", took, 0, time.Millisecond); !errors.Is(err, syscall.EHOSTUNREACH) {
			t.Errorf("across a break = %v, want unreachable", err)
		}
		n.Partition(Silent, []netip.Addr{host(2)})
		time.AfterFunc(2*time.Second, n.Heal) // the third knock, at 3 s, gets through
		took, err = dial("1.2.0.2:80", time.Hour)
		if between(t, "dial over a heal", took, 3*time.Second, 3*time.Second+20*time.Millisecond); err != nil {
			t.Error(err)
		}
		n.SetName("seed.example", netip.MustParseAddr("9.9.9.9"))
		if _, err := dial("other.example:80", time.Hour); !errors.As(err, new(*net.DNSError)) {
			t.Errorf("unknown name = %v, want a DNS error", err)
		}
		n.SetName("seed.example", host(2))
		if _, err := dial("seed.example:80", time.Hour); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Second)
		l.Close()
		if _, err := dial("1.2.0.2:80", time.Hour); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("closed listener = %v, want refused", err)
		}
		if r := b.Traffic().Refused; r != 2 {
			t.Errorf("Refused = %d, want 2", r)
		}
	})
}

func TestListenRules(t *testing.T) {
	virtual(t, Config{}, func(t *testing.T, n *Net) {
		h, ctx := n.Host(host(1)), t.Context()
		if _, err := h.Listen(ctx, "tcp", "0.0.0.0:80"); err != nil {
			t.Fatal(err)
		}
		if _, err := h.Listen(ctx, "tcp", ":80"); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("port in use = %v", err)
		}
		if _, err := h.Listen(ctx, "tcp", "1.2.9.9:80"); !errors.Is(err, syscall.EADDRNOTAVAIL) {
			t.Errorf("another's address = %v", err)
		}
		if _, err := h.Listen(ctx, "quic", ":81"); err == nil {
			t.Error("an unknown network was taken")
		}
		for _, bad := range []string{"1.2.0.1", ":x", ":70000", "name:1"} {
			if _, err := h.Listen(ctx, "tcp", bad); err == nil {
				t.Errorf("Listen(%q) succeeded", bad)
			}
		}
		a, err := h.Listen(ctx, "tcp", ":0")
		if err != nil {
			t.Fatal(err)
		}
		b, err := h.Listen(ctx, "tcp", ":0")
		if err != nil || a.Addr().String() == b.Addr().String() {
			t.Errorf("two free ports: %v and %v, %v", a.Addr(), b.Addr(), err)
		}
		// The accept queue is bounded, and what is in it is reset on Close.
		var conns []net.Conn
		for range backlog + 5 {
			c, err := n.Host(host(2)).Dial(ctx, "tcp", a.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			conns = append(conns, c)
		}
		synctest.Wait()
		time.Sleep(time.Millisecond)
		if _, err := conns[backlog].Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("beyond the backlog = %v, want reset", err)
		}
		a.Close()
		if _, err := conns[0].Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("not accepted = %v, want reset", err)
		}
	})
}

func TestDatagramsAndTheirDeadlines(t *testing.T) {
	virtual(t, Config{Link: Link{Latency: 5 * time.Millisecond}}, func(t *testing.T, n *Net) {
		a, _ := n.Host(host(1)).ListenPacket(t.Context(), "udp", ":30303")
		b, err := n.Host(host(2)).ListenPacket(t.Context(), "udp", ":30303")
		if err != nil {
			t.Fatal(err)
		}
		a.WriteTo([]byte("ping"), b.LocalAddr())
		buf := make([]byte, 3)
		start := time.Now()
		k, from, err := b.ReadFrom(buf)
		if string(buf[:k]) != "pin" || err != nil || from.String() != "1.2.0.1:30303" {
			t.Errorf("ReadFrom = %q from %v, %v", buf[:k], from, err)
		}
		between(t, "datagram", time.Since(start), 5*time.Millisecond, 5*time.Millisecond)
		b.SetReadDeadline(time.Now().Add(time.Second))
		if _, _, err := b.ReadFrom(buf); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("ReadFrom = %v, want a timeout", err)
		}
		if _, err := a.WriteTo(make([]byte, maxDatagram+1), b.LocalAddr()); err == nil {
			t.Error("an overlong datagram was sent")
		}
		for range 300 {
			a.WriteTo(make([]byte, 1000), b.LocalAddr())
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Second)
		if d := n.Host(host(2)).Traffic().Dropped; d != 300-packetBuffer/1000 {
			t.Errorf("Dropped = %d, want %d", d, 300-packetBuffer/1000)
		}
		time.AfterFunc(time.Second, func() { a.Close() })
		if _, _, err := a.ReadFrom(buf); !errors.Is(err, net.ErrClosed) {
			t.Errorf("ReadFrom = %v, want closed", err)
		}
	})
}
