package bed

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// host is a public-looking address for the i-th host.
func host(i int) netip.Addr { return netip.AddrFrom4([4]byte{1, 2, byte(i >> 8), byte(i)}) }

// between asserts a duration's bounds.
func between(t *testing.T, what string, got, low, high time.Duration) {
	t.Helper()
	if got < low || got > high {
		t.Errorf("%s took %v, want %v to %v", what, got, low, high)
	}
}

// sendOne returns how long a message of size bytes takes.
func sendOne(t *testing.T, cfg Config, size int) time.Duration {
	t.Helper()
	s := NewSim(1)
	f := s.Fabric(cfg)
	var took time.Duration
	if !f.Pipe(host(1), host(2)).Send(size, func() { took = s.Now().Sub(Epoch()) }) {
		t.Fatal("message dropped")
	}
	s.Drain(1 << 20)
	return took
}

func TestAMessageTakesItsLatencyAndItsTimeOnTheWire(t *testing.T) {
	const ms = time.Millisecond
	// 4.5 % and 60 bytes per 8 KiB segment: 1 MB is 1,052,380 bytes or so.
	tests := []struct {
		name      string
		cfg       Config
		size      int
		low, high time.Duration
	}{
		{"instant", Config{}, 1e6, 0, 0},
		{"latency", Config{Link: Link{Latency: 50 * ms}}, 100, 50 * ms, 50 * ms},
		{"link rate", Config{Link: Link{Rate: 1e6}}, 1e6, 1052 * ms, 1053 * ms},
		{"uplink", Config{Up: 1e6}, 1e6, 1052 * ms, 1053 * ms},
		{"downlink", Config{Down: 1e6}, 1e6, 1052 * ms, 1053 * ms},
		{"slowest counts once", Config{Up: 1e6, Link: Link{Rate: 1e6}}, 1e6, 1052 * ms, 1053 * ms},
		{"downlink is behind the uplink by a segment", Config{Up: 1e6, Down: 1e6}, 1e6, 1060 * ms, 1063 * ms},
		{"rate and latency", Config{Link: Link{Rate: 1e6, Latency: 10 * ms}}, 1e6, 1062 * ms, 1070 * ms},
		// 40 kB, 80, 160, 320, 400: the first flight and four round trips more.
		{"slow start", Config{Link: Link{Latency: 50 * ms}}, 1e6, 450 * ms, 450 * ms},
		{"first flight", Config{Link: Link{Latency: 50 * ms}}, 40000, 50 * ms, 50 * ms},
		{"no window", Config{Link: Link{Latency: 50 * ms, Window: -1}}, 1e6, 50 * ms, 50 * ms},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			between(t, "message", sendOne(t, tt.cfg, tt.size), tt.low, tt.high)
		})
	}
}

func TestAWarmLinkSendsAtOnce(t *testing.T) {
	s := NewSim(1)
	p := s.Fabric(Config{Link: Link{Latency: 50 * time.Millisecond}}).Pipe(host(1), host(2))
	p.Send(1e6, func() {})
	s.Drain(1 << 20)
	start := s.Now()
	p.Send(400e3, func() { between(t, "second message", s.Now().Sub(start), 50*time.Millisecond, 50*time.Millisecond) })
	if !s.Drain(1 << 20) {
		t.Error("calls are left")
	}
}

func TestAnUplinkIsSharedInTurns(t *testing.T) {
	s := NewSim(1)
	f := s.Fabric(Config{Up: 1e6})
	done := map[int]time.Duration{}
	for i := 2; i <= 5; i++ {
		size := 100_000
		if i == 5 {
			size = 8000 // a small message is not behind the large ones
		}
		f.Pipe(host(1), host(i)).Send(size, func() { done[i] = s.Now().Sub(Epoch()) })
	}
	s.Drain(1 << 20)
	between(t, "small message", done[5], 30*time.Millisecond, 45*time.Millisecond)
	for i := 2; i <= 4; i++ {
		between(t, "large message", done[i], 290*time.Millisecond, 330*time.Millisecond)
	}
}

func TestLossOnAStreamIsDelayInOrder(t *testing.T) {
	s := NewSim(7)
	f := s.Fabric(Config{Link: Link{Latency: 20 * time.Millisecond, Loss: 0.3, Window: -1}})
	p := f.Pipe(host(1), host(2))
	var got []int
	late := 0
	for i := range 300 {
		s.After(time.Duration(i)*time.Second, func() {
			sent := s.Now()
			p.Send(100, func() {
				got = append(got, i)
				if d := s.Now().Sub(sent); d >= 220*time.Millisecond {
					late++
				} else if d != 20*time.Millisecond {
					t.Errorf("message %d took %v, want 20ms or a retransmission", i, d)
				}
			})
		})
	}
	s.Drain(1 << 20)
	if len(got) != 300 || !slices.IsSorted(got) {
		t.Errorf("%d messages of 300, in order %v", len(got), slices.IsSorted(got))
	}
	if late < 60 || late > 120 {
		t.Errorf("%d of 300 were late, want about 90", late)
	}
	if r := f.Traffic(host(1)).Resent; r < uint64(late) {
		t.Errorf("Resent = %d, want at least %d", r, late)
	}
}

func TestOrderIsKeptWhateverTheLink(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ms := func(name string, high int) time.Duration {
			return time.Duration(rapid.IntRange(0, high).Draw(t, name)) * time.Millisecond
		}
		s := NewSim(rapid.Uint64Range(1, 1<<40).Draw(t, "seed"))
		f := s.Fabric(Config{
			Up:   rapid.Int64Range(0, 1e6).Draw(t, "up"),
			Down: rapid.Int64Range(0, 1e6).Draw(t, "down"),
			Link: Link{
				Latency: ms("latency", 200), Jitter: ms("jitter", 200),
				Loss:   rapid.Float64Range(0, 1).Draw(t, "loss"),
				Rate:   rapid.Int64Range(0, 1e6).Draw(t, "rate"),
				Window: rapid.IntRange(-1, 50000).Draw(t, "window"),
				Buffer: rapid.IntRange(0, 50000).Draw(t, "buffer"),
			},
		})
		p := f.Pipe(host(1), host(2))
		var got, sent []int
		want := uint64(0)
		for i, size := range rapid.SliceOfN(rapid.IntRange(0, 30000), 1, 20).Draw(t, "sizes") {
			s.After(ms("at", 1000), func() {
				if p.Send(size, func() { got = append(got, i) }) {
					sent = append(sent, i)
					want += uint64(size)
				}
			})
		}
		for range rapid.IntRange(0, 6).Draw(t, "faults") {
			kind, rate := rapid.IntRange(0, 4).Draw(t, "kind"), rapid.Int64Range(0, 1e6).Draw(t, "new rate")
			s.After(ms("when", 2000), func() {
				switch kind {
				case 0:
					f.Partition(Silent, []netip.Addr{host(1)})
				case 1:
					f.Heal()
				case 2:
					f.StallOneWay(host(1), host(2), rate > 5e5)
				case 3:
					f.SetRates(host(1), rate, rate/2)
					f.SetRates(host(2), rate/2, rate)
				case 4:
					f.SetLink(host(1), host(2), Link{Rate: rate, Latency: time.Duration(rate)})
				}
			})
		}
		s.After(2*time.Second, f.Heal)
		s.After(2*time.Second, func() { f.Unstall(host(1), host(2)) })
		if !s.Drain(1 << 16) {
			t.Fatal("calls are left")
		}
		if !slices.Equal(got, sent) {
			t.Errorf("sent %v, arrived %v", sent, got)
		}
		if r := f.Traffic(host(2)).Received; r != want {
			t.Errorf("Received = %d bytes, want %d", r, want)
		}
		if p.inflight != 0 || p.queued != 0 {
			t.Errorf("%d bytes in flight and %d queued at the end", p.inflight, p.queued)
		}
	})
}

func TestAFullQueueDropsAndCounts(t *testing.T) {
	s := NewSim(1)
	f := s.Fabric(Config{Link: Link{Rate: 1000, Queue: 10_000}})
	p := f.Pipe(host(1), host(2))
	taken := 0
	for range 20 {
		if p.Send(1000, func() {}) {
			taken++
		}
	}
	if taken != 11 { // one is on the wire
		t.Errorf("took %d messages of 1,000 bytes, want 11", taken)
	}
	if d := f.Traffic(host(1)).Dropped; d != 9 {
		t.Errorf("Dropped = %d, want 9", d)
	}
}

func TestDatagramsAreLostAndDropped(t *testing.T) {
	s := NewSim(5)
	f := s.Fabric(Config{Link: Link{Loss: 0.25}})
	got := 0
	for range 1000 {
		f.Datagram(host(1), host(2), 100, func() { got++ })
	}
	s.Drain(1 << 20)
	if lost := f.Traffic(host(1)).Lost; got+int(lost) != 1000 || lost < 200 || lost > 300 {
		t.Errorf("%d arrived and %d were lost, want about 750 and 250", got, lost)
	}
	f.Partition(Silent, []netip.Addr{host(1)})
	f.Datagram(host(1), host(2), 100, func() { t.Error("a datagram crossed a partition") })
	s.Drain(1 << 20)
	f.Heal()
	s.Drain(1 << 20)
}

func TestASilentPartitionHoldsAndABreakBreaks(t *testing.T) {
	s := NewSim(1)
	f := s.Fabric(Config{Link: Link{Latency: 10 * time.Millisecond}})
	p, q := f.Pipe(host(1), host(2)), f.Pipe(host(1), host(3))
	broken := 0
	p.OnBreak(func() { broken++ })
	q.OnBreak(func() { t.Error("a pipe inside a group broke") })
	f.Partition(Silent, []netip.Addr{host(1), host(3)}, []netip.Addr{host(2)})
	var arrived time.Duration
	p.Send(100, func() { arrived = s.Now().Sub(Epoch()) })
	inside := false
	q.Send(100, func() { inside = true })
	s.RunFor(time.Second)
	if arrived != 0 || !inside {
		t.Errorf("across arrived at %v, inside arrived %v; want 0, true", arrived, inside)
	}
	f.Heal()
	s.RunFor(time.Second)
	between(t, "held message", arrived, time.Second, time.Second+20*time.Millisecond)
	f.Partition(Break, []netip.Addr{host(2)})
	if broken != 1 || p.Send(1, func() {}) {
		t.Errorf("broken %d times, and Send took a message", broken)
	}
}

func TestFaultsOverlap(t *testing.T) {
	f := NewSim(1).Fabric(Config{})
	a, b := host(1), host(2)
	f.Stall(a, b)
	f.Cut(a, Break)
	if m := f.Blocked(b, a); m != Break {
		t.Errorf("stalled and cut = %v, want break", m)
	}
	f.Restore(a)
	if m := f.Blocked(b, a); m != Silent {
		t.Errorf("stalled = %v, want silent", m)
	}
	f.Unstall(a, b)
	if m := f.Blocked(b, a); m != 0 {
		t.Errorf("nothing = %v, want none", m)
	}
}
