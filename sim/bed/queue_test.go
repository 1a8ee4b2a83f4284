package bed

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestCallsRunInOrderOfTimeThenOfAdding(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var q Queue
		type entry struct {
			at time.Duration
			n  int
		}
		var want, got []entry
		for i, at := range rapid.SliceOf(rapid.IntRange(0, 20)).Draw(t, "at") {
			e := entry{time.Duration(at), i}
			want = append(want, e)
			q.After(e.at, func() {
				if q.Now() != Epoch().Add(e.at) {
					t.Errorf("ran at %v, want %v", q.Now(), Epoch().Add(e.at))
				}
				got = append(got, e)
			})
		}
		slices.SortStableFunc(want, func(a, b entry) int { return int(a.at - b.at) })
		if !q.Drain(len(want)) || !slices.Equal(got, want) {
			t.Errorf("ran %v, want %v", got, want)
		}
	})
}

func TestRunStopsAtItsInstant(t *testing.T) {
	var q Queue
	var ran []int
	q.After(time.Second, func() {
		ran = append(ran, 1)
		q.After(0, func() { ran = append(ran, 2) }) // same instant, still in
	})
	q.After(time.Second+1, func() { ran = append(ran, 3) })
	q.Run(Epoch().Add(time.Second))
	if want := []int{1, 2}; !slices.Equal(ran, want) {
		t.Errorf("ran %v, want %v", ran, want)
	}
	if want := Epoch().Add(time.Second + 1); q.Next() != want || q.Len() != 1 {
		t.Errorf("Next = %v, %d waiting; want %v, 1", q.Next(), q.Len(), want)
	}
	q.At(Epoch(), func() { ran = append(ran, 4) }) // has passed: now
	if q.Step(); ran[2] != 4 || q.Now() != Epoch().Add(time.Second) {
		t.Errorf("a call in the past ran as %v at %v", ran, q.Now())
	}
}

// beat is a core that passes a token on at random and beats at its own pace.
type beat struct {
	rng  *rand.Rand
	n    int
	next time.Time
}

type beatEvent struct{ token, tick bool }

func (b *beat) Step(now time.Time, ev beatEvent) []int {
	if ev.tick && now.Before(b.next) {
		panic("woken too early")
	}
	if ev.tick {
		b.next = now.Add(time.Duration(1+b.rng.IntN(1000)) * time.Millisecond)
	}
	if ev.token {
		return []int{b.rng.IntN(b.n)}
	}
	return nil
}

func (b *beat) Next() time.Time { return b.next }

// relay runs n cores that pass tokens over a lossy fabric and returns the hash.
func relay(seed uint64, n int, d time.Duration) uint64 {
	s := NewSim(seed)
	f := s.Fabric(Config{Link: Link{Rate: 1e6, Latency: 20 * time.Millisecond, Jitter: 10 * time.Millisecond, Loss: 0.1}})
	drivers := make([]*Driver[beatEvent, int], n)
	pipes := map[[2]int]*Pipe{}
	for i := range n {
		core := &beat{rng: s.Fork("core" + string(rune(i))), n: n, next: s.Now()}
		drivers[i] = Drive(s, core, beatEvent{tick: true}, func(to int) {
			s.Note("pass", uint64(i), uint64(to))
			key := [2]int{i, to}
			if pipes[key] == nil {
				pipes[key] = f.Pipe(host(i), host(to))
			}
			pipes[key].Send(500, func() { drivers[to].Send(beatEvent{token: true}) })
		})
	}
	for i := range n / 10 {
		drivers[i].Send(beatEvent{token: true})
	}
	s.RunFor(d)
	return s.Hash()
}

func TestARunIsEqualToTheBitForASeed(t *testing.T) {
	a, b, c := relay(1, 200, 10*time.Second), relay(1, 200, 10*time.Second), relay(2, 200, 10*time.Second)
	if a != b {
		t.Errorf("two runs with seed 1: %x and %x", a, b)
	}
	if a == c {
		t.Errorf("seeds 1 and 2 gave the same run: %x", a)
	}
}

func TestForkDoesNotDependOnOtherDraws(t *testing.T) {
	a, b := NewSim(3), NewSim(3)
	a.Rand().Uint64()
	if x, y := a.Fork("x").Uint64(), b.Fork("x").Uint64(); x != y {
		t.Errorf("Fork after a draw = %x, before = %x", x, y)
	}
	if a.Fork("x").Uint64() == a.Fork("y").Uint64() {
		t.Error("two names gave one generator")
	}
}

// stuck always asks for a time that has passed.
type stuck struct{}

func (stuck) Step(time.Time, int) []int { return nil }
func (stuck) Next() time.Time           { return Epoch() }

func TestACoreThatNeverSleepsIsNamed(t *testing.T) {
	s := NewSim(1)
	Drive(s, stuck{}, 0, func(int) {})
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	s.RunFor(time.Second)
}

func BenchmarkQueue(b *testing.B) {
	var q Queue
	for i := range 1000 {
		q.After(time.Duration(i*7919%1000), func() {})
	}
	b.ReportAllocs()
	for i := range b.N {
		q.After(time.Duration(i*7919%1000), func() {})
		q.Step()
	}
}

func BenchmarkCores(b *testing.B) {
	for b.Loop() {
		relay(1, 2000, time.Second)
	}
}
