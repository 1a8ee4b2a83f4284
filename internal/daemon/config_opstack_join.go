package daemon

import (
	"net"
	"net/netip"
	"strconv"

	ma "github.com/multiformats/go-multiaddr"
)

// op-node's defaults, where a flag of several that go together is left out.
const (
	opNodeIP  = "0.0.0.0"
	opNodeTCP = "9222"
	opNodeHi  = 30
)

// joinFlags makes what several flags say together.
func (c *Config) joinFlags(g flagValues, set setFlag, bad badFlag) {
	ip, port := g.or("p2p.listen.ip", c.listenIP(opNodeIP)), g.or("p2p.listen.tcp", opNodeTCP)
	if flag := g.first("p2p.listen.ip", "p2p.listen.tcp"); flag != "" {
		addr, err := netip.ParseAddr(ip)
		if err != nil {
			bad(flag, "p2p.listen.ip is %.80q, want an IP address", ip)
		} else {
			set(flag, "network.listen", multiaddr(addr, port))
		}
	}
	if udp := g["p2p.listen.udp"]; udp != "" {
		set("p2p.listen.udp", "network.opstack.discovery", net.JoinHostPort(ip, udp))
	}
	if flag := g.first("p2p.advertise.ip", "p2p.advertise.tcp"); flag != "" {
		host, listens := g["p2p.advertise.ip"], port
		if l := c.Networks[0].Listen; len(l) > 0 {
			if m, err := ma.NewMultiaddr(l[0]); err == nil {
				listens, _ = m.ValueForProtocol(ma.P_TCP)
			}
		}
		at := g.or("p2p.advertise.tcp", listens)
		switch addr, err := netip.ParseAddr(host); {
		case host == "":
			bad(flag, "p2p.advertise.tcp needs p2p.advertise.ip here: an address is told whole, or not at all")
		case err == nil:
			set(flag, "network.advertise", multiaddr(addr, at))
		default: // op-node takes the first IPv4 address of a name
			set(flag, "network.advertise", "/dns4/"+host+"/tcp/"+at)
		}
	}
	if lo := g["p2p.peers.lo"]; lo != "" {
		hi, err := strconv.Atoi(g.or("p2p.peers.hi", strconv.Itoa(max(opNodeHi, c.Networks[0].MaxPeers))))
		least, err2 := strconv.Atoi(lo)
		switch {
		case err != nil || err2 != nil || least < 1 || hi < least:
			bad("p2p.peers.lo", "p2p.peers.lo is %.20q and p2p.peers.hi %.20q, want 1 or more, and no more than the other", lo, g.or("p2p.peers.hi", strconv.Itoa(opNodeHi)))
		case g["p2p.peers.hi"] == "" && c.Networks[0].MaxPeers == 0:
			set("p2p.peers.lo", "network.max_peers", strconv.Itoa(hi))
			fallthrough
		default:
			// A third of the slots is kept for peers that the node dials, or more.
			set("p2p.peers.lo", "network.max_inbound", strconv.Itoa(max(1, min(hi-least, hi-(hi+2)/3))))
		}
	}
	switch text := g["p2p.security"]; text {
	case "", "noise":
	case "tls", "noise,tls", "tls,noise", "noise, tls":
		set("p2p.security", "network.opstack.tls", "true")
	case "none":
		set("p2p.security", "network.opstack.plaintext", "true")
	default:
		bad("p2p.security", "p2p.security is %.80q, want noise, tls, noise,tls or none", text)
	}
}

// listenIP is where the node listens as far as that is said, as whoever gives a
// port alone means it.
func (c *Config) listenIP(byDefault string) string {
	for _, text := range c.Networks[0].Listen {
		if m, err := ma.NewMultiaddr(text); err == nil {
			for _, code := range []int{ma.P_IP4, ma.P_IP6} {
				if ip, err := m.ValueForProtocol(code); err == nil {
					return ip
				}
			}
		}
	}
	return byDefault
}

// multiaddr is where a TCP port of an address is.
func multiaddr(ip netip.Addr, port string) string {
	if ip = ip.Unmap(); ip.Is4() {
		return "/ip4/" + ip.String() + "/tcp/" + port
	}
	return "/ip6/" + ip.String() + "/tcp/" + port
}
