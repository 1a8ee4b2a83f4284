package devp2p

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/starlingp2p/starling/interop/peers/steer/steertest"
)

// Releases of geth that tests talk to.
const (
	newest = "1.17.10"
	old    = "1.13.15" // the last with total difficulty
)

var peers steertest.Binaries

func TestMain(m *testing.M) { peers.Main(m) }

// gethNode is a process of geth's P2P stack.
type gethNode struct {
	*steertest.Process[event]
	Enode   string
	ENR     string
	Genesis json.RawMessage
}

type event struct {
	Event  string `json:"event"`
	What   string `json:"what"`
	Peer   string `json:"peer"`
	Error  string `json:"error"`
	Number uint64 `json:"number"`
	Hash   string `json:"hash"`
	Count  int    `json:"count"`
}

// patience bounds whatever a process should do at once, on a busy machine.
const patience = 120 * time.Second

// runGeth starts one and stops it with the test.
func runGeth(t *testing.T, release string, start map[string]any) *gethNode {
	t.Helper()
	n := &gethNode{}
	// 1.13.15 reaches into the runtime, which the linker refuses by default.
	binary := peers.Get(t, "geth-"+release, "-ldflags=-checklinkname=0")
	n.Process = steertest.Run[event](t, "geth", binary, patience, start, n)
	return n
}
