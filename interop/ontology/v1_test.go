package ontology

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/starlingp2p/starling/interop/peers/steer/steertest"
)

var peers steertest.Binaries

func TestMain(m *testing.M) { peers.Main(m) }

// v1 is a process of v1.0.0. It tells no events.
type v1 struct {
	*steertest.Process[struct{}]
	Port    int
	Genesis string
	Head    string
}

// patience bounds whatever a process does, on a busy machine.
const patience = 6 * time.Minute

// runV1 starts one and stops it with the test.
func runV1(t *testing.T, start map[string]any) *v1 {
	t.Helper()
	p := &v1{Port: steertest.Port(t)}
	params := map[string]any{"dir": t.TempDir(), "magic": magic, "port": p.Port}
	for k, v := range start {
		params[k] = v
	}
	p.Process = steertest.Run[struct{}](t, "v1.0.0", peers.Get(t, "ontology-1.0.0"), patience, params, p)
	return p
}

// addr is where it listens.
func (p *v1) addr() string { return fmt.Sprintf("127.0.0.1:%d", p.Port) }

// blocks is how many blocks it has, and the hash of the last.
func (p *v1) blocks() (uint64, string) {
	var h struct {
		Blocks uint64
		Head   string
	}
	p.Do(map[string]any{"do": "height"}, &h)
	return h.Blocks, h.Head
}

// polls asks a process, which tells nothing by itself, until it says yes.
func polls(t *testing.T, what string, yes func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for !yes() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("there was not %s within %v", what, patience)
		}
	}
}
