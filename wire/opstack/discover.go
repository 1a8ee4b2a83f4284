package opstack

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"time"

	gethcrypto "github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/p2p/enode"
	"github.com/ethereum/go-ethereum/p2p/enr"
	"github.com/libp2p/go-libp2p/core/crypto"
	libpeer "github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/starlingp2p/starling/internal/pause"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/internal/discv"
	"github.com/starlingp2p/starling/wire/internal/p2phost"
	"github.com/starlingp2p/starling/wire/opstack/codec"
)

// firstDiscover is when the first round of discovery begins, after listening;
// the node paces the others.
const firstDiscover = 3 * time.Second

// startDiscovery starts discv5 under the host's own key. Our record holds the
// opstack entry, by which nodes of a chain know each other.
func (n *node) startDiscovery(key crypto.PrivKey) (*discv.V5, error) {
	if key.Type() != crypto.Secp256k1 {
		return nil, fmt.Errorf("discovery needs a secp256k1 identity, not one of kind %v", key.Type())
	}
	raw, err := key.Raw()
	if err != nil {
		return nil, err
	}
	own, err := gethcrypto.ToECDSA(raw)
	if err != nil {
		return nil, fmt.Errorf("identity: %w", err)
	}
	cfg := n.w.cfg
	at, err := netip.ParseAddrPort(cfg.DiscoverOn)
	if err != nil {
		return nil, fmt.Errorf("discovery address: %w", err)
	}
	_, advertise, err := cfg.addrs()
	if err != nil {
		return nil, err
	}
	c := discv.Config{
		Key: own, Listen: at, AdvertiseUDP: cfg.DiscoverUDP, Entries: []enr.Entry{codec.ENREntry{ChainID: n.w.chainID}},
		Bootnodes: cfg.Bootnodes, NetRestrict: cfg.NetRestrict, DB: cfg.DiscoveryDB, Logger: cfg.Logger,
		Filter: func(r *enode.Node) bool { return codec.OnChain(r.Record(), n.w.chainID) },
	}
	for _, m := range append(advertise, n.p2p.P2P().Network().ListenAddresses()...) {
		ip, err := manet.ToIP(m)
		port, perr := m.ValueForProtocol(ma.P_TCP)
		if err != nil || perr != nil {
			continue
		}
		if a, ok := netip.AddrFromSlice(ip); ok && !a.IsUnspecified() && !c.Advertise.IsValid() {
			c.Advertise = a
		}
		if tcp, err := strconv.ParseUint(port, 10, 16); err == nil && c.TCP == 0 {
			c.TCP = uint16(tcp)
		}
	}
	return discv.Listen(c)
}

// Discover implements wire.Discoverer: one round of discv5.
func (w *Wire) Discover(ctx context.Context) error {
	n := w.node.Load()
	if n == nil {
		return wire.ErrClosed
	}
	if n.discv != nil {
		n.discover(ctx)
	}
	return nil
}

// bootstrap does the first round.
func (n *node) bootstrap() {
	if pause.For(n.tasks.Ctx, firstDiscover) == nil {
		n.discover(n.tasks.Ctx)
	}
}

func (n *node) discover(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(n.tasks.Ctx, cancel)
	defer stop()
	var found []wire.FoundPeer
	for _, r := range n.discv.Discover(ctx) {
		if p, err := foundPeer(r); err == nil {
			found = append(found, p)
		}
	}
	if len(found) > 0 {
		n.host.Report(wire.Found{Source: wire.SourceDiscv, Peers: found})
	}
}

// foundPeer is how a node of a record can be dialled.
func foundPeer(r *enode.Node) (wire.FoundPeer, error) {
	pub := r.Pubkey()
	if pub == nil {
		return wire.FoundPeer{}, errors.New("opstack: record without a secp256k1 key")
	}
	key, err := crypto.UnmarshalSecp256k1PublicKey(gethcrypto.CompressPubkey(pub))
	if err != nil {
		return wire.FoundPeer{}, fmt.Errorf("opstack: record: %w", err)
	}
	id, err := libpeer.IDFromPublicKey(key)
	if err != nil {
		return wire.FoundPeer{}, fmt.Errorf("opstack: record: %w", err)
	}
	at, ok := r.TCPEndpoint()
	if !ok {
		return wire.FoundPeer{}, errors.New("opstack: record without a TCP endpoint")
	}
	ip := "ip4"
	if at.Addr().Is6() {
		ip = "ip6"
	}
	addr, err := p2phost.ParseAddr(fmt.Sprintf("/%s/%s/tcp/%d/p2p/%s", ip, at.Addr(), at.Port(), id))
	if err != nil {
		return wire.FoundPeer{}, err
	}
	return wire.FoundPeer{ID: peer.ID(id.String()), Addrs: []peer.Addr{addr}}, nil
}

// CheckNodes reports all texts that name no node that discovery could ask.
func CheckNodes(texts []string) error {
	_, err := discv.ParseNodes(texts)
	return err
}

// Record is our node record in text; empty where peers are not looked for.
func (w *Wire) Record() string {
	n := w.node.Load()
	if n == nil || n.discv == nil {
		return ""
	}
	return n.discv.Self().String()
}

// Table lists the node records that discovery knows, in text; nil where peers
// are not looked for.
func (w *Wire) Table() []string {
	n := w.node.Load()
	if n == nil || n.discv == nil {
		return nil
	}
	out := []string{}
	for _, r := range n.discv.Table() {
		out = append(out, r.String())
	}
	return out
}
