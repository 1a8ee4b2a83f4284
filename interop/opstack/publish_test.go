package opstack

import (
	"bufio"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/starlingp2p/starling/interop/peers/steer/steertest"
	"github.com/starlingp2p/starling/wire/opstack/codec"
)

// TestOpNodesClientsPublishThroughUs gives payloads to a starling process with
// op-node's own clients, over HTTP with the token and on the unix socket; a
// second op-node hears of those that are signed. It is before its parent that
// the first of them comes.
func TestOpNodesClientsPublishThroughUs(t *testing.T) {
	for _, v := range codec.Versions {
		t.Run(v.String(), func(t *testing.T) {
			t.Parallel()
			n := newNetwork(t, v, 20, 3, 200)
			maker := runOpNode(t, newest, n.start(map[string]any{"head": 0}))
			hears := runOpNode(t, newest, n.start(map[string]any{"head": 19}))
			d := n.daemon(t, `no_discovery = true
static = ["`+hears.Addrs[0]+`"]`, "")
			// A block is held for two seconds, and lost where nobody hears it by then.
			hears.meshed(t, n, 1)
			polls(t, "op-node in the node's mesh", func() bool { return meshOf(t, d, v) > 0 })
			token, err := os.ReadFile(filepath.Join(d.Dir, "keys", "rpc.token"))
			if err != nil {
				t.Fatal(err)
			}
			post := func(number uint64, over map[string]any) {
				over["do"], over["number"] = "post", number
				maker.Do(over, nil)
			}
			heard := func(number uint64) {
				t.Helper()
				hears.Until("our block", func(e event) bool {
					return e.Event == "payload" && e.Number == number && e.Peer == d.ID && e.Hash == n.blocks[number].Ref().Hash.String()
				})
			}
			post(17, map[string]any{"addr": d.RPC, "params": strings.TrimSpace(string(token))})
			heard(17)
			post(18, map[string]any{"addr": d.Socket, "mode": "unsafe"})
			post(19, map[string]any{"addr": d.Socket})
			heard(19)
			if got := hears.payloads(); got[18] != 0 {
				t.Errorf("op-node heard of the block that was vouched for: %v", got)
			}
		})
	}
}

// meshOf is how many peers are in a starling process's mesh of a topic.
func meshOf(t *testing.T, s *steertest.Starling, v codec.Version) (size int) {
	t.Helper()
	res, err := http.Get(s.RPC + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	for lines := bufio.NewScanner(res.Body); lines.Scan(); {
		if n, ok := strings.CutPrefix(lines.Text(), fmt.Sprintf("starling_gossip_mesh_peers{topic=\"blocks%v\"} ", v)); ok {
			if size, err = strconv.Atoi(n); err != nil {
				t.Fatal(err)
			}
			return size
		}
	}
	t.Fatal("there is no metric of the mesh")
	return 0
}
