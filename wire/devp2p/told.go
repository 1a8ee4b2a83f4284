package devp2p

import (
	"net/netip"
	"slices"
	"time"
)

// warnAgain is the pause between two warnings that others see us elsewhere.
const warnAgain = time.Hour

// Mistold is what the self-check of our address found: others are told one at
// which they do not see us.
type Mistold struct {
	Told, Seen netip.Addr
	// By is how many ranges of addresses have a node that says so. They may be
	// wrong, and may lie: it is for people to look at.
	By int
}

// Mistold compares what others are told, Config.Advertise or what a router says,
// with where the nodes of discovery see us; false where it agrees, where too few
// have said it yet, or where nothing is told but what they say. Never blocks.
func (w *Wire) Mistold() (Mistold, bool) {
	n := w.node.Load()
	if n == nil || n.finder.pair == nil {
		return Mistold{}, false
	}
	var told []netip.Addr
	for _, a := range w.cfg.Advertise {
		told = append(told, a.Addr().Unmap())
	}
	if is := n.outside.Load(); len(told) == 0 && is != nil {
		told = append(told, is.ip)
	}
	return mistold(told, n.finder.pair.SeenAs)
}

func mistold(told []netip.Addr, seenAs func(four bool) (netip.Addr, int)) (Mistold, bool) {
	for _, four := range []bool{true, false} {
		at, by := seenAs(four)
		if !at.IsValid() || slices.Contains(told, at) {
			continue
		}
		for _, a := range slices.Backward(told) {
			if a.Is4() == four {
				return Mistold{Told: a, Seen: at, By: by}, true
			}
		}
	}
	return Mistold{}, false
}

// checkTold says so in the log, once an hour at most.
func (n *node) checkTold() {
	m, ok := n.w.Mistold()
	if !ok {
		return
	}
	f := n.finder
	f.mu.Lock()
	again := f.warned.IsZero() || time.Since(f.warned) >= warnAgain
	if again {
		f.warned = time.Now()
	}
	f.mu.Unlock()
	if again {
		n.w.cfg.Logger.Warn("others see this node at another address than it tells; correct advertise, or leave it out", "addr", m.Told.String(), "seen", m.Seen.String(), "ranges", m.By)
	}
}
