package bucket_test

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/starlingp2p/starling/internal/bucket"
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func TestReserveWaitsOrRefuses(t *testing.T) {
	b := bucket.New(100, 50, start)
	if d, ok := b.Reserve(start, 50, 0); d != 0 || !ok {
		t.Fatalf("a full bucket gave %v, %v", d, ok)
	}
	if d, ok := b.Reserve(start, 10, 50*time.Millisecond); ok || d < 100*time.Millisecond || d > 101*time.Millisecond {
		t.Fatalf("an empty one gave %v, %v; want a refusal of 100ms", d, ok)
	}
	d, ok := b.Reserve(start, 10, time.Second)
	if !ok || d < 100*time.Millisecond || d > 101*time.Millisecond {
		t.Fatalf("an empty one gave %v, %v; want a wait of 100ms", d, ok)
	}
	if d, _ := b.Reserve(start, 10, time.Second); d < 200*time.Millisecond {
		t.Errorf("the next waits %v, want behind the first", d)
	}
	b.Give(start, -1000) // dearer than thought
	if _, ok := b.Reserve(start.Add(10*time.Second), 1, 0); ok {
		t.Error("debt was forgotten")
	}
	if !b.Full(start.Add(20 * time.Second)) {
		t.Error("debt was never paid")
	}
}

// However it is used, no more passes than burst + rate x time, and a delay
// that was asked for suffices.
func TestNeverMoreThanRateAndBurst(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rate := rapid.Float64Range(1, 1e9).Draw(t, "rate")
		burst := rapid.Float64Range(1, 1e9).Draw(t, "burst")
		b := bucket.New(rate, burst, start)
		now, passed := start, 0.0
		for range rapid.IntRange(1, 50).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(time.Second)).Draw(t, "later")))
			cost := rapid.Float64Range(0, burst).Draw(t, "cost")
			most := time.Duration(rapid.Int64Range(0, int64(time.Second)).Draw(t, "most"))
			d, ok := b.Reserve(now, cost, most)
			if !ok {
				continue
			}
			if passed += cost; passed > (burst+rate*now.Add(d).Sub(start).Seconds())*(1+1e-6)+1 {
				t.Fatalf("%v passed by %v", passed, now.Add(d).Sub(start))
			}
		}
	})
}

func TestExtremesDoNotOverflow(t *testing.T) {
	b := bucket.New(0, 0, start)
	if d, ok := b.Reserve(start, math.MaxFloat64, time.Second); !ok || d != 0 {
		t.Fatalf("a full bucket gave %v, %v", d, ok)
	}
	if d, ok := b.Reserve(start, 1, time.Second); ok || d != time.Hour {
		t.Errorf("owing everything it gave %v, %v", d, ok)
	}
}
