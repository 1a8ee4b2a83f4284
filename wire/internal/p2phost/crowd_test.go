package p2phost

import (
	"context"
	"encoding/binary"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/starlingp2p/starling/peer"
)

// paced is a stream of one frame of zeros that comes at a rate.
type paced struct {
	network.Stream
	head []byte
	left int
	rate int // bytes a second
}

func (p *paced) Read(b []byte) (int, error) {
	if len(p.head) > 0 {
		n := copy(b, p.head)
		p.head = p.head[n:]
		return n, nil
	}
	n := min(len(b), p.left)
	time.Sleep(time.Duration(n) * time.Second / time.Duration(p.rate))
	p.left -= n
	return n, nil
}

func (p *paced) SetReadDeadline(time.Time) error { return nil }

// Threat B-04: a hundred peers send a legal message of ten megabytes each, at
// once. No more is read than the decode budget has room for, the others wait,
// and within two seconds each has come through.
func TestAHundredLargeMessagesTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const (
			peers = 100
			size  = 10 << 20
			bound = 256 << 20
		)
		budget := NewBudget(bound)
		var most atomic.Int64
		var all sync.WaitGroup
		var through atomic.Int32
		start := time.Now()
		for range peers {
			all.Go(func() {
				g := &grantedStream{
					Stream: &paced{head: binary.AppendUvarint(nil, size), left: size, rate: 100 << 20},
					budget: budget, max: size, ctx: context.Background(),
					charge: func(o peer.Offense, _ string) { t.Errorf("somebody is charged: %s", o) },
					starve: func() { t.Error("a message is given up for want of memory") },
				}
				buf := make([]byte, 256<<10)
				for got := 0; got < size+len(binary.AppendUvarint(nil, size)); {
					n, err := g.Read(buf)
					if err != nil {
						t.Error(err)
						break
					}
					got += n
					most.Store(max(most.Load(), budget.Used()))
				}
				time.Sleep(100 * time.Millisecond) // it is judged
				g.giveBack()
				through.Add(1)
			})
		}
		all.Wait()
		if took := time.Since(start); through.Load() != peers || took > 2*time.Second {
			t.Errorf("%d of %d messages came through in %v, want all within 2s", through.Load(), peers, took)
		}
		if got := most.Load(); got > bound || got < bound/2 {
			t.Errorf("%d bytes were granted at once, want at most %d and a good part of it", got, bound)
		}
		if got := budget.Used(); got != 0 {
			t.Errorf("%d bytes are still granted", got)
		}
	})
}
