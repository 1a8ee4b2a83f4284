package swarm

import (
	"crypto/sha256"
	"encoding/binary"
	"net/netip"

	"github.com/starlingp2p/starling/internal/subnet"
	"github.com/starlingp2p/starling/peer"
)

// subject is whom a reputation belongs to: an identity where the wire proves
// identities, else an address. Loopback addresses carry their port, since many
// nodes share one machine there, unless loopback counts.
type subject string

func (c *Config) subject(id peer.ID, ep netip.AddrPort) subject {
	if c.ProvenIdentity || !ep.IsValid() {
		if id == "" {
			return ""
		}
		return subject("id:" + string(id))
	}
	ip := ep.Addr().Unmap().WithZone("")
	if ip.IsLoopback() && !c.CountLoopback {
		return subject("ip:" + netip.AddrPortFrom(ip, ep.Port()).String())
	}
	return subject("ip:" + ip.String())
}

// target is the public form of a subject.
func (s subject) target() Target {
	if len(s) > 3 && s[:3] == "ip:" {
		if ip, err := netip.ParseAddr(string(s[3:])); err == nil {
			return ByPrefix(netip.PrefixFrom(ip, ip.BitLen()))
		}
		if ap, err := netip.ParseAddrPort(string(s[3:])); err == nil {
			return Target{ID: peer.ID(ap.String())}
		}
	}
	if len(s) > 3 {
		return ByID(peer.ID(s[3:]))
	}
	return Target{}
}

// endpoint reads IP, port and identity out of an address.
func (c *Config) endpoint(a peer.Addr) (netip.AddrPort, peer.ID, bool) {
	if c.Endpoint != nil {
		ep, id, ok := c.Endpoint(a)
		return clean(ep), id, ok && ep.IsValid()
	}
	ep, err := netip.ParseAddrPort(a.Text)
	return clean(ep), "", err == nil
}

// clean is ep without IPv4 in IPv6 and without a zone, so that one host has one form.
func clean(ep netip.AddrPort) netip.AddrPort {
	if !ep.IsValid() {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(ep.Addr().Unmap().WithZone(""), ep.Port())
}

// counted reports whether per-address and per-prefix rules hold for ip.
func (c *Config) counted(ip netip.Addr) bool {
	return ip.IsValid() && (c.CountLoopback || !ip.IsLoopback())
}

// restricted reports whether net_restrict keeps us off ip.
func (c *Config) restricted(ep netip.AddrPort) bool {
	if len(c.NetRestrict) == 0 || !ep.IsValid() {
		return false
	}
	for _, p := range c.NetRestrict {
		if p.Contains(ep.Addr()) {
			return false
		}
	}
	return true
}

// unwanted reports whether an address that somebody told us is not to be kept:
// what cannot be a peer of the open internet, and ports of other services.
func (c *Config) unwanted(ep netip.AddrPort) bool {
	ip := ep.Addr()
	switch ep.Port() {
	case 0, 22, 25:
		return true
	}
	if !ip.IsValid() || ip.IsUnspecified() || ip.IsMulticast() || ip.IsInterfaceLocalMulticast() {
		return true
	}
	if ip.Is4() && ip.As4()[0] >= 240 || ip.Is4() && ip.As4()[0] == 0 { // reserved, broadcast, "this network"
		return true
	}
	if c.AllowPrivate {
		return false
	}
	return subnet.Local(ip)
}

// keyed hashes parts under a secret, so that nobody outside can aim at a bucket.
func keyed(salt [16]byte, parts ...string) uint64 {
	h := sha256.New()
	h.Write(salt[:])
	var n [4]byte
	for _, p := range parts {
		binary.LittleEndian.PutUint32(n[:], uint32(len(p)))
		h.Write(n[:])
		h.Write([]byte(p))
	}
	var sum [sha256.Size]byte
	return binary.LittleEndian.Uint64(h.Sum(sum[:0]))
}
