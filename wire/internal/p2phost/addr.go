package p2phost

import (
	"fmt"
	"net/netip"
	"strings"

	libpeer "github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// Scheme is the scheme of an address that a libp2p wire dials.
const Scheme = "multiaddr"

const (
	maxAddrText  = 512 // bytes of an address in text
	maxPeerAddrs = 16  // addresses of one peer that are kept or reported
)

// ParseAddr reads a multiaddr that ends in /p2p/ID. It neither blocks nor
// resolves names.
func ParseAddr(s string) (peer.Addr, error) {
	info, err := parseInfo(s)
	if err != nil {
		return peer.Addr{}, err
	}
	return addrOf(info.ID, info.Addrs[0]), nil
}

// IDOf is the identity that an address names. The error is a
// *peer.RefusedError.
func IDOf(a peer.Addr) (libpeer.ID, error) {
	m, err := ma.NewMultiaddr(a.Text)
	if err == nil && a.Scheme == Scheme {
		if _, id := libpeer.SplitAddr(m); id != "" {
			return id, nil
		}
	}
	return "", &peer.RefusedError{Reason: peer.BadAddr, Detail: peer.Clean(a.Scheme + " " + a.Text)}
}

// parseInfo splits an address into the identity and the way to it.
func parseInfo(s string) (*libpeer.AddrInfo, error) {
	if len(s) > maxAddrText {
		return nil, fmt.Errorf("p2phost: address %.40q… has %d bytes, at most %d: write it as /ip4/1.2.3.4/tcp/4001/p2p/ID", s, len(s), maxAddrText)
	}
	m, err := ma.NewMultiaddr(s)
	if err != nil {
		return nil, fmt.Errorf("p2phost: address %q is no multiaddr: write it as /ip4/1.2.3.4/tcp/4001/p2p/ID: %w", peer.Clean(s), err)
	}
	info, err := libpeer.AddrInfoFromP2pAddr(m)
	if err != nil {
		return nil, fmt.Errorf("p2phost: address %q names no peer: append /p2p/ID: %w", peer.Clean(s), err)
	}
	if len(info.Addrs) == 0 {
		return nil, fmt.Errorf("p2phost: address %q names no place: put /ip4/1.2.3.4/tcp/4001 in front", peer.Clean(s))
	}
	if err := checkPlace(info.Addrs[0]); err != nil {
		return nil, fmt.Errorf("p2phost: address %q: %w", peer.Clean(s), err)
	}
	return info, nil
}

// Locate reads IP address, port and identity out of an address.
func Locate(a peer.Addr) (wire.Endpoint, peer.ID, bool) {
	m, err := ma.NewMultiaddr(a.Text)
	if err != nil || a.Scheme != Scheme || len(a.Text) > maxAddrText {
		return wire.Endpoint{}, "", false
	}
	place, id := libpeer.SplitAddr(m)
	ep := endpointOf(place)
	return ep, peer.ID(id.String()), ep.IsValid()
}

// checkPlace refuses what no transport of ours can dial: it must start with an
// IP address or a name, and go on with TCP, or with UDP and QUIC.
func checkPlace(m ma.Multiaddr) error {
	var codes []int
	for _, c := range m {
		codes = append(codes, c.Protocol().Code)
		if strings.ContainsFunc(c.Value(), func(r rune) bool { return r <= ' ' || r > '~' }) {
			return fmt.Errorf("a name in it has characters that no name has, which a terminal would obey")
		}
	}
	if len(codes) == 1 && codes[0] == ma.P_DNSADDR {
		return nil
	}
	if len(codes) >= 2 {
		switch codes[0] {
		case ma.P_IP4, ma.P_IP6, ma.P_DNS, ma.P_DNS4, ma.P_DNS6:
			switch {
			case codes[1] == ma.P_TCP && len(codes) == 2:
				return nil
			case codes[1] == ma.P_UDP && len(codes) == 3 && codes[2] == ma.P_QUIC_V1:
				return nil
			}
		}
	}
	return fmt.Errorf("not of a form that this wire dials: use /ip4, /ip6 or /dns with /tcp/PORT or /udp/PORT/quic-v1")
}

// addrOf joins an identity and a place.
func addrOf(id libpeer.ID, m ma.Multiaddr) peer.Addr {
	if id == "" {
		return peer.Addr{Scheme: Scheme, Text: m.String()}
	}
	return peer.Addr{Scheme: Scheme, Text: m.String() + "/p2p/" + id.String()}
}

// foundPeer turns what discovery turned up into at most maxPeerAddrs addresses
// that pass keep and that a transport of ours could dial.
func foundPeer(info libpeer.AddrInfo, keep func(ma.Multiaddr) bool) (wire.FoundPeer, bool) {
	f := wire.FoundPeer{ID: peer.ID(info.ID.String())}
	for _, m := range info.Addrs {
		if len(f.Addrs) == maxPeerAddrs {
			break
		}
		if m == nil {
			continue
		}
		if place, id := libpeer.SplitAddr(m); id == info.ID && place != nil {
			m = place
		}
		if checkPlace(m) != nil || !keep(m) {
			continue
		}
		if a := addrOf(info.ID, m); len(a.Text) <= maxAddrText {
			f.Addrs = append(f.Addrs, a)
		}
	}
	return f, len(f.Addrs) > 0
}

// endpointOf is the IP address and port in a multiaddr, zero if it has none.
func endpointOf(m ma.Multiaddr) wire.Endpoint {
	if m == nil {
		return wire.Endpoint{}
	}
	ip, err := manet.ToIP(m)
	if err != nil {
		return wire.Endpoint{}
	}
	a, ok := netip.AddrFromSlice(ip)
	if !ok {
		return wire.Endpoint{}
	}
	var port uint16
	for _, c := range m {
		if code := c.Protocol().Code; code == ma.P_TCP || code == ma.P_UDP {
			if raw := c.RawValue(); len(raw) == 2 {
				port = uint16(raw[0])<<8 | uint16(raw[1])
			}
			break
		}
	}
	return netip.AddrPortFrom(a.Unmap(), port)
}

// keepAddr tells which addresses are passed on: public ones and names, and the
// rest only where private addresses are allowed. Unspecified and multicast
// addresses never are.
func keepAddr(allowPrivate bool) func(ma.Multiaddr) bool {
	return func(m ma.Multiaddr) bool {
		e := endpointOf(m)
		if !e.IsValid() {
			return true // a name: judged when it is resolved
		}
		ip := e.Addr()
		if ip.IsUnspecified() || ip.IsMulticast() {
			return false
		}
		switch e.Port() {
		case 0, 22, 25: // no port, and other services that a dial would annoy
			return false
		}
		return allowPrivate || !(ip.IsLoopback() || ip.IsPrivate() || ip.IsLinkLocalUnicast())
	}
}
