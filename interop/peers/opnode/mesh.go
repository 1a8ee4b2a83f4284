package opnode

import (
	"fmt"
	"sync"

	"github.com/ethereum-optimism/optimism/op-node/p2p"
	"github.com/ethereum-optimism/optimism/op-node/rollup"
	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/peer"
)

// meshes knows who is in the meshes of the topics, which op-node tells nobody: a
// block that is published before is lost. It is safe for concurrent use.
type meshes struct {
	mu   sync.Mutex
	with map[string]map[string]bool // topics, peers
}

// Trace implements pubsub.EventTracer.
func (m *meshes) Trace(e *pb.TraceEvent) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch e.GetType() {
	case pb.TraceEvent_GRAFT:
		topic := e.GetGraft().GetTopic()
		if m.with[topic] == nil {
			m.with[topic] = map[string]bool{}
		}
		m.with[topic][string(e.GetGraft().GetPeerID())] = true
	case pb.TraceEvent_PRUNE:
		delete(m.with[e.GetPrune().GetTopic()], string(e.GetPrune().GetPeerID()))
	}
}

// left is told of a peer whose connection has ended: no trace says it.
func (m *meshes) left(id peer.ID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, of := range m.with {
		delete(of, string(id))
	}
}

// sizes are how many peers the mesh of each of a chain's four topics has.
func (m *meshes) sizes(chainID uint64) []int {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := make([]int, 4)
	for v := range out {
		out[v] = len(m.with[fmt.Sprintf("/optimism/%d/%d/blocks", chainID, v)])
	}
	return out
}

// traced is op-node's set-up, with meshes in the place of its tracer, which only
// counts.
type traced struct {
	*p2p.Config
	meshes *meshes
}

// ConfigureGossip implements p2p.GossipSetupConfigurables.
func (s traced) ConfigureGossip(c *rollup.Config) []pubsub.Option {
	return append(s.Config.ConfigureGossip(c), pubsub.WithEventTracer(s.meshes))
}
