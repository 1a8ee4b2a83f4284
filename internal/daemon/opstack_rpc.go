package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/starlingp2p/starling"
	"github.com/starlingp2p/starling/internal/rpc"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire/opstack"
	"github.com/starlingp2p/starling/wire/opstack/codec"
)

// Errors in op-node's words (op-node/p2p/rpc_server.go).
var (
	errNoDiscovery = errors.New("discovery disabled")
	errOPRequest   = errors.New("invalid request")
)

const (
	opConnectTime  = 30 * time.Second // op-node's too
	maxOPProtected = 1024             // peers
	// Reasons of bans that this namespace makes: an address and the subnet of
	// that one address are in different lists.
	opBlocked       = "opp2p"
	opBlockedSubnet = "opp2p-subnet"
)

// opp2p answers op-node's namespace. A peer, an address or a subnet is blocked
// by a ban that an operator makes; bans by score are in no list, as in op-node.
// Two things are not as there: blocking ends the session, and a configured or
// protected peer cannot be blocked.
type opp2p struct {
	node *Node
	wire *opstack.Wire

	mu        sync.Mutex // a leaf
	protected map[peer.ID]bool
}

func (o *opp2p) methods() []starling.Method {
	id := param("peer", "its identity", "")
	ip := param("address", "an IP address", "")
	subnet := param("subnet", "its IP address, and its mask in base64", OPSubnet{})
	client := o.node.node.Client
	return []starling.Method{
		read("opp2p_self", "What others see of the node, in op-node's shape.", o.self, OPPeer{}),
		read("opp2p_peers", "The peers, and who is blocked, in op-node's shape.", o.peers, OPPeers{},
			option("connected", "leave out those that have no session", false)),
		read("opp2p_peerStats", "How many peers there are of each sort.", o.stats, OPPeerStats{}),
		read("opp2p_discoveryTable", "The node records that discovery knows, in text; fails where discovery is off.", o.table, []string{}),
		write("opp2p_blockPeer", "Keeps a peer away until it is unblocked.", o.byPeer(func(ctx context.Context, id peer.ID) error {
			return client().Ban(ctx, id, maxBanSeconds*time.Second, opBlocked)
		}), nil, id),
		write("opp2p_unblockPeer", "Ends that.", o.byPeer(o.unblock), nil, id),
		read("opp2p_listBlockedPeers", "The peers that are blocked.", asks(func() []string { return o.blocked().peers }), []string{}),
		write("opp2p_blockAddr", "Keeps an IP address away until it is unblocked.", o.byAddr(func(ctx context.Context, p netip.Prefix) error {
			return client().BanPrefix(ctx, p, maxBanSeconds*time.Second, opBlocked, true)
		}), nil, ip),
		write("opp2p_unblockAddr", "Ends that.", o.byAddr(o.unblockPrefix), nil, ip),
		read("opp2p_listBlockedAddrs", "The IP addresses that are blocked.", asks(func() []netip.Addr { return o.blocked().addrs }), []netip.Addr{}),
		write("opp2p_blockSubnet", "Keeps a subnet away until it is unblocked.", o.bySubnet(func(ctx context.Context, p netip.Prefix) error {
			return client().BanPrefix(ctx, p, maxBanSeconds*time.Second, opBlockedSubnet, true)
		}), nil, subnet),
		write("opp2p_unblockSubnet", "Ends that.", o.bySubnet(o.unblockPrefix), nil, subnet),
		read("opp2p_listBlockedSubnets", "The subnets that are blocked.", asks(func() []OPSubnet { return o.blocked().subnets }), []OPSubnet{}),
		write("opp2p_protectPeer", "Keeps a peer from being trimmed or banned, until the node stops.", o.byPeer(o.protect(true)), nil, id),
		write("opp2p_unprotectPeer", "Ends that.", o.byPeer(o.protect(false)), nil, id),
		write("opp2p_connectPeer", "Dials a multiaddr now, and waits until a session is open or the attempt has failed, 30 s at most.", o.connect, nil,
			param("address", "a multiaddr that ends in /p2p/ID", "")),
		write("opp2p_disconnectPeer", "Ends the session with a peer, and unblocks it.", o.byPeer(o.disconnect), nil, id),
	}
}

// byPeer makes a call of a change about a peer.
func (o *opp2p) byPeer(do func(context.Context, peer.ID) error) call {
	return func(ctx context.Context, params json.RawMessage) (any, error) {
		var text string
		if err := rpc.Params(params, &text); err != nil {
			return nil, err
		}
		if text == "" {
			return nil, errOPRequest
		}
		id, err := opstack.ParseID(text)
		if err != nil {
			return nil, rpc.BadParams("invalid argument 0: %v", err)
		}
		return nil, o.shown(do(ctx, id))
	}
}

// byAddr makes a call of a change about an IP address.
func (o *opp2p) byAddr(do func(context.Context, netip.Prefix) error) call {
	return func(ctx context.Context, params json.RawMessage) (any, error) {
		var ip netip.Addr
		if err := rpc.Params(params, &ip); err != nil {
			return nil, err
		}
		if ip = ip.WithZone("").Unmap(); !ip.IsValid() {
			return nil, errOPRequest
		}
		return nil, o.shown(do(ctx, netip.PrefixFrom(ip, ip.BitLen())))
	}
}

// bySubnet makes a call of a change about a subnet.
func (o *opp2p) bySubnet(do func(context.Context, netip.Prefix) error) call {
	return func(ctx context.Context, params json.RawMessage) (any, error) {
		var s OPSubnet
		if err := rpc.Params(params, &s); err != nil {
			return nil, err
		}
		p, ok := s.prefix()
		if !ok {
			return nil, errOPRequest
		}
		return nil, o.shown(do(ctx, p))
	}
}

// shown waits, after a change, until what the node shows has it: whoever blocks
// a peer looks for it in the list next. The owner of the peers shows what it did
// before it answers another question.
func (o *opp2p) shown(err error) error {
	if err == nil {
		o.node.node.Client().KnownPeers(1)
	}
	return err
}

// blockLists are the bans by hand, none of them nil.
type blockLists struct {
	peers   []string
	addrs   []netip.Addr
	subnets []OPSubnet
}

func (o *opp2p) blocked() blockLists {
	l := blockLists{[]string{}, []netip.Addr{}, []OPSubnet{}}
	for _, b := range o.node.node.Client().Bans() {
		if b.ByScore {
			continue
		}
		p, err := netip.ParsePrefix(b.Who)
		switch {
		case err != nil:
			l.peers = append(l.peers, b.Who)
		case p.IsSingleIP() && b.Reason != opBlockedSubnet:
			l.addrs = append(l.addrs, p.Addr())
		default:
			l.subnets = append(l.subnets, subnetOf(p))
		}
	}
	return l
}

// unblock lifts a ban by hand. As in op-node, it is no error if there is none.
func (o *opp2p) unblock(ctx context.Context, id peer.ID) error {
	if !slices.Contains(o.blocked().peers, string(id)) {
		return nil
	}
	return o.node.node.Client().Unban(ctx, id)
}

func (o *opp2p) unblockPrefix(ctx context.Context, p netip.Prefix) error {
	l := o.blocked()
	same := func(s OPSubnet) bool {
		have, ok := s.prefix()
		return ok && have == p
	}
	if !slices.ContainsFunc(l.subnets, same) && !(p.IsSingleIP() && slices.Contains(l.addrs, p.Addr())) {
		return nil
	}
	return o.node.node.Client().UnbanPrefix(ctx, p)
}

func (o *opp2p) protect(on bool) func(context.Context, peer.ID) error {
	return func(_ context.Context, id peer.ID) error {
		o.mu.Lock()
		defer o.mu.Unlock()
		switch {
		case !on:
			delete(o.protected, id)
		case len(o.protected) >= maxOPProtected && !o.protected[id]:
			return fmt.Errorf("opp2p: %d peers are protected, which is the most; unprotect one", maxOPProtected)
		default:
			if o.protected == nil {
				o.protected = map[peer.ID]bool{}
			}
			o.protected[id] = true
		}
		o.node.node.Client().Protect(id, on) // never blocks
		return nil
	}
}

func (o *opp2p) isProtected(id peer.ID) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.protected[id]
}

func (o *opp2p) connect(ctx context.Context, params json.RawMessage) (any, error) {
	var address string
	if err := rpc.Params(params, &address); err != nil {
		return nil, err
	}
	if _, err := o.wire.ParseAddr(address); err != nil {
		return nil, fmt.Errorf("bad peer address: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, opConnectTime)
	defer cancel()
	return nil, o.node.node.Client().Connect(ctx, address)
}

// disconnect is no error where there is no session, as in op-node.
func (o *opp2p) disconnect(ctx context.Context, id peer.ID) error {
	if err := o.node.node.Client().Disconnect(ctx, id); err != nil && !errors.Is(err, starling.ErrNoPeer) {
		return err
	}
	return o.unblock(ctx, id)
}

func (o *opp2p) self(context.Context, json.RawMessage) (any, error) {
	st := o.node.node.Client().Status()
	d, ok := o.wire.Details([]peer.ID{st.Self})[st.Self]
	if !ok {
		return nil, errors.New("opp2p: the node is not listening yet; try again")
	}
	p := OPPeer{PeerID: string(st.Self), Protocols: o.wire.Protocols(), Scores: scoresOf(d)}
	p.NodeID, p.ENR, p.ChainID, p.GossipBlocks = d.NodeID, d.Record, d.ChainID, true
	for _, a := range st.Addrs {
		p.Addresses = append(p.Addresses, a.String())
	}
	return p, nil
}

// knownPeers are the peers of the address book, each once, with all addresses.
func (o *opp2p) knownPeers(ctx context.Context) (map[peer.ID][]string, error) {
	// The owner of the book is asked once in a while, however often we are.
	state, err := o.node.why.look(ctx)
	if err != nil {
		return nil, err
	}
	out := map[peer.ID][]string{}
	for _, k := range state.Known {
		id := k.ID
		if id == "" {
			_, id, _ = o.wire.Locate(k.Addr)
		}
		if id != "" && !slices.Contains(out[id], k.Addr.String()) {
			out[id] = append(out[id], k.Addr.String())
		}
	}
	return out, nil
}

func (o *opp2p) peers(ctx context.Context, params json.RawMessage) (any, error) {
	var connected bool
	if err := rpc.Params(params, &connected); err != nil {
		return nil, err
	}
	found := map[peer.ID]OPPeer{}
	for _, p := range o.node.node.Client().Peers() {
		e := OPPeer{
			PeerID: string(p.Info.ID), UserAgent: p.Info.Agent, Protocols: p.Info.Protocols, Connectedness: 1, Direction: 1,
			Protected: p.Protected || p.Static, Latency: p.Latency,
		}
		if p.Info.Direction == peer.Outbound {
			e.Direction = 2
		}
		for _, a := range p.Info.Listen {
			e.Addresses = append(e.Addresses, a.String())
		}
		if len(e.Addresses) == 0 {
			e.Addresses = []string{p.Info.Addr.String()}
		}
		found[p.Info.ID] = e
	}
	if !connected {
		known, err := o.knownPeers(ctx)
		if err != nil {
			return nil, err
		}
		for id, addrs := range known {
			if _, ok := found[id]; !ok {
				found[id] = OPPeer{PeerID: string(id), Addresses: addrs}
			}
		}
	}
	ids := make([]peer.ID, 0, len(found))
	for id := range found {
		ids = append(ids, id)
	}
	l := o.blocked()
	out := OPPeers{Peers: make(map[string]OPPeer, len(found)), BannedPeers: l.peers, BannedIPs: l.addrs, BannedSubnets: l.subnets}
	for id, d := range o.wire.Details(ids) {
		e := found[id]
		e.NodeID, e.ENR, e.ChainID, e.ProtocolVersion, e.GossipBlocks, e.Scores = d.NodeID, d.Record, d.ChainID, d.ProtocolVersion, d.Gossips, scoresOf(d)
		e.Protected = e.Protected || o.isProtected(id)
		out.Peers[string(id)] = e
		out.TotalConnected += e.Connectedness
	}
	return out, nil
}

func scoresOf(d opstack.Detail) OPScores {
	g := d.Gossip
	return OPScores{
		Gossip: OPGossip{
			Total: g.Total, SharedAddress: g.SharedAddress, BehavioralPenalty: g.Behaviour,
			Blocks: OPTopic{g.TimeInMesh.Seconds(), g.FirstDeliveries, g.MeshDeliveries, g.InvalidDeliveries},
		},
		ReqResp: OPReqResp{d.App.ValidResponses, d.App.ErrorResponses, d.App.RejectedPayloads},
	}
}

func (o *opp2p) stats(ctx context.Context, _ json.RawMessage) (any, error) {
	known, err := o.knownPeers(ctx)
	if err != nil {
		return nil, err
	}
	open := o.node.node.Client().Peers()
	for _, p := range open {
		known[p.Info.ID] = nil
	}
	return OPPeerStats{
		Connected: len(open), Table: len(o.wire.Table()), Banned: len(o.blocked().peers), Known: len(known),
		BlocksTopic: o.wire.TopicPeers(codec.V1), BlocksTopicV2: o.wire.TopicPeers(codec.V2),
		BlocksTopicV3: o.wire.TopicPeers(codec.V3), BlocksTopicV4: o.wire.TopicPeers(codec.V4),
	}, nil
}

func (o *opp2p) table(context.Context, json.RawMessage) (any, error) {
	t := o.wire.Table()
	if t == nil {
		return nil, errNoDiscovery
	}
	slices.Sort(t)
	return t, nil
}
