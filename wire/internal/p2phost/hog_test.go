package p2phost

import (
	"context"
	"encoding/binary"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-msgio"
)

// resettable is a stream on which a deadline in the past ends what reads it.
type resettable struct {
	*pipeStream
	once  sync.Once
	reset chan struct{}
}

func (r *resettable) SetReadDeadline(t time.Time) error {
	if !t.IsZero() && t.Before(time.Now()) {
		r.once.Do(func() { close(r.reset) })
		return nil
	}
	return r.pipeStream.SetReadDeadline(t)
}

func (r *resettable) Read(b []byte) (int, error) {
	type result struct {
		n   int
		err error
	}
	done := make(chan result, 1)
	go func() {
		n, err := r.pipeStream.Read(b)
		done <- result{n, err}
	}()
	select {
	case x := <-done:
		return x.n, x.err
	case <-r.reset:
		return 0, os.ErrDeadlineExceeded
	}
}

// Threats B-04 and Z-01: twenty-five peers that announce a frame each and send
// none of it hold the whole budget; whoever has something to send gets through.
func TestAnnouncedFramesDoNotHoldTheBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const most = 12 << 20
		budget := NewBudget(256 << 20)
		var hogs sync.WaitGroup
		for range 25 {
			g, p, charged := granted(budget, most)
			g.Stream = &resettable{pipeStream: p, reset: make(chan struct{})}
			p.in <- binary.AppendUvarint(nil, most)
			hogs.Go(func() {
				msgio.NewVarintReaderSize(g, most).ReadMsg()
				g.giveBack()
				if len(*charged) > 0 {
					t.Errorf("charged %v: a link may stop", *charged)
				}
				close(p.in)
			})
		}
		time.Sleep(time.Millisecond)
		start := time.Now()
		g, p, _ := granted(budget, most)
		p.in <- frame(10 << 20)
		if m, err := msgio.NewVarintReaderSize(g, most).ReadMsg(); err != nil || len(m) != 10<<20 {
			t.Errorf("the honest frame: %d bytes, %v", len(m), err)
		}
		if took := time.Since(start); took > 2*time.Second {
			t.Errorf("the honest frame took %v, want at most 2 s", took)
		}
		g.giveBack()
		hogs.Wait()
		if _, err := budget.Take(context.Background(), 256<<20); err != nil {
			t.Error("memory was lost")
		}
	})
}

// A frame that keeps pace is not cut, however many wait.
func TestFramesThatKeepPaceAreNotCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		budget := NewBudget(4 << 20)
		g, p, _ := granted(budget, 4<<20)
		r := &resettable{pipeStream: p, reset: make(chan struct{})}
		g.Stream = r
		go func() {
			p.in <- binary.AppendUvarint(nil, 4<<20)
			for range 16 {
				time.Sleep(400 * time.Millisecond)
				p.in <- make([]byte, 256<<10)
			}
		}()
		second := make(chan error, 1)
		go func() {
			time.Sleep(time.Second)
			_, err := budget.Take(context.Background(), 1<<20)
			second <- err
		}()
		if m, err := msgio.NewVarintReaderSize(g, 4<<20).ReadMsg(); err != nil || len(m) != 4<<20 {
			t.Errorf("read %d bytes, %v", len(m), err)
		}
		g.giveBack()
		if err := <-second; err != nil {
			t.Error(err)
		}
	})
}
