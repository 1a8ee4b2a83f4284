package daemon

import (
	"net/netip"
	"time"

	"github.com/starlingp2p/starling"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire/ontology"
)

// What Ontology's own methods give, with the names of its nodes' JSON. The
// result stands where JSON-RPC has it: the envelope of desc, error and version
// is for clients at an Ontology node's own port.
type (
	// OntNeighbor is an entry of getneighbor. Services and ConsensusPort are
	// 0: what a peer says of them is not kept.
	OntNeighbor struct {
		Time          int64    // of the session's begin, in Unix nanoseconds
		Services      uint64   //
		IpAddr        [16]byte // as IPv6, v4-mapped
		Port          uint16
		ConsensusPort uint16
		ID            uint64
	}
	// OntState is what getnodestate gives.
	OntState struct {
		NodeState   uint // 4: established (v1.0.0 gives that of its own peer entry)
		NodePort    uint16
		ID          uint64
		NodeTime    int64 // in Unix nanoseconds
		NodeVersion uint32
		NodeType    uint64 // 2: a node that serves
		Relay       bool
		Height      uint32
		TxnCnt      []uint32 // transactions in the pool
	}
	// OntSync is what getsyncstatus gives.
	OntSync struct {
		CurrentBlockHeight uint32
		ConnectCount       uint32
		MaxPeerBlockHeight uint64 // as they claim it
	}
)

const (
	ontEstablished = 4
	ontServiceNode = 2
)

// ontMethods are Ontology's methods about the network.
func ontMethods(n *Node) []starling.Method {
	return []starling.Method{
		read("getconnectioncount", "How many sessions there are, as Ontology's nodes say it.", asks(n.ontCount), uint32(0)),
		read("getblockcount", "The number of blocks, genesis included, as Ontology's nodes say it.", asks(n.ontBlocks), uint32(0)),
		read("getversion", "The program and its version.", asks(func() string { return "starling/" + Version }), ""),
		read("getneighbor", "The peers with a session, in v1.0.0's shape.", asks(n.ontNeighbors), []OntNeighbor{}),
		read("getnodestate", "Where the node stands, in v1.0.0's shape.", asks(n.ontState), OntState{}),
		read("getsyncstatus", "How far the sync is, in the newest release's shape.", asks(n.ontSync), OntSync{}),
	}
}

func (n *Node) ontHeight() uint32 { return uint32(n.stack.chain.Status().Head.Number) }

func (n *Node) ontBlocks() uint32 { return n.ontHeight() + 1 }

func (n *Node) ontCount() uint32 {
	st := n.node.Client().Status()
	return uint32(st.Inbound + st.Outbound)
}

func (n *Node) ontNeighbors() []OntNeighbor {
	out := []OntNeighbor{}
	for _, p := range n.node.Client().Peers() {
		at := p.Info.Endpoint
		for _, a := range p.Info.Listen { // where it can be dialled
			if ap, err := netip.ParseAddrPort(a.Text); err == nil {
				at = ap
				break
			}
		}
		o := OntNeighbor{Time: p.Info.Opened.UnixNano(), Port: at.Port(), ID: ontID(p.Info.ID)}
		if at.IsValid() {
			o.IpAddr = at.Addr().As16()
		}
		out = append(out, o)
	}
	return out
}

func (n *Node) ontState() OntState {
	st := n.node.Client().Status()
	s := OntState{
		NodeState: ontEstablished, NodeType: ontServiceNode, Relay: true, ID: ontID(st.Self), NodeTime: time.Now().UnixNano(),
		Height: n.ontHeight(), TxnCnt: []uint32{uint32(n.stack.pending())},
	}
	for _, a := range st.Addrs {
		if ap, err := netip.ParseAddrPort(a.Text); err == nil {
			s.NodePort = ap.Port()
			break
		}
	}
	return s
}

func (n *Node) ontSync() OntSync {
	s := OntSync{CurrentBlockHeight: n.ontHeight(), ConnectCount: n.ontCount()}
	for _, p := range n.node.Client().Peers() {
		s.MaxPeerBlockHeight = max(s.MaxPeerBlockHeight, p.Claims.Head.Number)
	}
	return s
}

// ontID is the number in an identity on Ontology's wire; 0: none.
func ontID(id peer.ID) uint64 {
	n, _ := ontology.NonceOf(id)
	return n
}
