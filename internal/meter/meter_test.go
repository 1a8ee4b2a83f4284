package meter_test

import (
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/starlingp2p/starling/internal/meter"
	"github.com/starlingp2p/starling/wire"
)

func TestTallyFoldsWhatIsOverItsBound(t *testing.T) {
	tally := meter.NewTally(3, func(string) string { return "other" })
	for i := range 100 {
		tally.Add(strconv.Itoa(i), 1)
	}
	tally.Add("1", 4)
	want := map[string]uint64{"0": 1, "1": 5, "2": 1, "other": 97}
	if diff := cmp.Diff(want, tally.Counts()); diff != "" {
		t.Error(diff)
	}
}

func TestTallyWithoutAFoldUsesTheZeroKey(t *testing.T) {
	tally := meter.NewTally[string](0, nil)
	tally.Add("a", 1)
	tally.Add("b", 2)
	if diff := cmp.Diff(map[string]uint64{"": 3}, tally.Counts()); diff != "" {
		t.Error(diff)
	}
}

func TestTallyLosesNothingUnderLoad(t *testing.T) {
	tally := meter.NewTally(8, func(int) int { return -1 })
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 1000 {
				tally.Add((g+i)%16, 1)
			}
		})
	}
	wg.Wait()
	var sum uint64
	for _, n := range tally.Counts() {
		sum += n
	}
	if sum != 8000 || len(tally.Counts()) > 9 {
		t.Errorf("%d counted under %d keys, want 8000 under at most 9", sum, len(tally.Counts()))
	}
}

func TestTallyAllocatesNothingForKnownKeys(t *testing.T) {
	tally := meter.NewTally[string](3, nil)
	tally.Add("a", 1)
	if n := testing.AllocsPerRun(100, func() { tally.Add("a", 1) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestHistogramCountsUpToItsBounds(t *testing.T) {
	h := meter.NewHistogram([]time.Duration{time.Second, time.Minute})
	for _, d := range []time.Duration{0, time.Second, time.Second + 1, time.Minute, time.Hour} {
		h.Observe(d)
	}
	want := meter.Distribution{
		Bounds: []time.Duration{time.Second, time.Minute}, Counts: []uint64{2, 2, 1},
		Sum: 2*time.Second + 1 + time.Minute + time.Hour,
	}
	got := h.Distribution()
	if diff := cmp.Diff(want, got); diff != "" || got.Count() != 5 {
		t.Errorf("count %d\n%s", got.Count(), diff)
	}
}

func TestHistogramsFoldWhatIsOverTheirBound(t *testing.T) {
	hs := meter.NewHistograms(2, func(string) string { return "other" }, []time.Duration{time.Second})
	for _, k := range []string{"a", "b", "c", "d", "a"} {
		hs.Observe(k, time.Millisecond)
	}
	got := map[string]uint64{}
	for k, d := range hs.Distributions() {
		got[k] = d.Count()
	}
	if diff := cmp.Diff(map[string]uint64{"a": 2, "b": 1, "other": 2}, got); diff != "" {
		t.Error(diff)
	}
}

func TestLoopTellsHowBusyItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := meter.NewLoop([]time.Duration{500 * time.Millisecond, time.Second})
		l.Rest() // without a Wake: nothing
		if st := l.Stat(); st.Busy != 0 || st.Steps.Count() != 0 {
			t.Errorf("at first %+v", st)
		}
		for range 40 { // a quarter of the time
			l.Wake()
			time.Sleep(250 * time.Millisecond)
			l.Rest()
			time.Sleep(750 * time.Millisecond)
			l.Stat()
		}
		st := l.Stat()
		if st.Ratio != 0.25 || st.Busy != 10*time.Second || st.Steps.Counts[0] != 40 || st.Step != 0 {
			t.Errorf("after 40 steps %+v", st)
		}
		time.Sleep(time.Minute)
		l.Stat()
		time.Sleep(time.Minute)
		if st := l.Stat(); st.Ratio != 0 {
			t.Errorf("after rest the ratio is %v, want 0", st.Ratio)
		}
	})
}

// A loop that hangs in one step is told of by readers, who never wait for it.
func TestLoopThatHangsIsSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := meter.NewLoop(nil)
		time.Sleep(time.Second)
		l.Wake()
		time.Sleep(time.Minute)
		st := l.Stat()
		if st.Step != time.Minute || st.Busy != time.Minute || st.Ratio < 0.9 || st.Steps.Count() != 0 {
			t.Errorf("in the step %+v", st)
		}
	})
}

func TestTrafficCountsMessagesAndBytesAndIsBounded(t *testing.T) {
	tr := meter.NewTraffic()
	tr.Count("gossip", "block", true, 100)
	tr.Count("gossip", "block", true, 50)
	tr.Count("gossip", "block", false, 7)
	want := map[wire.TrafficKey]wire.Traffic{
		{Protocol: "gossip", Type: "block", Inbound: true}: {Messages: 2, Bytes: 150},
		{Protocol: "gossip", Type: "block"}:                {Messages: 1, Bytes: 7},
	}
	if diff := cmp.Diff(want, tr.Counts()); diff != "" {
		t.Error(diff)
	}
	for i := range 1000 {
		tr.Count("gossip", strconv.Itoa(i), true, 1)
	}
	if n := len(tr.Counts()); n > 130 {
		t.Errorf("%d kinds, want at most 130", n)
	}
}

func BenchmarkTraffic(b *testing.B) {
	tr := meter.NewTraffic()
	for b.Loop() {
		tr.Count("gossip", "block", true, 100)
	}
}

func BenchmarkLoop(b *testing.B) {
	l := meter.NewLoop([]time.Duration{time.Millisecond, time.Second})
	for b.Loop() {
		l.Wake()
		l.Rest()
	}
}
