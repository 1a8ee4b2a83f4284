package framed

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/starlingp2p/starling/wire"
)

// Whatever is pushed and taken: no lane is over its bounds, order holds within
// a lane, nothing is lost but what was counted, a lower lane waits for a burst
// at most, and a higher one for no more than the lower lanes' turns.
func TestQueueKeepsItsBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var bounds [wire.NumLanes]Bound
		for i := range bounds {
			bounds[i] = Bound{Messages: rapid.SampledFrom([]int{-1, 1, 2, 5}).Draw(t, "messages"), Bytes: rapid.IntRange(1, 2000).Draw(t, "bytes")}
		}
		burst := rapid.IntRange(1, 5).Draw(t, "burst")
		q := newQueue(bounds, burst)
		bound := func(l int) Bound { // of questions too
			if wire.Lane(l) == asks {
				l = int(wire.LaneSync)
			}
			return bounds[l].withDefaults()
		}
		var model [len(order)][]uint64 // codes that must come out
		var passed [len(order)]int
		next := uint64(0)
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			if rapid.Bool().Draw(t, "push") {
				l := wire.Lane(rapid.IntRange(0, len(order)-1).Draw(t, "lane"))
				m := Out{Code: next, Payload: make([]byte, rapid.IntRange(0, 500).Draw(t, "size"))}
				next++
				ok, freed, old := q.push(l, m)
				if old > len(model[l]) || old > 0 && !dropsOldest(l) {
					t.Fatalf("lane %s dropped %d", l, old)
				}
				model[l] = model[l][old:]
				if ok {
					model[l] = append(model[l], m.Code)
				} else if freed == nil {
					t.Fatal("no room, and nothing to wait for")
				}
				continue
			}
			m, ok := q.next()
			taken := -1
			for i := range model {
				if ok && len(model[i]) > 0 && model[i][0] == m.Code {
					taken = i
					model[i] = model[i][1:]
				}
			}
			for i := range model {
				switch {
				case i == taken:
					passed[i] = 0
				case ok && taken < 0:
					t.Fatalf("message %d is nobody's next", m.Code)
				case !ok && len(model[i]) > 0:
					t.Fatalf("nothing came though lane %d has %d messages", i, len(model[i]))
				case len(model[i]) > 0:
					if passed[i]++; passed[i] > burst+len(order)*2 {
						t.Fatalf("lane %d was passed over %d times at a burst of %d", i, passed[i], burst)
					}
				default:
					passed[i] = 0
				}
			}
		}
		for i := range q.lanes {
			ln, b := &q.lanes[i], bound(i)
			if n := ln.items.len(); n != len(model[i]) || n > max(b.Messages, 1) || n > 1 && ln.bytes > b.Bytes {
				t.Fatalf("lane %d holds %d messages of %d bytes, want %d within %+v", i, n, ln.bytes, len(model[i]), b)
			}
		}
	})
}

func TestHighLanesGoFirst(t *testing.T) {
	q := newQueue([wire.NumLanes]Bound{}, 4)
	for l := range wire.Lane(len(order)) {
		for range 10 {
			q.push(l, Out{Code: uint64(l)})
		}
	}
	var got []uint64
	for range 9 {
		m, _ := q.next()
		got = append(got, m.Code)
	}
	// Four of consensus, then each lower lane that was passed over has a turn, our
	// questions before our answers.
	want := []uint64{0, 0, 0, 0, 1, 2, uint64(asks), 3, 4}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("order %v, want %v", got, want)
		}
	}
}

// One pong is on its way at most (threat R-06), and the newest height counts.
func TestAStatusTakesThePlaceOfTheOlder(t *testing.T) {
	q := newQueue([wire.NumLanes]Bound{}, 4)
	for i := range 1000 {
		q.push(wire.LaneHousekeeping, Out{Code: uint64(i), Key: 1, Payload: make([]byte, i)})
		q.push(wire.LaneHousekeeping, Out{Code: uint64(i), Key: 2})
	}
	if n, b := q.waiting(wire.LaneHousekeeping), q.lanes[wire.LaneHousekeeping].bytes; n != 2 || b != 999+2*frameTax {
		t.Fatalf("%d wait, of %d bytes", n, b)
	}
	if m, _ := q.next(); m.Code != 999 || m.Key != 1 {
		t.Errorf("the first is %d of key %d", m.Code, m.Key)
	}
}

func TestAMessageOverTheBoundWaitsAlone(t *testing.T) {
	q := newQueue([wire.NumLanes]Bound{wire.LaneSync: {Bytes: 100}}, 4)
	big := Out{Payload: make([]byte, 1000)}
	if ok, _, _ := q.push(wire.LaneSync, big); !ok {
		t.Error("it found no room though the lane is empty")
	}
	if ok, _, _ := q.push(wire.LaneSync, Out{}); ok {
		t.Error("another found room beside it")
	}
}

func TestFifoGivesItsMemoryBack(t *testing.T) {
	var f fifo[int]
	next := 0
	for i := range 100000 {
		f.push(i)
		if i > 10 {
			if got := f.pop(); got != next {
				t.Fatalf("got %d, want %d", got, next)
			}
			next++
		}
	}
	if cap(f.items) > 200 {
		t.Errorf("a queue of %d keeps room for %d", f.len(), cap(f.items))
	}
}
