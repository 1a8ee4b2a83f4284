package swarm

import (
	"fmt"
	"strings"

	"github.com/starlingp2p/starling/wire"
)

// maxPlaces bounds the capabilities that places are kept for.
const maxPlaces = 16

// speaks reports, for each capability that places are kept for, whether it is
// among what a peer speaks.
func (c Config) speaks(protocols []string) []bool {
	if len(c.Places) == 0 {
		return nil
	}
	out := make([]bool, len(c.Places))
	for i, p := range c.Places {
		out[i] = speaks(p, protocols)
	}
	return out
}

func speaks(p wire.Places, protocols []string) bool {
	for _, text := range protocols {
		if text == p.Capability || strings.HasPrefix(text, p.Capability+"/") {
			return true
		}
	}
	return false
}

// openPlaces is how many places of the i-th capability are still free.
func (c *core) openPlaces(n counts, i int) int { return max(0, c.cfg.Places[i].Count-n.speak[i]) }

// kept is how many free places are not for s, since it does not speak what they
// are kept for; nil: not for anybody in particular.
func (c *core) kept(n counts, s *session) (sum int) {
	for i := range c.cfg.Places {
		if s == nil || !s.speaks[i] {
			sum += c.openPlaces(n, i)
		}
	}
	return sum
}

// full reports whether an ordinary s finds no place.
func (c *core) full(n counts, s *session) bool {
	kept := c.kept(n, s)
	return n.ordinary+kept >= c.ordinaryCap() || n.all+kept >= c.cfg.MaxPeers
}

// fills reports whether s would take a place that is kept for it.
func (c *core) fills(n counts, s *session) bool {
	for i := range c.cfg.Places {
		if s.speaks[i] && c.openPlaces(n, i) > 0 {
			return true
		}
	}
	return false
}

// holds reports whether o holds a kept place that would be free without it, and
// that s does not fill; nil: nobody comes in its stead.
func (c *core) holds(n counts, o, s *session) bool {
	for i, p := range c.cfg.Places {
		if o.speaks[i] && n.speak[i] <= p.Count && (s == nil || !s.speaks[i]) {
			return true
		}
	}
	return false
}

// vacates reports whether s in the stead of old would take a place that is kept
// for others, or one over the limits, where only exempt sessions may be.
func (c *core) vacates(old, s *session) bool {
	n := c.counts()
	if c.isExempt(old) {
		n.all--
		return c.full(n, s)
	}
	if !c.holds(n, old, s) {
		return false
	}
	n.all--
	n.ordinary--
	for i, yes := range old.speaks {
		if yes {
			n.speak[i]--
		}
	}
	return c.full(n, s)
}

// keptText names what is kept from s, for people; empty: nothing.
func (c *core) keptText(n counts, s *session) string {
	var out strings.Builder
	for i, p := range c.cfg.Places {
		if free := c.openPlaces(n, i); free > 0 && !s.speaks[i] {
			fmt.Fprintf(&out, ", %d kept for %s", free, p.Capability)
		}
	}
	return out.String()
}

// PlacesView is how places that are kept for a capability are used.
type PlacesView struct {
	wire.Places
	Taken int // ordinary sessions with peers that speak it; may be more than Count
}

func (c *core) placesViews(n counts) (out []PlacesView) {
	for i, p := range c.cfg.Places {
		out = append(out, PlacesView{Places: p, Taken: n.speak[i]})
	}
	return out
}

// validatePlaces reports what is wrong with Places.
func (c Config) validatePlaces(bad func(format string, args ...any)) {
	if len(c.Places) > maxPlaces {
		bad("Places has %d entries, want at most %d", len(c.Places), maxPlaces)
	}
	sum := 0
	for i, p := range c.Places {
		if p.Capability == "" || len(p.Capability) > maxAddrText {
			bad("Places entry %d names no capability of 1 to %d bytes: %.40q", i, maxAddrText, p.Capability)
		}
		if p.Count < 1 || p.Count > maxPeersBound {
			bad("Places keeps %d for %.40q, want 1 to %d", p.Count, p.Capability, maxPeersBound)
			return
		}
		for _, o := range c.Places[:i] {
			if o.Capability == p.Capability {
				bad("Places has %.40q twice", p.Capability)
			}
		}
		sum += p.Count
	}
	if most := max(c.MaxPeers-c.Reserved, 0); sum > most {
		bad("Places keeps %d places, but MaxPeers %d less Reserved %d leaves %d", sum, c.MaxPeers, c.Reserved, most)
	}
}
