package daemon

import (
	"slices"
	"strings"

	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/devp2p/eth"
)

// places are the sessions that are kept for what peers speak, in a fixed order.
func (e *Ethereum) places() (out []wire.Places) {
	for capability, count := range e.Places {
		out = append(out, wire.Places{Capability: capability, Count: int(count)})
	}
	slices.SortFunc(out, func(a, b wire.Places) int { return strings.Compare(a.Capability, b.Capability) })
	return out
}

// checkPlaces checks that places are kept for what is spoken, and that some are
// left.
func (e *Ethereum) checkPlaces(n *Network, p *problems) {
	spoken := []string{eth.Name}
	for _, v := range eth.Versions() {
		if len(e.Versions) == 0 || slices.Contains(e.Versions, uint64(v)) {
			spoken = append(spoken, v.String())
		}
	}
	most := uint64(n.MaxPeers)
	if most == 0 {
		most = defaultMaxPeers
	}
	sum := uint64(0)
	for _, place := range e.places() {
		if !slices.Contains(spoken, place.Capability) {
			p.bad("network.ethereum.places keeps some for %.40q; want a protocol that is spoken here: %s", place.Capability, strings.Join(spoken, ", "))
		}
		count := e.Places[place.Capability]
		if count < 1 || count > most {
			p.bad("network.ethereum.places keeps %d for %.40q, want 1 to max_peers (%d)", count, place.Capability, most)
			return
		}
		sum += count
	}
	if sum > most {
		p.bad("network.ethereum.places keeps %d in all, more than max_peers (%d)", sum, most)
	}
}
