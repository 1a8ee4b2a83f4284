package devp2p

import (
	"encoding/hex"
	"math/big"

	"github.com/ethereum/go-ethereum/crypto"

	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire/devp2p/eth"
)

// EthInfo is what admin_nodeInfo shows of the eth protocol (go-ethereum
// eth/protocols/eth, NodeInfo; the difficulty as up to v1.13).
type EthInfo struct {
	Network    uint64   `json:"network"`
	Difficulty *big.Int `json:"difficulty,omitempty"` // in total; nil where a chain has none
	Genesis    string   `json:"genesis"`
	Config     any      `json:"config,omitempty"` // Config.Chain
	Head       string   `json:"head"`
}

// EthPeerInfo is what admin_peers shows of a peer's eth protocol: of eth/68 what
// its Status said of its head, from eth/69 on the blocks that it serves.
type EthPeerInfo struct {
	Version    uint     `json:"version"`
	Difficulty *big.Int `json:"difficulty,omitempty"`
	Head       string   `json:"head,omitempty"`
	Earliest   *uint64  `json:"earliestBlock,omitempty"`
	Latest     *uint64  `json:"latestBlock,omitempty"`
	LatestHash string   `json:"latestBlockHash,omitempty"`
}

// unknownInfo stands for a protocol that says nothing of itself, as in geth.
const unknownInfo = "unknown"

// NodeProtocols is what admin_nodeInfo shows of each protocol, by its name.
func (w *Wire) NodeProtocols() map[string]any {
	st := w.cfg.Status()
	own := EthInfo{Network: w.cfg.NetworkID, Genesis: st.Genesis.String(), Config: w.cfg.Chain, Head: headOr(st).Hash.String()}
	if !w.cfg.TargetOnly {
		own.Difficulty = st.Weight.Big()
	}
	out := map[string]any{eth.Name: own}
	for _, p := range w.cfg.Protocols {
		if _, ok := out[p.Name]; ok {
			continue
		}
		out[p.Name] = unknownInfo
		if p.NodeInfo != nil {
			out[p.Name] = p.NodeInfo()
		}
	}
	return out
}

// PeerProtocols is what admin_peers shows of each protocol that a peer's session
// runs; nil if there is no session.
func (w *Wire) PeerProtocols(id peer.ID) map[string]any {
	n := w.node.Load()
	if n == nil {
		return nil
	}
	s := n.described(id)
	if s == nil {
		return nil
	}
	out := map[string]any{eth.Name: s.ethInfo()}
	for _, st := range s.streams {
		for _, p := range w.cfg.Protocols {
			if p.Name != st.share.Name || p.Version != st.share.Version {
				continue
			}
			out[p.Name] = unknownInfo
			if p.PeerInfo != nil {
				out[p.Name] = p.PeerInfo(id)
			}
		}
	}
	return out
}

func (s *session) ethInfo() EthPeerInfo {
	out := EthPeerInfo{Version: uint(s.version)}
	if s.version.HasDifficulty() {
		out.Difficulty, out.Head = s.theirs.Difficulty.Big(), s.theirs.Head.String()
		return out
	}
	out.Earliest, out.Latest, out.LatestHash = &s.theirs.Earliest, &s.theirs.Latest, s.theirs.Head.String()
	if u := s.served.Load(); u != nil {
		out.Earliest, out.Latest, out.LatestHash = &u.Earliest, &u.Latest.Number, u.Latest.Hash.String()
	}
	return out
}

// NodeID is the 32 bytes that geth shows for an identity, in hex: the hash of
// the public key. Empty if it is no identity of this wire.
func (w *Wire) NodeID(id peer.ID) string {
	b, err := hex.DecodeString(string(id))
	if err != nil || len(b) != 64 {
		return ""
	}
	return hex.EncodeToString(crypto.Keccak256(b))
}
