package discv

import (
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/p2p/enode"

	"github.com/starlingp2p/starling/internal/subnet"
)

// How others are asked where they see us.
const (
	// seenAsked is how many nodes are asked in a round, of those that are known.
	seenAsked = 4
	// seenKept bounds the statements, one of each range of addresses; the oldest
	// makes room.
	seenKept = 32
	// seenFor is how long a statement counts, and its range is not asked again.
	seenFor = time.Hour
	// SeenLeast is how many ranges of addresses must say the same: who has one
	// range decides nothing. Those that are not public count as one.
	SeenLeast = 3
)

// statement is where somebody sees us.
type statement struct {
	by netip.Prefix
	at netip.Addr
	on time.Time
}

// sight is what others say of where they see us. It is safe for concurrent use.
type sight struct {
	apart bool // loopback and private addresses count, and their ranges each

	mu  sync.Mutex // a leaf
	all []statement
}

// rangeOf is the operator's range whose nodes count as one.
func (s *sight) rangeOf(ip netip.Addr) netip.Prefix {
	if !s.apart && subnet.Local(ip) {
		return netip.Prefix{}
	}
	return subnet.Operator(ip)
}

// known reports whether a range has been heard lately.
func (s *sight) known(by netip.Addr, now time.Time) bool {
	r := s.rangeOf(by)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, st := range s.all {
		if st.by == r && now.Sub(st.on) < seenFor {
			return true
		}
	}
	return false
}

// take notes a statement, in place of one of the same range.
func (s *sight) take(by, at netip.Addr, now time.Time) {
	if at = at.Unmap(); !at.IsValid() || at.IsUnspecified() {
		return
	}
	r := s.rangeOf(by)
	s.mu.Lock()
	defer s.mu.Unlock()
	kept := s.all[:0]
	for _, st := range s.all {
		if st.by != r && now.Sub(st.on) < seenFor {
			kept = append(kept, st)
		}
	}
	if len(kept) == seenKept {
		kept = append(kept[:0], kept[1:]...) // they are in the order of their times
	}
	s.all = append(kept, statement{by: r, at: at, on: now})
}

// agreed is the address of an IP version that more than half of the ranges that
// spoke of one say, and how many they are; invalid where they are too few. One that
// is not public does not count: whoever shares our network sees us there, however
// we are reached from outside.
func (s *sight) agreed(four bool, now time.Time) (at netip.Addr, by int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	count, all := map[netip.Addr]int{}, 0
	for _, st := range s.all {
		if st.at.Is4() == four && (s.apart || !subnet.Local(st.at)) && now.Sub(st.on) < seenFor {
			count[st.at]++
			all++
		}
	}
	for a, n := range count {
		if n >= SeenLeast && 2*n > all { // one at most has more than half
			return a, n
		}
	}
	return netip.Addr{}, 0
}

// SeenAs is where others see us, by the answers of nodes of several ranges of
// addresses in the last hour, and how many ranges say so; invalid where too few
// agree. Never blocks.
func (p *Pair) SeenAs(four bool) (at netip.Addr, by int) { return p.seen.agreed(four, time.Now()) }

// askSeen asks some nodes where they see us: their pongs say so. It blocks for
// the library's time for an answer, a second or so.
func (p *Pair) askSeen() {
	var wg sync.WaitGroup
	defer wg.Wait()
	asked := map[netip.Prefix]bool{}
	ask := func(n *enode.Node, ping func() (netip.Addr, error)) {
		from := n.IPAddr()
		r := p.seen.rangeOf(from)
		if len(asked) == seenAsked || !from.IsValid() || asked[r] || p.seen.known(from, time.Now()) {
			return
		}
		asked[r] = true
		wg.Go(func() {
			if at, err := ping(); err == nil {
				p.seen.take(from, at, time.Now())
			}
		})
	}
	addr := func(ip net.IP) netip.Addr { a, _ := netip.AddrFromSlice(ip); return a }
	if p.v4 != nil {
		for _, bucket := range p.v4.TableBuckets() {
			for _, n := range bucket {
				ask(n.Node, func() (netip.Addr, error) {
					pong, err := p.v4.Ping(n.Node)
					if err != nil {
						return netip.Addr{}, err
					}
					return addr(pong.To.IP), nil
				})
			}
		}
	}
	if p.v5 != nil {
		for _, n := range p.v5.udp.AllNodes() {
			ask(n, func() (netip.Addr, error) {
				pong, err := p.v5.udp.Ping(n)
				if err != nil {
					return netip.Addr{}, err
				}
				return addr(pong.ToIP), nil
			})
		}
	}
}
