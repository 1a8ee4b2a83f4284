package why

import (
	"container/list"
	"net"
	"slices"
	"strings"
)

// Bounds of what is remembered.
const (
	keptPeers = 1024 // peers and addresses
	keptEach  = 16   // decisions about one
	keptAll   = 256  // the last decisions, whoever they are about
)

// dossier is what was decided about one peer, or about an address where no
// identity was known.
type dossier struct {
	name string
	ring []Decision // oldest first
}

// history keeps the last decisions about each of the peers that were heard of
// last.
type history struct {
	by    map[string]*list.Element // of *dossier
	order *list.List               // the last one touched in front
	all   []Decision               // oldest first
}

func newHistory() history {
	return history{by: map[string]*list.Element{}, order: list.New()}
}

// add files a decision under the peer's identity, or its address if nobody
// knows that.
func (h *history) add(d Decision) {
	if n := len(h.all); n > 0 && again(h.all[n-1], d) {
		h.all[n-1] = d
	} else {
		h.all = keep(h.all, d, keptAll)
	}
	name := first(d.Peer, d.Addr)
	if name == "" {
		return
	}
	el := h.by[name]
	if el == nil {
		if h.order.Len() >= keptPeers {
			oldest := h.order.Back()
			delete(h.by, oldest.Value.(*dossier).name)
			h.order.Remove(oldest)
		}
		el = h.order.PushFront(&dossier{name: name})
		h.by[name] = el
	}
	h.order.MoveToFront(el)
	o := el.Value.(*dossier)
	o.ring = keep(o.ring, d, keptEach)
}

// again reports whether a decision is the one before once more: who does not
// say who it is was refused as it was, from the same machine. So it is with
// "starling doctor" and load balancers, which only look whether a port is open.
func again(last, d Decision) bool {
	return d.Kind == kindRefused && d.Peer == "" && last.Peer == "" && machine(last.Addr) == machine(d.Addr) &&
		last.Kind == d.Kind && last.Reason == d.Reason && last.ByRemote == d.ByRemote && last.Detail == d.Detail
}

// machine is an address without its port.
func machine(addr string) string {
	for _, port := range []string{"/tcp/", "/udp/"} {
		if at, _, ok := strings.Cut(addr, port); ok {
			return at
		}
	}
	if host, _, err := net.SplitHostPort(addr); err == nil {
		return host
	}
	return addr
}

// keep appends to a list of at most limit, whose oldest go first.
func keep(ds []Decision, d Decision, limit int) []Decision {
	if len(ds) >= limit {
		copy(ds, ds[1:])
		ds[len(ds)-1] = d
		return ds
	}
	return append(ds, d)
}

// of gives the decisions about a peer, newest first: those filed under its
// identity, and those about an address that names it or is its.
func (h *history) of(who string, addrs map[string]bool) (out []Decision) {
	for el := h.order.Front(); el != nil; el = el.Next() {
		for _, d := range el.Value.(*dossier).ring {
			if matches(who, d.Peer) || names(who, d.Addr) || addrs[d.Addr] {
				out = append(out, d)
			}
		}
	}
	slices.SortStableFunc(out, func(a, b Decision) int { return b.Time.Compare(a.Time) })
	return out[:min(len(out), keptAll)]
}

// shortID is how much of the end of an identity is enough to mean it.
const shortID = 6

// matches reports whether who means the identity id: the whole of it, or its end.
func matches(who, id string) bool {
	return id != "" && (who == id || len(who) >= shortID && strings.HasSuffix(id, who))
}

// names reports whether an address is who, or names it.
func names(who, addr string) bool {
	return addr != "" && (addr == who || len(who) >= shortID && strings.HasSuffix(addr, who))
}
