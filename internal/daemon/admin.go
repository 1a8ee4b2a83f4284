package daemon

import (
	"cmp"
	"context"
	"encoding/json"
	"net/netip"
	"strings"

	"github.com/starlingp2p/starling"
	"github.com/starlingp2p/starling/internal/rpc"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// The shapes of geth's admin namespace (node/api.go, p2p/server.go, p2p/peer.go).
// What the wire does not have is empty.
type (
	// NodeInfo answers admin_nodeInfo.
	NodeInfo struct {
		ID         string         `json:"id"`
		Name       string         `json:"name"`
		Enode      string         `json:"enode"`
		ENR        string         `json:"enr"`
		IP         string         `json:"ip"`
		Ports      NodePorts      `json:"ports"`
		ListenAddr string         `json:"listenAddr"`
		Protocols  map[string]any `json:"protocols"` // by name; where the wire does not tell: one, the wire, a ProtocolInfo
	}
	// NodePorts are the ports of a NodeInfo; 0: none.
	NodePorts struct {
		Discovery int `json:"discovery"`
		Listener  int `json:"listener"`
	}
	// ProtocolInfo is where one side stands on a wire.
	ProtocolInfo struct {
		Network string `json:"network"`
		Genesis string `json:"genesis"`
		Head    string `json:"head"`
		Number  uint64 `json:"number"`
	}
	// PeerInfo is one entry of admin_peers.
	PeerInfo struct {
		ENR       string         `json:"enr"`
		Enode     string         `json:"enode"`
		ID        string         `json:"id"`
		Name      string         `json:"name"`
		Caps      []string       `json:"caps"`
		Network   PeerNetwork    `json:"network"`
		Protocols map[string]any `json:"protocols"`
	}
	// PeerNetwork is how a peer is connected.
	PeerNetwork struct {
		LocalAddress  string `json:"localAddress"`
		RemoteAddress string `json:"remoteAddress"`
		Inbound       bool   `json:"inbound"`
		Trusted       bool   `json:"trusted"`
		Static        bool   `json:"static"`
	}
)

// gethlike is a wire that describes itself as geth does.
type gethlike interface {
	NodeProtocols() map[string]any
	PeerProtocols(peer.ID) map[string]any
	PeerLink(peer.ID) (local netip.AddrPort, record string)
	NodeID(peer.ID) string
	Record() string
	DiscoveryPort() int
}

// adminID is how the admin namespace writes an identity.
func (n *Node) adminID(id peer.ID) string {
	if g, ok := n.stack.wire.(gethlike); ok {
		if text := g.NodeID(id); text != "" {
			return text
		}
	}
	return string(id)
}

func (n *Node) adminMethods() []starling.Method {
	url := param("url", "an address with its identity, of the form that the wire takes", "")
	client := n.node.Client()
	return []starling.Method{
		read("admin_nodeInfo", "Who the node is and where it listens, in geth's shape.", asks(n.nodeInfo), NodeInfo{}),
		read("admin_peers", "The open sessions, in geth's shape.", asks(n.peerInfos), []PeerInfo{}),
		read("admin_datadir", "The node's folder.", asks(func() string { return n.dir.Path }), ""),
		write("admin_addPeer", "Has the node dial an address for ever, until it is removed or the node stops. It does not wait for the dial.", n.configure(client.AddStatic), true, url),
		write("admin_removePeer", "Takes an address off those dialled for ever, and ends the session with its peer.", n.callRemovePeer, true, url),
		write("admin_addTrustedPeer", "Has the node admit a peer over every limit and, on every wire but devp2p, dial its address for ever.", n.configure(client.AddTrusted), true, url),
		write("admin_removeTrustedPeer", "Ends that; a session goes on.", n.configure(client.RemoveTrusted), true, url),
	}
}

// configure makes a call of a change of the configured peers.
func (n *Node) configure(do func(context.Context, string) error) call {
	return func(ctx context.Context, params json.RawMessage) (any, error) {
		url, err := n.urlOf(params)
		if err != nil {
			return nil, err
		}
		return true, do(ctx, url)
	}
}

// urlOf reads a call's one address.
func (n *Node) urlOf(params json.RawMessage) (string, error) {
	var url string
	if err := rpc.Params(params, &url); err != nil {
		return "", err
	}
	if url == "" {
		return "", rpc.BadParams("missing value for required argument 0: an address")
	}
	if _, err := n.stack.wire.ParseAddr(url); err != nil {
		return "", rpc.BadParams("%v", err)
	}
	return url, nil
}

// callRemovePeer ends a session even where its address is not a configured
// one, as geth does.
func (n *Node) callRemovePeer(ctx context.Context, params json.RawMessage) (any, error) {
	url, err := n.urlOf(params)
	if err != nil {
		return nil, err
	}
	removed := n.node.Client().RemoveStatic(ctx, url)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	addr, _ := n.stack.wire.ParseAddr(url)
	_, id, ok := locate(n.stack.wire, addr)
	for _, p := range n.node.Client().Peers() {
		if ok && id != "" && p.Info.ID == id || p.Info.Addr == addr {
			return true, n.node.Client().Disconnect(ctx, p.Info.ID)
		}
	}
	return removed == nil, nil
}

// locate reads an address, where the wire can.
func locate(w wire.Wire, a peer.Addr) (wire.Endpoint, peer.ID, bool) {
	if l, ok := w.(wire.Locator); ok {
		return l.Locate(a)
	}
	return wire.Endpoint{}, "", false
}

func (n *Node) nodeInfo() NodeInfo {
	st := n.node.Client().Status()
	info := NodeInfo{ID: n.adminID(st.Self), Name: clientVersion(), Protocols: map[string]any{
		st.Wire: ProtocolInfo{Network: st.Chain.Network, Genesis: st.Chain.Genesis.String(), Head: st.Chain.Head.Hash.String(), Number: st.Chain.Head.Number},
	}, ENR: recordOf(n.stack.wire)}
	for _, a := range st.Addrs {
		enodeOf(a.Text, &info.Enode, &info.ENR)
		ep, _, ok := locate(n.stack.wire, a)
		if !ok || info.ListenAddr != "" || !ep.IsValid() {
			continue
		}
		info.IP, info.ListenAddr, info.Ports.Listener = ep.Addr().String(), ep.String(), int(ep.Port())
	}
	if g, ok := n.stack.wire.(gethlike); ok {
		info.Protocols = g.NodeProtocols()
		if record := g.Record(); record != "" {
			info.ENR, info.Ports.Discovery = record, g.DiscoveryPort()
		}
	}
	return info
}

// recordOf is the node record of a wire that has one.
func recordOf(w wire.Wire) string {
	if r, ok := w.(interface{ Record() string }); ok {
		return r.Record()
	}
	return ""
}

// enodeOf takes an address that is an enode URL or a node record.
func enodeOf(text string, enode, enr *string) {
	switch {
	case strings.HasPrefix(text, "enode://") && *enode == "":
		*enode = text
	case strings.HasPrefix(text, "enr:") && *enr == "":
		*enr = text
	}
}

func (n *Node) peerInfos() []PeerInfo {
	out := []PeerInfo{}
	for _, p := range n.node.Client().Peers() {
		info := PeerInfo{
			ID: n.adminID(p.Info.ID), Name: p.Info.Agent, Caps: append([]string{}, p.Info.Protocols...),
			Network: PeerNetwork{RemoteAddress: p.Info.Addr.Text, Inbound: p.Info.Direction == peer.Inbound, Trusted: p.Trusted, Static: p.Static},
			Protocols: map[string]any{p.Info.Wire: ProtocolInfo{
				Network: p.Claims.Network, Genesis: p.Claims.Genesis.String(), Head: p.Claims.Head.Hash.String(), Number: p.Claims.Head.Number,
			}},
		}
		if p.Info.Endpoint.IsValid() {
			info.Network.RemoteAddress = p.Info.Endpoint.String()
		}
		for _, a := range append([]peer.Addr{p.Info.Addr}, p.Info.Listen...) {
			enodeOf(a.Text, &info.Enode, &info.ENR)
		}
		if g, ok := n.stack.wire.(gethlike); ok {
			if own := g.PeerProtocols(p.Info.ID); own != nil {
				info.Protocols = own
			}
			if local, record := g.PeerLink(p.Info.ID); local.IsValid() {
				info.Network.LocalAddress, info.ENR = local.String(), cmp.Or(record, info.ENR)
			}
		}
		out = append(out, info)
	}
	return out
}
