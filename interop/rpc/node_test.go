package rpc

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// limit ends a test that hangs; no result depends on it.
const limit = 2 * time.Minute

// binary is the starling program, which TestMain builds.
var binary string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "st")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "starling")
	build := exec.Command("go", "build", "-o", binary, "./cmd/starling")
	build.Dir = filepath.Join("..", "..")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build of starling: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// node is a starling node that runs as a process.
type node struct {
	ID     string   `json:"id"`
	Addrs  []string `json:"addrs"`
	Socket string   `json:"socket"`
	RPC    string   `json:"rpc"`
	Dir    string   `json:"-"`

	stop func()
}

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
	if out, err := exec.CommandContext(t.Context(), binary, args...).CombinedOutput(); err != nil {
		t.Fatalf("starling %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// shortDir is a folder whose name leaves room for a socket's.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "st")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// sequencer makes and starts a node with a network of its own.
func sequencer(t *testing.T) *node {
	t.Helper()
	dir := filepath.Join(shortDir(t), "a")
	starling(t, "init", "--datadir", dir, "--name", "interop", "--block-time", "200ms")
	return start(t, dir)
}

// follower makes and starts a member of another's network that dials nobody
// by itself, and that nobody can dial.
func follower(t *testing.T, of *node) *node {
	t.Helper()
	dir := filepath.Join(shortDir(t), "b")
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
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), limit)
	cmd := exec.CommandContext(ctx, binary, "run", "--config", filepath.Join(dir, "config.toml"), "--json")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	n := &node{Dir: dir}
	ready, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		lines := bufio.NewScanner(out)
		for lines.Buffer(nil, 1<<20); lines.Scan(); {
			var ev struct {
				Event string `json:"event"`
			}
			if json.Unmarshal(lines.Bytes(), &ev) == nil && ev.Event == "ready" {
				if err := json.Unmarshal(lines.Bytes(), n); err == nil {
					close(ready)
				}
			}
		}
		io.Copy(io.Discard, out)
		cmd.Wait()
	}()
	n.stop = func() {
		cmd.Process.Signal(syscall.SIGTERM)
		<-ended
	}
	t.Cleanup(func() { n.stop(); cancel() })
	select {
	case <-ready:
	case <-ended:
		t.Fatalf("the node ended before it was ready: %s", stderr.String())
	case <-ctx.Done():
		t.Fatal("the node is not ready")
	}
	return n
}
