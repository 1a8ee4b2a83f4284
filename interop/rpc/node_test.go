package rpc

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/starlingp2p/starling/interop/peers/steer/steertest"
)

// limit ends a test that hangs; no result depends on it.
const limit = 2 * time.Minute

var programs steertest.Binaries

func TestMain(m *testing.M) { programs.Main(m) }

// node is a starling node that runs as a process.
type node struct{ *steertest.Starling }

// Token is what gives authority over HTTP and WebSocket.
func (n *node) Token(t *testing.T) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(n.Dir, "keys", "rpc.token"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(raw))
}

// starling runs one command line to its end.
func starling(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), programs.Program(t), args...).CombinedOutput(); err != nil {
		t.Fatalf("starling %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// sequencer makes and starts a node with a network of its own.
func sequencer(t *testing.T) *node {
	t.Helper()
	dir := filepath.Join(steertest.ShortDir(t), "a")
	starling(t, "init", "--datadir", dir, "--name", "interop", "--block-time", "200ms")
	return start(t, dir)
}

// follower makes and starts a member of another's network that dials nobody
// by itself, and that nobody can dial.
func follower(t *testing.T, of *node) *node {
	t.Helper()
	dir := filepath.Join(steertest.ShortDir(t), "b")
	starling(t, "init", "--datadir", dir, "--join", filepath.Join(of.Dir, "config.toml"), "--seed", of.Addrs[0])
	path := filepath.Join(dir, "config.toml")
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	// Only the network's own keys: those of [rpc] have the same names.
	head, rpc, _ := strings.Cut(string(raw), "[rpc]")
	head = regexp.MustCompile(`(?m)^(seeds|listen) = .*\n`).ReplaceAllString(head, "")
	head = strings.Replace(head, "[[network]]\n", "[[network]]\nno_listen = true\nno_discovery = true\n", 1)
	if err := os.WriteFile(path, []byte(head+"[rpc]"+rpc), 0o600); err != nil {
		t.Fatal(err)
	}
	return start(t, dir)
}

// start runs a node until the test ends.
func start(t *testing.T, dir string) *node {
	t.Helper()
	return &node{programs.Run(t, limit, dir)}
}
