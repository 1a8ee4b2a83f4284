package ontology

import (
	"context"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/starlingp2p/starling/peer"
)

const (
	resolveEvery = time.Minute      // names of reserved peers are looked up anew
	resolveTime  = 10 * time.Second // for each of them
)

// reserved are the only addresses that a restricted node has to do with. Names
// are looked up beside what is going on, so that nobody who calls waits for DNS;
// until that has worked a name stands for nobody.
type reserved struct {
	resolve func(context.Context, string) ([]netip.Addr, error)
	names   []string
	known   map[string][]netip.Addr // of each name and address; of run alone
	all     atomic.Pointer[map[netip.Addr]struct{}]
}

// newReserved takes IP addresses and names.
func newReserved(entries []string, resolve func(context.Context, string) ([]netip.Addr, error)) *reserved {
	r := &reserved{resolve: resolve, known: map[string][]netip.Addr{}}
	for _, e := range entries {
		if a, err := netip.ParseAddr(e); err == nil {
			r.known[e] = []netip.Addr{a.Unmap().WithZone("")}
		} else {
			r.names = append(r.names, e)
		}
	}
	r.publish()
	return r
}

func (r *reserved) publish() {
	all := map[netip.Addr]struct{}{}
	for _, addrs := range r.known { // a set: the order has no effect
		for _, a := range addrs {
			all[a.Unmap().WithZone("")] = struct{}{}
		}
	}
	r.all.Store(&all)
}

// has reports whether an address is one of a reserved peer. It never blocks.
func (r *reserved) has(a netip.Addr) bool {
	_, ok := (*r.all.Load())[a]
	return ok
}

// run looks names up until ctx ends. A name that is not found keeps the
// addresses that it had.
func (r *reserved) run(ctx context.Context, failed func(name string, err error)) {
	if len(r.names) == 0 {
		return
	}
	tick := time.NewTicker(resolveEvery)
	defer tick.Stop()
	for {
		for _, name := range r.names {
			within, cancel := context.WithTimeout(ctx, resolveTime)
			addrs, err := r.resolve(within, name)
			cancel()
			switch {
			case ctx.Err() != nil:
				return
			case err != nil:
				failed(name, err)
			default:
				r.known[name] = addrs
				r.publish()
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// lookup asks the machine's DNS.
func lookup(ctx context.Context, name string) ([]netip.Addr, error) {
	return net.DefaultResolver.LookupNetIP(ctx, "ip", name)
}

// bars gives the reason against an address: a restricted node has to do with
// reserved peers only.
func (n *node) bars(a netip.Addr) error {
	if n.reserved == nil || n.reserved.has(a) {
		return nil
	}
	return &peer.RefusedError{Reason: peer.NetRestricted, Detail: "not a reserved peer (reserved_only)"}
}
