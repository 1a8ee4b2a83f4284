package opstack

import (
	"testing"
	"time"

	"github.com/starlingp2p/starling/interop/peers/steer/steertest"
)

// Releases of op-node that tests talk to.
const (
	newest   = "1.19.6"
	withSync = "1.19.0" // the last with a sync client
)

var peers steertest.Binaries

func TestMain(m *testing.M) { peers.Main(m) }

// opNode is a process of op-node's P2P stack.
type opNode struct {
	*steertest.Process[event]
	Peer  string
	Addrs []string
	ENR   string
}

type event struct {
	Event  string `json:"event"`
	Peer   string `json:"peer"`
	Number uint64 `json:"number"`
	Hash   string `json:"hash"`
}

// patience bounds whatever a process should do at once, on a busy machine.
const patience = 60 * time.Second

// runOpNode starts one and stops it with the test.
func runOpNode(t *testing.T, release string, start map[string]any) *opNode {
	t.Helper()
	n := &opNode{}
	n.Process = steertest.Run[event](t, "op-node", peers.Get(t, "opnode-"+release), patience, start, n)
	return n
}

// payloads are the numbers of the payloads that came.
func (n *opNode) payloads() map[uint64]int {
	out := map[uint64]int{}
	for _, e := range n.Events() {
		if e.Event == "payload" {
			out[e.Number]++
		}
	}
	return out
}
