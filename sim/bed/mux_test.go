package bed

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/transport"
)

// muxed returns the two ends of a light connection from host 1 to host 2.
func muxed(t *testing.T, n *Net) (client, server transport.CapableConn) {
	t.Helper()
	a, err := n.Host(host(1)).LightTransport(Key(1), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	b, err := n.Host(host(2)).LightTransport(Key(2), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	l, err := b.Listen(Multiaddr(host(2), 0))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	got := make(chan transport.CapableConn)
	go func() {
		c, _ := l.Accept()
		got <- c
	}()
	client, err = a.Dial(t.Context(), l.Multiaddr(), AddrInfo(host(2), Key(2)).ID)
	if err != nil {
		t.Fatal(err)
	}
	return client, <-got
}

// streams returns the two ends of a stream.
func streams(t *testing.T, client, server network.MuxedConn) (a, b network.MuxedStream) {
	t.Helper()
	a, err := client.OpenStream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if b, err = server.AcceptStream(); err != nil {
		t.Fatal(err)
	}
	return a, b
}

func TestALightDialTakesTwoRoundTrips(t *testing.T) {
	virtual(t, Config{Link: Link{Latency: 50 * time.Millisecond}}, func(t *testing.T, n *Net) {
		start := time.Now()
		c, s := muxed(t, n)
		between(t, "dial", time.Since(start), 200*time.Millisecond, 200*time.Millisecond)
		if c.RemotePeer() != s.LocalPeer() || s.RemotePeer() != c.LocalPeer() || !c.RemotePublicKey().Equals(Key(2).GetPublic()) {
			t.Error("the ends do not know each other")
		}
		if got, want := c.RemoteMultiaddr().String(), "/ip4/1.2.0.2/tcp/4001"; got != want || s.LocalMultiaddr().String() != want {
			t.Errorf("RemoteMultiaddr = %s, want %s", got, want)
		}
	})
}

func TestManyStreamsEchoWholeMessages(t *testing.T) {
	virtual(t, Config{Link: Link{Latency: 10 * time.Millisecond, Rate: 10e6, Jitter: 5 * time.Millisecond, Loss: 0.01}}, func(t *testing.T, n *Net) {
		c, s := muxed(t, n)
		var wg sync.WaitGroup
		wg.Go(func() {
			for {
				st, err := s.AcceptStream()
				if err != nil {
					return
				}
				wg.Go(func() {
					io.Copy(st, st)
					st.Close()
				})
			}
		})
		var all sync.WaitGroup
		for i := range 100 {
			all.Go(func() {
				st, err := c.OpenStream(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				rng := rand.NewChaCha8([32]byte{byte(i)})
				var size [2]byte
				rng.Read(size[:])
				sent := make([]byte, binary.BigEndian.Uint16(size[:]))
				rng.Read(sent)
				wg.Go(func() {
					st.Write(sent)
					st.CloseWrite()
				})
				got, err := io.ReadAll(st)
				if err != nil || !bytes.Equal(got, sent) {
					t.Errorf("stream %d: %d bytes, %v; want the %d sent", i, len(got), err, len(sent))
				}
				st.Close()
			})
		}
		all.Wait()
		c.Close()
		wg.Wait()
		if k := len(c.(*muxConn).streams) + len(s.(*muxConn).streams); k != 0 {
			t.Errorf("%d streams are left", k)
		}
	})
}

func TestAStreamsEnds(t *testing.T) {
	virtual(t, Config{Link: Link{Latency: 10 * time.Millisecond}}, func(t *testing.T, n *Net) {
		c, s := muxed(t, n)
		a, b := streams(t, c, s)
		fmt.Fprint(a, "question")
		a.CloseWrite()
		if got, err := io.ReadAll(b); string(got) != "question" || err != nil {
			t.Errorf("read %q, %v", got, err)
		}
		if _, err := a.Write([]byte("x")); err == nil {
			t.Error("Write after CloseWrite succeeded")
		}
		fmt.Fprint(b, "answer")
		b.Close()
		if got, err := io.ReadAll(a); string(got) != "answer" || err != nil {
			t.Errorf("read %q, %v", got, err)
		}
		a.Close()

		a, b = streams(t, c, s)
		fmt.Fprint(a, "lost")
		a.ResetWithError(network.StreamRateLimited)
		if _, err := a.Read(make([]byte, 1)); !errors.Is(err, &network.StreamError{ErrorCode: network.StreamRateLimited}) {
			t.Errorf("our Read after Reset = %v", err)
		}
		time.Sleep(time.Second)
		for _, err := range []error{second(b.Read(make([]byte, 1))), second(b.Write([]byte("x")))} {
			if !errors.Is(err, network.ErrReset) || !errors.Is(err, &network.StreamError{ErrorCode: network.StreamRateLimited, Remote: true}) {
				t.Errorf("after a remote reset: %v, want its code", err)
			}
		}

		a, b = streams(t, c, s)
		done := make(chan error)
		go func() { done <- second(b.Read(make([]byte, 1))) }()
		synctest.Wait()
		b.CloseRead()
		if err := <-done; err == nil || err == io.EOF {
			t.Errorf("Read when CloseRead comes = %v, want an error", err)
		}
		if _, err := a.Write(make([]byte, 3<<20)); err != nil { // more than a window, thrown away
			t.Errorf("Write to a side closed for reading = %v", err)
		}
	})
}

func second(_ int, err error) error { return err }

func TestStreamDeadlines(t *testing.T) {
	virtual(t, Config{}, func(t *testing.T, n *Net) {
		c, s := muxed(t, n)
		a, b := streams(t, c, s)
		start := time.Now()
		a.SetDeadline(start.Add(time.Second))
		if _, err := a.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Read = %v, want a timeout", err)
		}
		between(t, "Read", time.Since(start), time.Second, time.Second)
		a.SetDeadline(time.Now().Add(time.Second))
		if _, err := a.Write(make([]byte, 10<<20)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Write = %v, want a timeout", err)
		}
		between(t, "Write", time.Since(start), 2*time.Second, 2*time.Second)
		time.AfterFunc(time.Minute, func() { b.SetReadDeadline(time.Now()) })
		for {
			if _, err := b.Read(make([]byte, 1<<20)); err != nil {
				break
			}
		}
		between(t, "Read with a moved deadline", time.Since(start), 62*time.Second, 62*time.Second)
	})
}

func TestAReaderThatStopsHoldsOnlyItsStream(t *testing.T) {
	virtual(t, Config{Link: Link{Latency: 10 * time.Millisecond, Rate: 10e6, Queue: 64 << 10}}, func(t *testing.T, n *Net) {
		c, s := muxed(t, n)
		a, _ := streams(t, c, s)
		a.SetWriteDeadline(time.Now().Add(time.Minute))
		if k, err := a.Write(make([]byte, 10<<20)); k != streamWindow || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Write = %d, %v; want a window of %d", k, err, streamWindow)
		}
		x, y := streams(t, c, s)
		var wg sync.WaitGroup
		wg.Go(func() {
			x.Write(make([]byte, 5<<20))
			x.Close()
		})
		start := time.Now()
		if got, err := io.Copy(io.Discard, y); got != 5<<20 || err != nil {
			t.Errorf("read %d, %v", got, err)
		}
		between(t, "5 MiB beside a stuck stream", time.Since(start), 540*time.Millisecond, 900*time.Millisecond)
		wg.Wait()
	})
}

func TestClosingAConnWakesAllAndTellsWhy(t *testing.T) {
	virtual(t, Config{Link: Link{Latency: 10 * time.Millisecond, Queue: 1000}}, func(t *testing.T, n *Net) {
		c, s := muxed(t, n)
		a, b := streams(t, c, s)
		x, _ := streams(t, c, s)
		fmt.Fprint(a, "last words")
		errs := make(chan error, 4)
		go func() { errs <- second(a.Read(make([]byte, 1))) }()
		go func() { errs <- second(x.Write(make([]byte, 10<<20))) }()
		go func() { _, err := c.AcceptStream(); errs <- err }()
		synctest.Wait()
		c.CloseWithError(network.ConnRateLimited)
		for range 3 {
			if err := <-errs; !errors.Is(err, &network.ConnError{ErrorCode: network.ConnRateLimited}) {
				t.Errorf("our side: %v", err)
			}
		}
		_, err := s.AcceptStream()
		if !errors.Is(err, &network.ConnError{ErrorCode: network.ConnRateLimited, Remote: true}) || !s.IsClosed() {
			t.Errorf("AcceptStream = %v, want the other side's code", err)
		}
		buf := make([]byte, 100)
		if k, err := b.Read(buf); string(buf[:k]) != "last words" || err != nil {
			t.Errorf("Read = %q, %v; want what had arrived", buf[:k], err)
		}
		if _, err := b.Read(buf); !errors.Is(err, network.ErrReset) {
			t.Errorf("Read = %v, want the error", err)
		}
		if _, err := s.OpenStream(t.Context()); err == nil {
			t.Error("OpenStream on a closed connection succeeded")
		}
	})
}

func TestStreamsThatNobodyAcceptsAreReset(t *testing.T) {
	virtual(t, Config{}, func(t *testing.T, n *Net) {
		c, _ := muxed(t, n)
		var last network.MuxedStream
		for range streamQueue + 1 {
			s, err := c.OpenStream(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			last = s
		}
		if _, err := last.Read(make([]byte, 1)); !errors.Is(err, &network.StreamError{ErrorCode: network.StreamResourceLimitExceeded, Remote: true}) {
			t.Errorf("Read = %v, want reset for want of room", err)
		}
	})
}

func TestAStalledLinkStopsOpenStream(t *testing.T) {
	virtual(t, Config{Link: Link{Latency: time.Millisecond, Queue: 1000, Window: 1000}}, func(t *testing.T, n *Net) {
		c, _ := muxed(t, n)
		n.Stall(host(1), host(2))
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		var err error
		for k := 0; err == nil && k < streamQueue; k++ {
			_, err = c.OpenStream(ctx)
		}
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("OpenStream = %v, want the context's end", err)
		}
	})
}

func TestFaultsEndLightConns(t *testing.T) {
	tests := map[string]struct {
		fault func(*Net)
		both  bool // both ends see it at once
	}{
		"corrupt":   {func(n *Net) { n.Corrupt(host(1), host(2), 1) }, true},
		"partition": {func(n *Net) { n.Host(host(2)).Cut(Break) }, true},
		"kill":      {func(n *Net) { n.Host(host(2)).Kill(Break) }, true},
		"power off": {func(n *Net) { n.Host(host(2)).Kill(Silent) }, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			virtual(t, Config{Link: Link{Latency: 10 * time.Millisecond}}, func(t *testing.T, n *Net) {
				c, s := muxed(t, n)
				a, _ := streams(t, c, s)
				tt.fault(n)
				fmt.Fprint(a, "x")
				if _, err := a.Read(make([]byte, 1)); !errors.Is(err, network.ErrReset) {
					t.Errorf("Read = %v, want reset", err)
				}
				if _, err := s.AcceptStream(); err == nil || !c.IsClosed() {
					t.Errorf("AcceptStream = %v, IsClosed = %v", err, c.IsClosed())
				}
			})
		})
	}
}

func TestTheWrongPeerIsNotTaken(t *testing.T) {
	virtual(t, Config{}, func(t *testing.T, n *Net) {
		a, _ := n.Host(host(1)).LightTransport(Key(1), nil, nil)
		b, _ := n.Host(host(2)).LightTransport(Key(2), nil, nil)
		l, err := b.Listen(Multiaddr(host(2), 0))
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		go l.Accept()
		other, _ := peer.IDFromPrivateKey(Key(3))
		if _, err := a.Dial(t.Context(), l.Multiaddr(), other); err == nil || !strings.Contains(err.Error(), "mismatch") {
			t.Errorf("Dial = %v, want a mismatch", err)
		}
		if _, err := n.Host(host(1)).Dial(t.Context(), "tcp", "1.2.0.2:4001"); err == nil {
			t.Error("a plain connection reached the light transport's listener")
		}
		ctx, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		go a.Dial(ctx, l.Multiaddr(), other) // nobody accepts: ends with its context
		time.Sleep(2 * time.Second)
	})
}
