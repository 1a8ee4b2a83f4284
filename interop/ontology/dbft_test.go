package ontology

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/interop/peers/steer/steertest"
	family "github.com/starlingp2p/starling/ledger/ontology"
	"github.com/starlingp2p/starling/peer"
)

// ear listens to the family's consensus, which knows who may speak.
type ear struct {
	chain.Consensus
	mu    sync.Mutex
	heard map[peer.ID]int
	bad   int
}

func (e *ear) Handle(ctx context.Context, from peer.ID, msg []byte) chain.Verdict {
	v := e.Consensus.Handle(ctx, from, msg)
	e.mu.Lock()
	defer e.mu.Unlock()
	if v.Action == chain.Accept {
		e.heard[from]++
	} else if v.Reason != "known" { // v1.0.0 may say a thing twice
		e.bad++
	}
	return v
}

// Four real v1.0.0 nodes agree on blocks. We follow their chain live, hold two
// links to each, and hear their consensus on the second, while three hostile
// sessions stall, flood and lie to us.
func TestFollowingFourBookkeepers(t *testing.T) {
	keys := make([]string, 4)
	for i := range keys {
		keys[i] = fmt.Sprintf("%064x", 0xa11ce+i)
	}
	n := family.Network{Name: "interop", Magic: magic, ConsensusType: family.DBFT}
	for _, k := range keys {
		n.DBFT.Bookkeepers = append(n.DBFT.Bookkeepers, public(t, k))
	}
	ports, seeds := make([]int, 4), make([]string, 4)
	for i := range ports {
		ports[i] = steertest.Port(t)
		seeds[i] = fmt.Sprintf("127.0.0.1:%d", ports[i])
	}
	nodes := make([]*v1, 4)
	for i := range nodes {
		nodes[i] = runV1(t, map[string]any{
			"keys": keys, "own": i, "consensus": true, "port": ports[i], "cons": steertest.Port(t), "seeds": seeds, "block_time": 6,
		})
		nodes[i].Port = ports[i]
	}
	e := &ear{heard: map[peer.ID]int{}}
	o := start(t, n, options{consensus: func(f *family.Family, r chain.Reader) chain.Consensus {
		e.Consensus = family.NewConsensus(f, r)
		return e
	}})
	for _, p := range nodes {
		connect(t, o, p)
	}
	polls(t, "four second links", func() bool { return len(o.wire.ConsensusLinks()) == 4 })
	besiege(t, o.addr)
	blocks := uint64(3)
	if length() > 2000 {
		blocks = 10
	}
	var late time.Duration
	for height := uint64(1); height <= blocks; height++ {
		polls(t, fmt.Sprintf("block %d at a bookkeeper", height), func() bool { h, _ := nodes[0].blocks(); return h >= height })
		began := time.Now()
		polls(t, fmt.Sprintf("block %d", height), func() bool { return o.chain.Status().Head.Number >= height })
		late = max(late, time.Since(began))
	}
	t.Logf("%d blocks, each at most %v behind a bookkeeper", blocks, late.Round(time.Millisecond))
	// One that is slow says nothing of a block that the three others have agreed on.
	polls(t, "a word of each bookkeeper", func() bool {
		e.mu.Lock()
		defer e.mu.Unlock()
		return len(e.heard) == 4
	})
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.heard) != 4 || e.bad > 0 {
		t.Errorf("heard %v, and %d messages of others or of no sense", e.heard, e.bad)
	}
	if got := e.Validators(t.Context()); len(got) != len(keys) {
		t.Errorf("%d validators, want the bookkeepers", len(got))
	}
	if got := o.wire.ConsensusLinks(); len(got) != 4 {
		t.Errorf("second links with %v", got)
	}
	for _, p := range o.Client().Peers() {
		if p.Score < 0 && p.Info.Endpoint.Addr().String() == "127.0.0.1" {
			t.Errorf("a real node has a score of %v", p.Score)
		}
	}
}
