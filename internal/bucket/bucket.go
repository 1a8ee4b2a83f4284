package bucket

import "time"

// longest is the longest delay that is told; beyond it nothing differs.
const longest = time.Hour

// Bucket holds tokens, up to a burst, and gains them at a rate. It may be
// owed: what turned out dearer than it was reserved for is paid before the
// next. Make one with New. It is not safe for concurrent use.
type Bucket struct {
	rate, burst float64 // tokens a second, tokens
	tokens      float64 // below 0: owed
	at          time.Time
}

// New makes a full bucket. rate (tokens a second) and burst (tokens) are at
// least 1.
func New(rate, burst float64, now time.Time) Bucket {
	rate, burst = max(rate, 1), max(burst, 1)
	return Bucket{rate: rate, burst: burst, tokens: burst, at: now}
}

func (b *Bucket) fill(now time.Time) {
	if d := now.Sub(b.at); d > 0 {
		b.tokens = min(b.tokens+b.rate*d.Seconds(), b.burst)
		b.at = now
	}
}

// Reserve takes cost tokens if they are there within most, and tells how long
// to wait for them. Otherwise it takes none, and tells when they would be
// there. A cost above the burst needs a full bucket, and leaves it owing.
func (b *Bucket) Reserve(now time.Time, cost float64, most time.Duration) (delay time.Duration, ok bool) {
	b.fill(now)
	cost = max(cost, 0)
	if lack := min(cost, b.burst) - b.tokens; lack > 0 {
		delay = longest
		if s := lack / b.rate; s < longest.Seconds() {
			// Rounded up, or whoever waits exactly this long is a hair early.
			delay = time.Duration(s*float64(time.Second)) + 1
		}
		if delay > most {
			return delay, false
		}
	}
	b.tokens -= cost
	return delay, true
}

// Give puts tokens back, or takes more where n is below 0.
func (b *Bucket) Give(now time.Time, n float64) {
	b.fill(now)
	b.tokens = min(b.tokens+n, b.burst)
}

// Full reports whether the bucket remembers nothing: a new one would be the same.
func (b *Bucket) Full(now time.Time) bool {
	b.fill(now)
	return b.tokens >= b.burst
}
