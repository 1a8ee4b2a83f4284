package bed

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"time"
)

// readFor reads once, for at most d.
func readFor(c net.Conn, d time.Duration) (string, error) {
	c.SetReadDeadline(time.Now().Add(d))
	buf := make([]byte, 100)
	n, err := c.Read(buf)
	return string(buf[:n]), err
}

func TestAConnSurvivesASilentPartition(t *testing.T) {
	virtual(t, Config{Link: Link{Latency: 10 * time.Millisecond}}, func(t *testing.T, n *Net) {
		c, s := connected(t, n)
		n.Partition(Silent, []netip.Addr{host(1)}, []netip.Addr{host(2)})
		fmt.Fprint(c, "hello")
		if got, err := readFor(s, time.Minute); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("across a partition: %q, %v; want a timeout", got, err)
		}
		n.Heal()
		if got, err := readFor(s, time.Second); got != "hello" || err != nil {
			t.Errorf("after it: %q, %v", got, err)
		}
		if got, err := readFor(c, time.Second); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("other side: %q, %v; want a timeout", got, err)
		}
	})
}

func TestABreakResetsBothEnds(t *testing.T) {
	virtual(t, Config{Link: Link{Latency: 10 * time.Millisecond}}, func(t *testing.T, n *Net) {
		c, s := connected(t, n)
		n.Host(host(2)).Cut(Break)
		for _, x := range []net.Conn{c, s} {
			if _, err := readFor(x, time.Second); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("Read = %v, want reset", err)
			}
			if _, err := x.Write([]byte("x")); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("Write = %v, want reset", err)
			}
		}
		n.Host(host(2)).Restore()
		connected(t, n)
	})
}

func TestKillTellsTheOthersOrNot(t *testing.T) {
	for _, mode := range []Mode{Break, Silent} {
		t.Run(mode.String(), func(t *testing.T) {
			virtual(t, Config{Link: Link{Latency: 10 * time.Millisecond}}, func(t *testing.T, n *Net) {
				c, s := connected(t, n)
				n.Host(host(2)).Kill(mode)
				if _, err := s.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
					t.Errorf("killed host's Read = %v, want closed", err)
				}
				_, err := readFor(c, time.Minute)
				if want := map[Mode]error{Break: syscall.ECONNRESET, Silent: os.ErrDeadlineExceeded}[mode]; !errors.Is(err, want) {
					t.Errorf("Read = %v, want %v", err, want)
				}
				c.Write([]byte("anybody there?"))
				if _, err = readFor(c, time.Minute); !errors.Is(err, syscall.ECONNRESET) {
					t.Errorf("Read after a write = %v, want reset", err)
				}
				connected(t, n) // the same port is free again
			})
		})
	}
}

func TestAStallStopsBytesWithoutAnError(t *testing.T) {
	virtual(t, Config{Link: Link{Latency: 10 * time.Millisecond, Queue: 10_000}}, func(t *testing.T, n *Net) {
		c, s := connected(t, n)
		n.Stall(host(1), host(2))
		c.SetWriteDeadline(time.Now().Add(time.Hour))
		k, err := c.Write(make([]byte, 1e6))
		if !errors.Is(err, os.ErrDeadlineExceeded) || k > 60_000 {
			t.Errorf("Write = %d, %v; want the window and the queue full", k, err)
		}
		n.Unstall(host(1), host(2))
		c.Close()
		s.SetReadDeadline(time.Now().Add(time.Second))
		if got, err := io.Copy(io.Discard, s); got != int64(k) || err != nil {
			t.Errorf("read %d, %v; want %d", got, err, k)
		}
	})
}

func TestCorruptionFlipsBytes(t *testing.T) {
	virtual(t, Config{}, func(t *testing.T, n *Net) {
		c, s := connected(t, n)
		n.Corrupt(host(1), host(2), 1)
		fmt.Fprint(c, "clean")
		if got, err := readFor(s, time.Second); got == "clean" || len(got) != 5 || err != nil {
			t.Errorf("read %q, %v; want five bytes and one of them wrong", got, err)
		}
		n.Corrupt(host(1), host(2), 0)
		fmt.Fprint(c, "clean")
		if got, _ := readFor(s, time.Second); got != "clean" {
			t.Errorf("read %q, want clean", got)
		}
	})
}

func TestLinksChangeWhileTheyRun(t *testing.T) {
	virtual(t, Config{Link: Link{Latency: 10 * time.Millisecond}}, func(t *testing.T, n *Net) {
		c, s := connected(t, n)
		hop := func() time.Duration {
			start := time.Now()
			fmt.Fprint(c, "x")
			if _, err := readFor(s, time.Hour); err != nil {
				t.Error(err)
			}
			return time.Since(start)
		}
		between(t, "hop", hop(), 10*time.Millisecond, 10*time.Millisecond)
		n.SetLink(host(1), host(2), Link{Latency: 300 * time.Millisecond})
		between(t, "slow hop", hop(), 300*time.Millisecond, 300*time.Millisecond)
		n.SetLoss(1)
		if hop() < time.Second || n.Host(host(1)).Traffic().Resent != maxResends {
			t.Errorf("Resent = %d, want %d", n.Host(host(1)).Traffic().Resent, maxResends)
		}
		n.SetLoss(0)
		between(t, "hop", hop(), 300*time.Millisecond, 300*time.Millisecond)
	})
}

func TestNetCloseWakesAll(t *testing.T) {
	virtual(t, Config{Link: Link{Latency: time.Second}}, func(t *testing.T, n *Net) {
		c, _ := connected(t, n)
		l, _ := n.Host(host(3)).Listen(t.Context(), "tcp", ":1")
		p, _ := n.Host(host(3)).ListenPacket(t.Context(), "udp", ":1")
		errs := make(chan error, 4)
		go func() { _, err := c.Read(make([]byte, 1)); errs <- err }()
		go func() { _, err := l.Accept(); errs <- err }()
		go func() { _, _, err := p.ReadFrom(make([]byte, 1)); errs <- err }()
		go func() { _, err := n.Host(host(3)).Dial(t.Context(), "tcp", "8.8.8.8:1"); errs <- err }()
		time.Sleep(time.Second)
		n.Close()
		for range 4 {
			if err := <-errs; !errors.Is(err, net.ErrClosed) {
				t.Errorf("after Close: %v, want closed", err)
			}
		}
		if _, err := n.Host(host(3)).Dial(t.Context(), "tcp", "8.8.8.8:1"); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Dial after Close = %v", err)
		}
	})
}
