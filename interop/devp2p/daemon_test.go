package devp2p

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/starlingp2p/starling/interop/peers/steer/steertest"
)

// daemonIn is a starling process in a folder, on the chain with that genesis.
// more are lines of its [[network]] table, and ethereum of [network.ethereum].
func daemonIn(t *testing.T, dir string, genesis []byte, more, ethereum string) *steertest.Starling {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, "genesis.json"), genesis, 0o600); err != nil {
		t.Fatal(err)
	}
	return peers.Starling(t, patience, dir, fmt.Sprintf(`config_version = 1
[rpc]
listen = "127.0.0.1:0"
[[network]]
name = "interop"
wire = "devp2p"
allow_private = true
no_discovery = true
listen = ["%s:0"]
%s
[network.ethereum]
genesis = "genesis.json"
network_id = %d
%s
`, ip(), more, chainID, ethereum))
}
