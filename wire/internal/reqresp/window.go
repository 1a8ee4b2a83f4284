package reqresp

import (
	"sync"
	"time"
)

// The window's bounds: docs/wire/native.md, section 7.
const (
	windowStart = 64 << 10
	windowShort = 256 << 10 // the most up to shortTrip
	windowLeast = 16 << 10
	windowMost  = 4 << 20
	pieceBytes  = 32 << 10
	shortTrip   = 10 * time.Millisecond  // up to which windowShort is the most
	queueLeast  = 20 * time.Millisecond  // a round trip this far above the least shows a queue: half the least,
	queueMost   = 100 * time.Millisecond // between these two
	baseEpoch   = time.Minute            // the least round trip is of the last one to two epochs
)

// Window bounds the bytes of answers that lie between us and one peer, over
// all its request streams, and adapts that bound to the measured round trip.
// Its methods are safe for concurrent use and never wait. Make one per peer
// with NewWindow; a nil *Window bounds nothing.
type Window struct {
	mu       sync.Mutex // a leaf: held for arithmetic only
	pace     pace
	inFlight int // written and not acknowledged, bytes
}

// NewWindow makes a window of 64 KiB.
func NewWindow() *Window { return &Window{pace: newPace()} }

// take adds n bytes if they fit, or if own (the caller's unacknowledged
// bytes) are fewer than every.
func (w *Window) take(n, own, every int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if own >= every && w.inFlight+n > w.pace.window {
		w.pace.brake = true
		return false
	}
	w.inFlight += n
	return true
}

// release takes n bytes off without a measurement.
func (w *Window) release(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.inFlight -= n
}

// acked takes n bytes off, whose last was written trip ago; 0 where that
// could not be measured.
func (w *Window) acked(now time.Time, n int, trip time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.inFlight -= n
	if trip > 0 {
		w.pace.acked(now, n, trip)
	}
}

// Observe takes in a round trip that was measured beside the answers: the
// Status exchange's, above all the first, when nothing stands in its way. On
// a nil Window it does nothing.
func (w *Window) Observe(trip time.Duration) {
	if w == nil || trip <= 0 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pace.base(time.Now(), trip)
}

// Size is the bound now, and how much of it is in flight, in bytes.
func (w *Window) Size() (window, inFlight int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.pace.window, w.inFlight
}

// pace decides the window's size. It is pure: it knows only what it is told.
type pace struct {
	window int
	brake  bool             // the window held a writer back since the last growth
	least  [2]time.Duration // of this epoch and the one before; 0: none
	epoch  time.Time        // when this epoch began
	cut    time.Time        // before which no further cut is made
}

func newPace() pace { return pace{window: windowStart} }

// acked takes one measurement: n bytes acknowledged, trip after the last of
// them was written.
func (p *pace) acked(now time.Time, n int, trip time.Duration) {
	base := p.base(now, trip)
	slack := min(max(queueLeast, base/2), queueMost)
	switch {
	case trip > base+slack:
		// To what would have met the bound, but gently; and once a round trip,
		// since what is on its way still shows the old size.
		if !now.Before(p.cut) {
			fit := int(float64(p.window) * float64(base+slack) / float64(trip))
			p.window = max(min(fit, p.window/8*7), p.window/4, windowLeast)
			p.cut = now.Add(trip)
		}
		p.brake = false
	case trip <= base+slack/2 && p.brake:
		p.window += n
		p.brake = false
	}
	p.window = min(p.window, p.most(base))
}

// base notes trip and gives the least one of the last one to two epochs.
func (p *pace) base(now time.Time, trip time.Duration) time.Duration {
	if p.epoch.IsZero() || now.Sub(p.epoch) >= 2*baseEpoch {
		p.least, p.epoch = [2]time.Duration{}, now
	} else if now.Sub(p.epoch) >= baseEpoch {
		p.least, p.epoch = [2]time.Duration{0, p.least[0]}, p.epoch.Add(baseEpoch)
	}
	if p.least[0] == 0 || trip < p.least[0] {
		p.least[0] = trip
	}
	if p.least[1] > 0 && p.least[1] < p.least[0] {
		return p.least[1]
	}
	return p.least[0]
}

// most is the largest window for a base round trip.
func (p *pace) most(base time.Duration) int {
	if base <= shortTrip {
		return windowShort
	}
	return min(int(windowShort*(base/time.Microsecond)/(shortTrip/time.Microsecond)), windowMost)
}
