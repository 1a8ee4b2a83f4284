package steertest

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Starling is a starling node that runs as a process.
type Starling struct {
	ID     string   `json:"id"`
	Addrs  []string `json:"addrs"`
	Socket string   `json:"socket"`
	RPC    string   `json:"rpc"`
	Engine string   `json:"engine"`
	Dir    string   `json:"-"`

	// Stop ends it as an operator does, and fails the test if it does not end
	// well. It may be called again, and is when the test ends.
	Stop func() `json:"-"`
	// Kill ends it at once, with a signal that it cannot catch.
	Kill func() `json:"-"`
}

// ShortDir is a folder whose name leaves room for a socket's.
func ShortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "st")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// Starling runs a node with a config, in a folder that ShortDir gave, until the
// test ends. It waits until the node is ready, for patience at most.
func (b *Binaries) Starling(t *testing.T, patience time.Duration, dir, config string) *Starling {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, "config.toml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return b.Run(t, patience, dir)
}

// Run is Starling for a folder that has its config.toml.
func (b *Binaries) Run(t *testing.T, patience time.Duration, dir string) *Starling {
	t.Helper()
	cmd := exec.Command(b.Program(t), "run", "--config", filepath.Join(dir, "config.toml"), "--datadir", dir, "--json")
	var log Tail
	cmd.Stderr = &log
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s := &Starling{Dir: dir}
	ready, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		lines := bufio.NewScanner(out)
		for lines.Buffer(nil, 1<<20); lines.Scan(); {
			var kind struct {
				Event string `json:"event"`
			}
			if json.Unmarshal(lines.Bytes(), &kind) == nil && kind.Event == "ready" && json.Unmarshal(lines.Bytes(), s) == nil {
				close(ready)
			}
		}
	}()
	var once sync.Once
	s.Stop = func() {
		once.Do(func() {
			cmd.Process.Signal(syscall.SIGTERM)
			late := time.AfterFunc(30*time.Second, func() { cmd.Process.Kill() })
			<-ended
			if err := cmd.Wait(); err != nil {
				t.Errorf("starling ended with %v", err)
			}
			late.Stop()
		})
	}
	s.Kill = func() {
		once.Do(func() {
			cmd.Process.Kill()
			<-ended
			cmd.Wait() // which says that it was killed
		})
	}
	t.Cleanup(func() {
		s.Stop()
		if t.Failed() {
			t.Logf("the end of starling's log:\n%s", &log)
		}
	})
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case <-ready:
	case <-ended:
		t.Fatalf("starling ended before it was ready:\n%s", &log)
	case <-late.C:
		t.Fatalf("starling is not ready within %v", patience)
	}
	return s
}
