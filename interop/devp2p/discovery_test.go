package devp2p

import (
	"context"
	"net/netip"
	"strings"
	"testing"

	wiredevp2p "github.com/starlingp2p/starling/wire/devp2p"
)

// TestGethAndWeFindEachOther: by discv4 alone and by discv5 alone, geth finds us
// and dials us, knowing only our record; and we find and dial a geth, knowing
// only the record of another.
func TestGethAndWeFindEachOther(t *testing.T) {
	const at = "127.0.0.1" // which geth takes for its address
	genesis := startGeth(t, 69, 0).Genesis
	for name, v4 := range map[string]bool{"discv4": true, "discv5": false} {
		t.Run(name, func(t *testing.T) {
			on := map[string]any{"discovery_v4": v4, "discovery_v5": !v4}
			listen := func(c *wiredevp2p.Config) {
				c.Listen = at + ":0"
				c.Discovery = wiredevp2p.Discovery{Listen: netip.MustParseAddrPort(at + ":0"), NoV4: !v4, NoV5: v4}
			}
			us := startStarling(t, genesis, listen)
			on["bootnodes"] = []string{us.wire.Record()}
			first := startGethAt(t, 69, 0, at, on)
			first.Until("a session with us", func(e event) bool { return e.Event == "peer" && e.What == "add" })

			// A second of ours knows the geth only, and finds the first through it.
			second := startStarling(t, genesis, listen, func(c *wiredevp2p.Config) {
				c.Discovery.BootnodesV4, c.Discovery.BootnodesV5 = []string{first.Enode}, []string{first.ENR}
			})
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			for events := second.Client().Subscribe(ctx, 1024); ; {
				agents := map[string]bool{}
				for _, p := range second.Client().Peers() {
					agents[strings.Split(p.Info.Agent, "/")[0]] = true
				}
				if agents["Geth"] && agents["Starling"] {
					break
				}
				if _, open := <-events.C(); !open {
					t.Fatalf("peers are %v", agents)
				}
			}
		})
	}
}
