package opstack

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/starlingp2p/starling/interop/peers/steer/steertest"
	"github.com/starlingp2p/starling/wire/opstack/codec"
)

// readmeConfig is the config of a private OP chain that the README shows.
func readmeConfig(t *testing.T) string {
	t.Helper()
	raw, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile("(?ms)^```toml\n(.*?)^```$").FindAllStringSubmatch(string(raw), -1) {
		if strings.Contains(m[1], `wire = "opstack"`) {
			return m[1]
		}
	}
	t.Fatal("the README shows no config of an OP chain")
	return ""
}

// TestTenLinesJoinAChainOfOpNodes runs the README's config with the chain's own
// values in the place of the examples: it has ten lines at most, and the node
// hears a block and fills the gap below it; starling tail prints what came.
func TestTenLinesJoinAChainOfOpNodes(t *testing.T) {
	config := readmeConfig(t)
	if n := strings.Count(config, "\n"); n > 10 {
		t.Errorf("the config of the README has %d lines", n)
	}
	n := newNetwork(t, codec.V4, 20, 2, 200)
	maker := runOpNode(t, newest, n.start(map[string]any{"head": 10000}))
	other := runOpNode(t, newest, n.start(map[string]any{"head": 10000, "static": []string{maker.Addrs[0]}}))
	for key, value := range map[string]string{
		"static": fmt.Sprintf("[%q]", other.Addrs[0]), "opstack.chain_id": fmt.Sprint(n.id), "opstack.genesis_hash": fmt.Sprintf("%q", n.config.Genesis.Hash),
		"opstack.genesis_time": fmt.Sprint(n.genesis), "opstack.sequencer": fmt.Sprintf("%q", n.key.Address()),
	} {
		line := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(key) + ` = .*$`)
		if !line.MatchString(config) {
			t.Fatalf("the config of the README has no %s:\n%s", key, config)
		}
		config = line.ReplaceAllLiteralString(config, key+" = "+value)
	}
	// Where it listens is no part of what it joins: here, on loopback.
	t.Setenv("STARLING_NETWORK_LISTEN", "/ip4/"+ip()+"/tcp/0")
	t.Setenv("STARLING_RPC_LISTEN", "127.0.0.1:0")
	d := peers.Starling(t, patience, steertest.ShortDir(t), config)
	other.Until("a connection", func(e event) bool { return e.Event == "connected" && e.Peer == d.ID })
	other.meshed(t, n, 2)
	maker.meshed(t, n, 1)
	due := n.due()
	maker.Do(map[string]any{"do": "publish", "number": due}, nil)
	polls(t, fmt.Sprintf("block %d as the node's head", due), func() bool { return status(t, d).Head.Number >= uint64(due) })
	out, err := exec.CommandContext(t.Context(), peers.Program(t), "tail", "--datadir", d.Dir, "--from", "15", "--count", "5", "--json").Output()
	if err != nil {
		t.Fatal(err)
	}
	for number := 15; number <= 19; number++ {
		if hash := n.blocks[number].Ref().Hash.String(); !strings.Contains(string(out), hash) {
			t.Errorf("starling tail does not tell of block %d, %s:\n%s", number, hash, out)
		}
	}
}
