package opnode

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"time"

	"github.com/ethereum-optimism/optimism/op-node/p2p"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/starlingp2p/starling/interop/peers/steer"
)

// Do implements steer.Peer.
func (n *node) Do(ctx context.Context, c steer.Command) (any, error) {
	switch c.Do {
	case "connect":
		a, err := ma.NewMultiaddr(c.Addr)
		if err != nil {
			return nil, err
		}
		info, err := peer.AddrInfoFromP2pAddr(a)
		if err != nil {
			return nil, err
		}
		return true, n.p2p.Host().Connect(ctx, *info)
	case "disconnect":
		id, err := peer.Decode(c.Peer)
		if err != nil {
			return nil, err
		}
		return true, n.p2p.Host().Network().ClosePeer(id)
	case "peers":
		ids := []string{}
		for _, id := range n.p2p.Peers() {
			ids = append(ids, id.String())
		}
		return ids, nil
	case "topics":
		out := n.p2p.GossipOut()
		return []int{len(out.BlocksTopicV1Peers()), len(out.BlocksTopicV2Peers()), len(out.BlocksTopicV3Peers()), len(out.BlocksTopicV4Peers())}, nil
	case "meshes":
		return n.meshes.sizes(n.source.params.ID), nil
	case "block":
		return n.source.block(c.Number)
	case "publish":
		return true, n.publish(ctx, c.Number, c.Mode)
	case "sync":
		return true, n.sync(ctx, c.Number, c.End)
	case "request":
		return n.request(ctx, c.Peer, c.Number)
	case "opp2p", "post":
		var token string
		if c.Params != nil {
			if err := json.Unmarshal(c.Params, &token); err != nil {
				return nil, err
			}
		}
		if c.Do == "post" {
			return true, n.post(ctx, c.Addr, token, c.Number, c.Mode)
		}
		return callAll(ctx, c.Addr, token)
	case "ssz":
		return ssz(c.Params)
	case "measure":
		return n.measure(ctx, c.Params)
	case "served":
		n.source.mu.Lock()
		defer n.source.mu.Unlock()
		return maps.Clone(n.source.served), nil
	case "scores":
		scores := map[string]float64{}
		for _, id := range n.p2p.Peers() {
			s, err := n.p2p.GetPeerScore(id)
			if err != nil {
				return nil, err
			}
			scores[id.String()] = s
		}
		return scores, nil
	}
	return nil, fmt.Errorf("no command %q", c.Do)
}

// request asks a peer for a payload as a sync client does, and gives the whole
// answer.
func (n *node) request(ctx context.Context, to string, number uint64) (string, error) {
	id, err := peer.Decode(to)
	if err != nil {
		return "", err
	}
	s, err := n.p2p.Host().NewStream(ctx, id, p2p.PayloadByNumberProtocolID(n.source.params.config().L2ChainID))
	if err != nil {
		return "", err
	}
	defer s.Close()
	if err := s.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		return "", err
	}
	if _, err := s.Write(binary.LittleEndian.AppendUint64(nil, number)); err != nil {
		return "", err
	}
	if err := s.CloseWrite(); err != nil {
		return "", err
	}
	raw, err := io.ReadAll(io.LimitReader(s, 10<<20))
	return hex.EncodeToString(raw), err
}
