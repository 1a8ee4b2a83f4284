package relay

import (
	"fmt"
	"math"
	"time"
)

// Policy says how many peers hear of a transaction at once, and in which form.
// Every way out follows it: pushes, announcements and answers, since whoever
// was told may ask.
type Policy struct {
	Name string
	// Push is to how many of n peers a transaction goes in full.
	Push func(n int) int
	// Announce is how many more hear its hash at once; negative: all others.
	Announce int
	// Widen is after what time as many again as have heard of it hear its hash,
	// until all have; 0: never. Times are rounded up, so that the hashes of many
	// transactions travel in one message.
	Widen time.Duration
	// Arrive is how long an announced transaction may still be pushed by somebody
	// before it is asked for.
	Arrive time.Duration
}

// gethArrive is go-ethereum's (eth/fetcher: txArriveTimeout).
const gethArrive = 500 * time.Millisecond

// Geth is what go-ethereum does: in full to the root of the number of peers,
// rounded up, and the hash to all others.
func Geth() Policy { return Policy{Name: "geth", Push: root, Announce: -1, Arrive: gethArrive} }

// Frugal tells few at first and the rest when those few had the time to tell
// them: on a well meshed network most need not be told at all.
func Frugal() Policy {
	return Policy{Name: "frugal", Push: atMost(2), Announce: 4, Widen: 500 * time.Millisecond, Arrive: 200 * time.Millisecond}
}

// Flood sends everything to everybody: for wires that cannot announce.
func Flood() Policy {
	return Policy{Name: "flood", Push: func(n int) int { return n }, Arrive: gethArrive}
}

// PolicyNamed gives the policy of that name.
func PolicyNamed(name string) (Policy, error) {
	for _, p := range []Policy{Geth(), Frugal(), Flood()} {
		if p.Name == name {
			return p, nil
		}
	}
	return Policy{}, fmt.Errorf("no policy %.40q; there are geth, frugal and flood", name)
}

// root is the square root of n, rounded up.
func root(n int) int { return int(math.Ceil(math.Sqrt(float64(n)))) }

func atMost(max int) func(int) int { return func(n int) int { return min(n, max) } }
