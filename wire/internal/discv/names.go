package discv

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"github.com/ethereum/go-ethereum/p2p/enode"
	"github.com/ethereum/go-ethereum/p2p/enr"
	"golang.org/x/sync/errgroup"
)

const (
	// lookupTime bounds all questions to DNS before discovery starts.
	lookupTime = 5 * time.Second
	// lookupsAtOnce bounds how many of them are out at a time.
	lookupsAtOnce = 16
)

// located gives boot nodes that have an address. Those that are named by host
// get theirs from DNS, which blocks for lookupTime at most; one that DNS does not
// know is left out with a warning, since the others do as well: the library
// would not start.
func (c Config) located(nodes []*enode.Node) []*enode.Node {
	lookup, log := c.lookup, c.Logger
	if lookup == nil {
		lookup = net.DefaultResolver.LookupNetIP
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	ctx, cancel := context.WithTimeout(context.Background(), lookupTime)
	defer cancel()
	found := make([]*enode.Node, len(nodes))
	var group errgroup.Group
	group.SetLimit(lookupsAtOnce)
	for i, n := range nodes {
		if found[i] = n; n.Hostname() == "" || n.IPAddr().IsValid() {
			continue
		}
		group.Go(func() error {
			ips, err := lookup(ctx, "ip", n.Hostname())
			if found[i] = at(n, ips); found[i] == nil {
				log.Warn("a boot node is left out: its name has no address", "addr", n.Hostname(), "err", err)
			}
			return nil
		})
	}
	_ = group.Wait() // which no lookup fails
	var out []*enode.Node
	for _, n := range found {
		if n != nil {
			out = append(out, n)
		}
	}
	return out
}

// at puts the first address of each kind into a node; nil if there is none.
func at(n *enode.Node, ips []netip.Addr) *enode.Node {
	r := n.Record()
	r.SetSeq(n.Seq())
	var v4, v6 bool
	for _, ip := range ips {
		switch ip = ip.Unmap(); {
		case ip.Is4() && !v4:
			r.Set(enr.IPv4Addr(ip))
			v4 = true
		case ip.Is6() && !v6:
			r.Set(enr.IPv6Addr(ip))
			v6 = true
		}
	}
	if !v4 && !v6 {
		return nil
	}
	return enode.SignNull(r, n.ID()).WithHostname(n.Hostname())
}
