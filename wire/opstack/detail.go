package opstack

import (
	"errors"
	"fmt"
	"time"

	gethcrypto "github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/p2p/enode"
	"github.com/libp2p/go-libp2p/core/crypto"
	libpeer "github.com/libp2p/go-libp2p/core/peer"

	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire/opstack/codec"
)

// Detail is what the wire knows of a peer, or of us, beyond its peer.Info.
type Detail struct {
	NodeID          string // by which discovery knows the key, in hex
	Record          string // its node record in text; empty: not known
	ChainID         uint64 // 0: not known
	ProtocolVersion string // as it told
	Gossips         bool   // it has joined a topic of ours
	Gossip          GossipScore
	App             AppScore
}

// GossipScore is what gossip thinks of a peer, up to a second old: counts over
// all topics of blocks, and the time in the mesh of the one it was in longest.
type GossipScore struct {
	Total             float64
	TimeInMesh        time.Duration
	FirstDeliveries   float64
	MeshDeliveries    float64
	InvalidDeliveries float64
	SharedAddress     float64 // how many others share its IP address, squared beyond what is allowed
	Behaviour         float64 // breaches of the protocol
}

// ParseID reads a peer's identity in any of the forms that libp2p has, and
// gives it in ours.
func ParseID(text string) (peer.ID, error) {
	id, err := libpeer.Decode(text)
	if err != nil {
		return "", fmt.Errorf("opstack: %.80q is no peer id: %w", text, err)
	}
	return peer.ID(id.String()), nil
}

var errKeyType = errors.New("opstack: the key in the identity is not secp256k1")

// nodeID is how discovery knows the key that an identity holds.
func nodeID(id libpeer.ID) (enode.ID, error) {
	key, err := id.ExtractPublicKey()
	if err != nil || key.Type() != crypto.Secp256k1 {
		return enode.ID{}, errKeyType
	}
	raw, err := key.Raw()
	if err != nil {
		return enode.ID{}, errKeyType
	}
	pub, err := gethcrypto.DecompressPubkey(raw)
	if err != nil {
		return enode.ID{}, errKeyType
	}
	return enode.PubkeyToIDV4(pub), nil
}

// Details tells what is known of peers; those whose keys no node of the OP
// Stack could have are left out. It never blocks.
func (w *Wire) Details(ids []peer.ID) map[peer.ID]Detail {
	out := make(map[peer.ID]Detail, len(ids))
	n := w.node.Load()
	if n == nil {
		return out
	}
	records := map[enode.ID]*enode.Node{}
	if n.discv != nil {
		for _, r := range append(n.discv.Table(), n.discv.Self()) {
			records[r.ID()] = r
		}
	}
	joined := map[peer.ID]bool{}
	open := map[peer.ID]bool{peer.ID(n.p2p.ID().String()): true}
	for _, s := range n.book.Sessions() {
		s.mu.Lock()
		joined[s.info.ID] = s.topics > 0
		s.mu.Unlock()
		open[s.info.ID] = true
	}
	for _, id := range ids {
		lid, err := libpeer.Decode(string(id))
		if err != nil {
			continue
		}
		key, err := nodeID(lid)
		if err != nil {
			continue
		}
		d := Detail{NodeID: key.String(), Gossips: joined[id], Gossip: n.gossipScore(lid), App: w.Score(id)}
		r := records[key]
		if r != nil {
			d.Record = r.String()
		}
		if open[id] || r != nil && codec.OnChain(r.Record(), w.chainID) {
			d.ChainID = w.chainID
		}
		if v, err := n.p2p.P2P().Peerstore().Get(lid, "ProtocolVersion"); err == nil {
			if text, ok := v.(string); ok {
				d.ProtocolVersion = peer.Clean(text)
			}
		}
		out[id] = d
	}
	return out
}

func (n *node) gossipScore(id libpeer.ID) GossipScore {
	s := n.gossip.Snapshot(id)
	if s == nil {
		return GossipScore{}
	}
	g := GossipScore{Total: s.Score, SharedAddress: s.IPColocationFactor, Behaviour: s.BehaviourPenalty}
	for _, t := range s.Topics { // sums and a maximum: the order has no effect
		g.TimeInMesh = max(g.TimeInMesh, t.TimeInMesh)
		g.FirstDeliveries += t.FirstMessageDeliveries
		g.MeshDeliveries += t.MeshMessageDeliveries
		g.InvalidDeliveries += t.InvalidMessageDeliveries
	}
	return g
}

// Protocols are those that we answer, as we tell peers.
func (w *Wire) Protocols() []string {
	n := w.node.Load()
	if n == nil {
		return nil
	}
	var out []string
	for _, p := range n.p2p.P2P().Mux().Protocols() {
		out = append(out, string(p))
	}
	return out
}
