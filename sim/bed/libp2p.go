package bed

import (
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/connmgr"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	madns "github.com/multiformats/go-multiaddr-dns"
)

// defaultPort is where hosts of Options listen.
const defaultPort = 4001

// Libp2p says what a go-libp2p host in a bubble is to be like. The zero value
// is the common one.
type Libp2p struct {
	Port      uint16                  // 0: 4001
	NoListen  bool                    // dial only
	Upgraded  bool                    // real Noise and yamux instead of the light transport
	Gater     connmgr.ConnectionGater // nil: none
	Resources network.ResourceManager // nil: no limits
	Manager   connmgr.ConnManager     // nil: none
}

// Options are all that libp2p.New needs to make a host that runs on h in a
// bubble of testing/synctest. Others may be added behind them.
func Options(h *Host, key crypto.PrivKey, want Libp2p) []libp2p.Option {
	if want.Resources == nil {
		want.Resources = &network.NullResourceManager{}
	}
	if want.Manager == nil {
		want.Manager = connmgr.NullConnMgr{}
	}
	opts := []libp2p.Option{
		Bubble(h, want.Upgraded),
		libp2p.Identity(key),
		libp2p.ResourceManager(want.Resources),
		libp2p.ConnectionManager(want.Manager),
	}
	if want.Gater != nil {
		opts = append(opts, libp2p.ConnectionGater(want.Gater))
	}
	if want.NoListen {
		opts = append(opts, libp2p.NoListenAddrs)
	} else {
		opts = append(opts, libp2p.ListenAddrs(Multiaddr(h.addr, want.Port)))
	}
	return opts
}

// Bubble is the part of Options that a host with options of its own needs to
// run in a bubble: its transport is the only one, and nothing reaches for the
// machine's network, its names, its clock or its metrics. The doc of this
// package says what each part is for.
func Bubble(h *Host, upgraded bool) libp2p.Option {
	tpt := libp2p.Transport(h.LightTransport)
	if upgraded {
		tpt = libp2p.Transport(h.UpgradedTransport)
	}
	return libp2p.ChainOptions(
		tpt,
		libp2p.MultiaddrResolver(resolver{h.net}),
		libp2p.DisableIdentifyAddressDiscovery(),
		libp2p.DisableRelay(),
		libp2p.DisableMetrics(),
		libp2p.UDPBlackHoleSuccessCounter(nil),
		libp2p.IPv6BlackHoleSuccessCounter(nil),
	)
}

// Key is the ed25519 identity of that number: the same in every run.
func Key(n uint64) crypto.PrivKey {
	var seed [ed25519.SeedSize]byte
	copy(seed[:], "bed")
	binary.BigEndian.PutUint64(seed[8:], n)
	std := ed25519.NewKeyFromSeed(seed[:])
	key, _, err := crypto.KeyPairFromStdKey(&std)
	if err != nil { // an ed25519 key is one that it knows
		panic(err)
	}
	return key
}

// Multiaddr is /ip4/A/tcp/P of a host; port 0: 4001, where hosts of Options
// listen.
func Multiaddr(a netip.Addr, port uint16) ma.Multiaddr {
	if port == 0 {
		port = defaultPort
	}
	return multiaddr(netip.AddrPortFrom(a, port))
}

// AddrInfo is what to hand to Connect to reach the host at a with that key.
func AddrInfo(a netip.Addr, key crypto.PrivKey) peer.AddrInfo {
	id, err := peer.IDFromPrivateKey(key)
	if err != nil {
		panic(fmt.Sprintf("bed: key without an id: %v", err))
	}
	return peer.AddrInfo{ID: id, Addrs: []ma.Multiaddr{Multiaddr(a, 0)}}
}

// resolver answers from the net's names, so that no question leaves the
// process.
type resolver struct{ net *Net }

// ResolveDNSAddr finds nothing: the bed knows no TXT records.
func (r resolver) ResolveDNSAddr(context.Context, peer.ID, ma.Multiaddr, int, int) ([]ma.Multiaddr, error) {
	return nil, nil
}

// ResolveDNSComponent resolves a /dns, /dns4 or /dns6 at the front.
func (r resolver) ResolveDNSComponent(_ context.Context, a ma.Multiaddr, limit int) ([]ma.Multiaddr, error) {
	if !madns.Matches(a) || len(a) == 0 {
		return []ma.Multiaddr{a}, nil
	}
	r.net.lock()
	addrs := r.net.names[a[0].Value()]
	r.net.unlock()
	var all []ma.Multiaddr
	for _, ip := range addrs {
		if len(all) == limit {
			break
		}
		if v4 := ip.Unmap().Is4(); v4 && a[0].Code() == ma.P_DNS6 || !v4 && a[0].Code() == ma.P_DNS4 {
			continue
		}
		resolved := multiaddr(netip.AddrPortFrom(ip.Unmap(), 1))[:1]
		all = append(all, append(resolved, a[1:]...))
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("bed: no such host: %q", a[0].Value())
	}
	return all, nil
}
