package discv

import (
	"fmt"
	"net/netip"
	"testing"
	"time"
)

// Where others see us is what most ranges of addresses say, and three at least:
// who has one range decides nothing, and neither does a local network.
func TestWhatMostRangesSayIsWhereWeAreSeen(t *testing.T) {
	for _, tt := range []struct {
		name string
		said []string // BY AT
		four bool
		want string
		by   int
	}{
		{"nobody", nil, true, "", 0},
		{"two", []string{"1.1.0.1 7.7.7.7", "2.2.0.1 7.7.7.7"}, true, "", 0},
		{"three", []string{"1.1.0.1 7.7.7.7", "2.2.0.1 7.7.7.7", "3.3.0.1 7.7.7.7"}, true, "7.7.7.7", 3},
		{"one range", []string{"1.1.0.1 7.7.7.7", "1.1.0.2 7.7.7.7", "1.1.9.9 7.7.7.7"}, true, "", 0},
		{"a local network", []string{"10.1.0.1 7.7.7.7", "192.168.0.2 7.7.7.7", "127.0.0.1 7.7.7.7", "172.16.3.4 7.7.7.7"}, true, "", 0},
		{"half", []string{"1.1.0.1 7.7.7.7", "2.2.0.1 7.7.7.7", "3.3.0.1 7.7.7.7", "4.4.0.1 8.8.8.8", "5.5.0.1 8.8.8.8", "6.6.0.1 8.8.8.8"}, true, "", 0},
		{"most", []string{"1.1.0.1 7.7.7.7", "2.2.0.1 7.7.7.7", "3.3.0.1 7.7.7.7", "4.4.0.1 8.8.8.8"}, true, "7.7.7.7", 3},
		{"the other IP version", []string{"1.1.0.1 7.7.7.7", "2.2.0.1 7.7.7.7", "3.3.0.1 7.7.7.7"}, false, "", 0},
		{"IPv6", []string{"2a00:1::1 2a00:7::7", "2a00:2::1 2a00:7::7", "2a00:3::1 2a00:7::7", "1.1.0.1 7.7.7.7"}, false, "2a00:7::7", 3},
		{"mapped", []string{"1.1.0.1 ::ffff:7.7.7.7", "2.2.0.1 7.7.7.7", "3.3.0.1 7.7.7.7"}, true, "7.7.7.7", 3},
		{"no address", []string{"1.1.0.1 0.0.0.0", "2.2.0.1 0.0.0.0", "3.3.0.1 0.0.0.0"}, true, "", 0},
		{"a local address", []string{"1.1.0.1 10.0.0.9", "2.2.0.1 10.0.0.9", "3.3.0.1 10.0.0.9"}, true, "", 0},
		{"a local address beside", []string{"1.1.0.1 7.7.7.7", "2.2.0.1 7.7.7.7", "3.3.0.1 7.7.7.7", "4.4.0.1 10.0.0.9", "5.5.0.1 127.0.0.1", "6.6.0.1 100.64.0.9"}, true, "7.7.7.7", 3},
		{"a change of mind", []string{"1.1.0.1 7.7.7.7", "1.1.0.1 8.8.8.8", "2.2.0.1 8.8.8.8", "3.3.0.1 8.8.8.8"}, true, "8.8.8.8", 3},
	} {
		var s sight
		now := time.Unix(1, 0)
		for _, said := range tt.said {
			var by, at string
			fmt.Sscan(said, &by, &at)
			s.take(netip.MustParseAddr(by), netip.MustParseAddr(at), now)
		}
		want := netip.Addr{}
		if tt.want != "" {
			want = netip.MustParseAddr(tt.want)
		}
		if at, by := s.agreed(tt.four, now); at != want || by != tt.by {
			t.Errorf("%s: %v by %d, want %s by %d", tt.name, at, by, tt.want, tt.by)
		}
		if at, _ := s.agreed(tt.four, now.Add(seenFor)); at.IsValid() {
			t.Errorf("%s: %v counts for ever", tt.name, at)
		}
	}
}

// What is kept of statements is bounded, whoever makes them.
func TestStatementsAreBounded(t *testing.T) {
	var s sight
	for i := range 1000 {
		s.take(netip.AddrFrom4([4]byte{1, byte(i), byte(i >> 8), 1}), netip.MustParseAddr("7.7.7.7"), time.Unix(int64(i), 0))
		if len(s.all) > seenKept {
			t.Fatalf("%d statements are kept, want %d at most", len(s.all), seenKept)
		}
	}
	if !s.known(netip.MustParseAddr("1.231.0.7"), time.Unix(1000, 0)) || s.known(netip.MustParseAddr("1.2.0.7"), time.Unix(1000, 0)) {
		t.Error("the oldest statements are not those that went")
	}
}

// Nodes of either version are asked, and say where they see us.
func TestNodesAreAskedWhereTheySeeUs(t *testing.T) {
	for _, five := range []bool{false, true} {
		var boot4, boot5 []string
		for i := range SeenLeast {
			p := pairAt(t, fmt.Sprintf("127.%d.0.1:0", 31+i), PairConfig{NoV4: five, NoV5: !five})
			boot4, boot5 = append(boot4, p.Self().URLv4()), append(boot5, p.Self().String())
		}
		a := pairAt(t, "127.77.0.1:0", PairConfig{Config: Config{Bootnodes: boot5}, BootnodesV4: boot4, NoV4: five, NoV5: !five, CountLoopback: true})
		late := time.Now().Add(2 * time.Minute)
		for {
			// Each round goes through the table, which the library fills.
			a.askSeen()
			if at, by := a.SeenAs(true); by == SeenLeast && at == netip.MustParseAddr("127.77.0.1") {
				break
			}
			if time.Now().After(late) {
				t.Fatalf("discv5 %v: after two minutes others are known to say %v", five, a.seen.all)
			}
			a.Discover(soon(t))
		}
	}
}

// A range that has spoken is left in peace for an hour.
func TestARangeIsNotAskedAgainAtOnce(t *testing.T) {
	var s sight
	by, now := netip.MustParseAddr("1.1.0.1"), time.Unix(1, 0)
	s.take(by, netip.MustParseAddr("7.7.7.7"), now)
	if !s.known(netip.MustParseAddr("1.1.200.1"), now.Add(seenFor-1)) {
		t.Error("the range is not known")
	}
	if s.known(by, now.Add(seenFor)) {
		t.Error("the range is known for ever")
	}
}
