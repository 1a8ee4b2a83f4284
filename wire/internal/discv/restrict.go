package discv

import (
	"fmt"
	"net/netip"

	"github.com/ethereum/go-ethereum/p2p/discover"
	"github.com/ethereum/go-ethereum/p2p/netutil"
)

// restriction reads Config.NetRestrict; nil: there is none.
func (c Config) restriction() (*netutil.Netlist, error) {
	if c.NetRestrict == "" {
		return nil, nil
	}
	list, err := netutil.ParseNetlist(c.NetRestrict)
	if err != nil {
		return nil, fmt.Errorf("discv: net restriction %q: %w", c.NetRestrict, err)
	}
	return list, nil
}

// restricted is a socket that hears and says nothing outside some networks. The
// library looks at the nodes that others tell it of only, not at who asks, nor
// at what its database has from before.
type restricted struct {
	discover.UDPConn
	only *netutil.Netlist
}

// restrict wraps a socket; without a restriction it is left as it is.
func restrict(c discover.UDPConn, only *netutil.Netlist) discover.UDPConn {
	if only == nil {
		return c
	}
	return &restricted{c, only}
}

// ReadFromUDPAddrPort implements discover.UDPConn.
func (r *restricted) ReadFromUDPAddrPort(b []byte) (int, netip.AddrPort, error) {
	for {
		n, from, err := r.UDPConn.ReadFromUDPAddrPort(b)
		if err != nil || r.only.ContainsAddr(from.Addr().Unmap()) {
			return n, from, err
		}
	}
}

// WriteToUDPAddrPort implements discover.UDPConn. What is not to be said counts
// as lost on the way.
func (r *restricted) WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error) {
	if !r.only.ContainsAddr(to.Addr().Unmap()) {
		return len(b), nil
	}
	return r.UDPConn.WriteToUDPAddrPort(b, to)
}
