package reqresp_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/internal/reqresp"
)

// bulk asks for n answers of 16 x 64 KiB over one connection, par at a time,
// and gives the time that took.
func bulk(t *testing.T, to, back *link, w *reqresp.Window, n, par int, l reqresp.Limits) time.Duration {
	t.Helper()
	resp := wire.Blocks{Blocks: blocks(16, 64<<10)}
	began := time.Now()
	l.Exchange = time.Hour
	var wg sync.WaitGroup
	slots := make(chan struct{}, par)
	for range n {
		slots <- struct{}{}
		a, s := stream(to, back)
		wg.Go(func() {
			if err := reqresp.Answer(t.Context(), s, w, reqresp.Limits{Exchange: time.Hour}, answering(resp, nil)); err != nil {
				t.Error(err)
			}
		})
		wg.Go(func() {
			defer func() { <-slots }()
			got, err := reqresp.Do(t.Context(), a, wire.GetBlocks{Range: chain.Range{Count: 16}}, l)
			if err != nil || len(got.(wire.Blocks).Blocks) != 16 {
				t.Errorf("Do: %v", err)
			}
		})
	}
	wg.Wait()
	return time.Since(began)
}

// probe sends a small frame down the same link every 100 ms and gives the
// longest time that one took: what a consensus message suffers.
func probe(back *link, stop chan struct{}) time.Duration {
	var worst time.Duration
	for {
		select {
		case <-stop:
			return worst
		case <-time.After(100 * time.Millisecond):
			worst = max(worst, time.Until(back.arrival(200)))
		}
	}
}

// Bulk leaves room for consensus: what stands before a small message in the
// link stays small, at any rate, while the link stays busy.
func TestBulkLeavesRoomForConsensus(t *testing.T) {
	for _, tt := range []struct {
		every   int // bytes between acknowledgements
		rate    int // bytes a second
		latency time.Duration
		answers int
		queue   time.Duration // the most that a message waits besides the latency
		use     float64       // the least share of the rate that bulk gets
	}{
		{4 << 10, 128 << 10, 20 * time.Millisecond, 4, 600 * time.Millisecond, 0.8},
		{16 << 10, 1 << 20, 20 * time.Millisecond, 16, 200 * time.Millisecond, 0.8},
		{32 << 10, 6 << 20, 50 * time.Millisecond, 64, 150 * time.Millisecond, 0.7},
		{32 << 10, 100 << 20, 5 * time.Millisecond, 64, 10 * time.Millisecond, 0.2},
		{32 << 10, 100 << 20, 50 * time.Millisecond, 256, 100 * time.Millisecond, 0.1},
	} {
		t.Run(fmt.Sprintf("%d KiB per s, %v", tt.rate>>10, tt.latency), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				to, back := &link{latency: tt.latency}, &link{rate: tt.rate, latency: tt.latency}
				stop, worst := make(chan struct{}), make(chan time.Duration)
				go func() { worst <- probe(back, stop) }()
				w := reqresp.NewWindow()
				w.Observe(2 * tt.latency) // as the Status exchange does
				took := bulk(t, to, back, w, tt.answers, 4, reqresp.Limits{AckEvery: tt.every})
				close(stop)
				queued := <-worst - tt.latency
				use := float64(tt.answers) * (1 << 20) / took.Seconds() / float64(tt.rate)
				size, inFlight := w.Size()
				t.Logf("queue %v, %.0f %% of the link, window %d KiB", queued, 100*use, size>>10)
				if queued > tt.queue || use < tt.use {
					t.Errorf("a message waited %v (want at most %v), bulk used %.0f %% of the link (want %.0f %%)", queued, tt.queue, 100*use, 100*tt.use)
				}
				if inFlight != 0 {
					t.Errorf("%d bytes left in the window", inFlight)
				}
			})
		})
	}
}

// The same without a window: the test above shows something.
func TestBulkWithoutWindowFillsTheLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to, back := &link{latency: 20 * time.Millisecond}, &link{rate: 1 << 20, latency: 20 * time.Millisecond}
		stop, worst := make(chan struct{}), make(chan time.Duration)
		go func() { worst <- probe(back, stop) }()
		bulk(t, to, back, nil, 16, 4, reqresp.Limits{})
		close(stop)
		if queued := <-worst; queued < 500*time.Millisecond {
			t.Errorf("a message waited %v only", queued)
		}
	})
}

// However exchanges end, the window has all its bytes back, and it keeps its
// bounds.
func TestWindowGetsEveryByteBack(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 1))
			w := reqresp.NewWindow()
			to, back := &link{latency: time.Millisecond}, &link{rate: 2 << 20, latency: time.Millisecond}
			var wg sync.WaitGroup
			var mu sync.Mutex
			most := 0
			for range 12 {
				a, s := stream(to, back)
				every := 4<<10 + rng.IntN(60<<10)
				give, size := time.Duration(rng.IntN(3000))*time.Millisecond, 1+rng.IntN(100<<10)
				how := rng.IntN(3)
				wg.Go(func() {
					reqresp.Answer(t.Context(), s, w, reqresp.Limits{}, answering(wire.Blocks{Blocks: blocks(20, size)}, nil))
				})
				wg.Go(func() {
					reqresp.Do(t.Context(), a, wire.GetBlocks{Range: chain.Range{Count: 20}}, reqresp.Limits{AckEvery: every})
				})
				wg.Go(func() {
					time.Sleep(give)
					switch how {
					case 0:
						a.Reset()
					case 1:
						s.Reset()
					}
					size, inFlight := w.Size()
					mu.Lock()
					most = max(most, inFlight-size)
					mu.Unlock()
				})
			}
			wg.Wait()
			if size, inFlight := w.Size(); inFlight != 0 || size < 16<<10 || size > 4<<20 {
				t.Errorf("seed %d: window %d with %d in flight", seed, size, inFlight)
			}
			if most > 12*(64<<10+32<<10) {
				t.Errorf("seed %d: %d bytes over the window", seed, most)
			}
		})
	}
}
