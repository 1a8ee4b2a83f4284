package devp2p

import (
	"context"
	"strings"
	"testing"

	"github.com/starlingp2p/starling/wire"
	wiredevp2p "github.com/starlingp2p/starling/wire/devp2p"
)

// A stranger meets both releases of geth: each tells its status before it has
// heard the prober's, takes it as a member without blocks, answers its ping,
// and gives it the header of its head.
func TestAStrangerMeetsGeth(t *testing.T) {
	const blocks = 20
	newer, older := startGeth(t, 69, blocks), startOld(t, 1)
	older.Do(map[string]any{"do": "seal"}, nil)
	older.Until("3 blocks", func(e event) bool { return e.Event == "head" && e.Number >= 3 })
	older.rest()
	for name, tt := range map[string]struct {
		g      *gethNode
		speaks string
		least  uint64
	}{"v1.17.10": {newer, "eth/69", blocks}, "v1.13.15": {older, "eth/68", 3}} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			p, err := wiredevp2p.Probe(ctx, tt.g.Enode, "prober")
			if err != nil {
				t.Fatal(err)
			}
			all(t, p)
			if !strings.Contains(strings.Join(p.Peer.Protocols, " "), tt.speaks) || !strings.Contains(tt.g.Enode, string(p.Peer.ID)) {
				t.Errorf("it is %+v", p.Peer)
			}
			if p.Claims.Genesis.IsZero() || p.Claims.Head.Number < tt.least || p.Claims.Network != "90117" || p.RTT <= 0 {
				t.Errorf("it claims %+v, after %v", p.Claims, p.RTT)
			}
			t.Logf("%q speaks %v, head %d, ping %v", p.Peer.Agent, p.Peer.Protocols, p.Claims.Head.Number, p.RTT)
		})
	}
}

// all fails the test for a step that was refused.
func all(t *testing.T, p wire.Probed) {
	t.Helper()
	for _, s := range p.Steps {
		t.Logf("%s: %v after %v", s.Name, s.Err, s.Took)
		if s.Err != nil {
			t.Errorf("%s: %v", s.Name, s.Err)
		}
	}
}
