package p2phost

import (
	"context"
	"encoding/binary"
	"io"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-msgio"
	"go.uber.org/goleak"

	"github.com/starlingp2p/starling/peer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pipeStream is a stream whose other end the test writes to.
type pipeStream struct {
	network.Stream
	in       chan []byte
	rest     []byte
	deadline time.Time
}

func (p *pipeStream) Read(b []byte) (int, error) {
	if len(p.rest) == 0 {
		var late <-chan time.Time
		if !p.deadline.IsZero() {
			t := time.NewTimer(time.Until(p.deadline))
			defer t.Stop()
			late = t.C
		}
		select {
		case m, ok := <-p.in:
			if !ok {
				return 0, io.EOF
			}
			p.rest = m
		case <-late:
			return 0, os.ErrDeadlineExceeded
		}
	}
	n := copy(b, p.rest)
	p.rest = p.rest[n:]
	return n, nil
}

func (p *pipeStream) SetReadDeadline(t time.Time) error { p.deadline = t; return nil }

func granted(budget *Budget, max int) (*grantedStream, *pipeStream, *[]peer.Offense) {
	p := &pipeStream{in: make(chan []byte, 16)}
	var charged []peer.Offense
	return &grantedStream{
		Stream: p, budget: budget, max: max, ctx: context.Background(),
		charge: func(o peer.Offense, _ string) { charged = append(charged, o) }, starve: func() {},
	}, p, &charged
}

func frame(n int) []byte { return append(binary.AppendUvarint(nil, uint64(n)), make([]byte, n)...) }

func TestFrameWaitsForItsMemory(t *testing.T) { // B-04
	synctest.Test(t, func(t *testing.T) {
		budget := NewBudget(100 << 10)
		hold, err := budget.Take(context.Background(), 60<<10)
		if err != nil {
			t.Fatal(err)
		}
		g, p, _ := granted(budget, 1<<20)
		p.in <- frame(50 << 10)
		read := make(chan int, 1)
		go func() {
			m, _ := msgio.NewVarintReaderSize(g, 1<<20).ReadMsg()
			read <- len(m)
		}()
		time.Sleep(2 * time.Second)
		select {
		case <-read:
			t.Error("a frame was read though there was no memory for it")
		default:
		}
		hold()
		if n := <-read; n != 50<<10 {
			t.Errorf("read %d bytes, want %d", n, 50<<10)
		}
		g.giveBack()
		if _, err := budget.Take(context.Background(), 100<<10); err != nil {
			t.Errorf("the memory was not given back: %v", err)
		}
	})
}

func TestSmallFramesNeedNoMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		budget := NewBudget(1 << 20)
		if _, err := budget.Take(context.Background(), 1<<20); err != nil {
			t.Fatal(err)
		}
		g, p, _ := granted(budget, 1<<20)
		p.in <- frame(100)
		if m, err := msgio.NewVarintReaderSize(g, 1<<20).ReadMsg(); err != nil || len(m) != 100 {
			t.Errorf("read = %d bytes, %v", len(m), err)
		}
	})
}

func TestBadFramesAreCharged(t *testing.T) { // M-02, M-03, Z-01
	for name, c := range map[string]struct {
		send []byte
		end  bool
		want peer.Offense
	}{
		"too large": {binary.AppendUvarint(nil, 1<<21), false, peer.BadFrame},
		"endless":   {[]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, false, peer.BadFrame},
		"truncated": {frame(1000)[:500], true, peer.TruncatedFrame},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g, p, charged := granted(NewBudget(0), 1<<20)
				p.in <- c.send
				if c.end {
					close(p.in)
				}
				start := time.Now()
				if _, err := msgio.NewVarintReaderSize(g, 1<<20).ReadMsg(); err == nil {
					t.Error("a bad frame was read")
				}
				if len(*charged) != 1 || (*charged)[0] != c.want {
					t.Errorf("charged %v, want %s", *charged, c.want)
				}
				if took := time.Since(start); took > 11*time.Second {
					t.Errorf("the frame was given up after %v", took)
				}
			})
		})
	}
}

func TestFramesMayRestBetween(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, p, charged := granted(NewBudget(0), 1<<20)
		r := msgio.NewVarintReaderSize(g, 1<<20)
		for range 3 {
			go func() {
				time.Sleep(time.Hour)
				p.in <- frame(10)
			}()
			if m, err := r.ReadMsg(); err != nil || len(m) != 10 {
				t.Fatalf("read = %d bytes, %v", len(m), err)
			}
		}
		if len(*charged) != 0 {
			t.Errorf("charged %v", *charged)
		}
	})
}
