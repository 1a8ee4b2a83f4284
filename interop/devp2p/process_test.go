package devp2p

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// Releases of geth that tests talk to.
const (
	newest = "1.17.10"
	old    = "1.13.15" // the last with total difficulty
)

// binaries are built once a run.
type binaries struct {
	dir string

	mu    sync.Mutex
	built map[string]error
}

var peers = &binaries{built: map[string]error{}}

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "geth")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	peers.dir = dir
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

func (b *binaries) get(t *testing.T, release string) string {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	path := filepath.Join(b.dir, "geth-"+release)
	err, ok := b.built[release]
	if !ok {
		// 1.13.15 reaches into the runtime, which the linker refuses by default.
		cmd := exec.Command("go", "build", "-ldflags=-checklinkname=0", "-o", path, ".")
		cmd.Dir = filepath.Join("..", "peers", "geth-"+release)
		out, berr := cmd.CombinedOutput()
		if err = berr; err != nil {
			err = fmt.Errorf("build geth %s: %w\n%s", release, err, out)
		}
		b.built[release] = err
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// gethNode is a process of geth's P2P stack.
type gethNode struct {
	t       *testing.T
	cmd     *exec.Cmd
	in      io.WriteCloser
	Enode   string
	ENR     string
	Genesis json.RawMessage

	mu      sync.Mutex
	next    int
	answers map[int]chan answer
	events  []event
	changed chan struct{} // closed and replaced with each event
	done    chan struct{} // closed when its output has ended
	log     tail
}

type answer struct {
	ID     int             `json:"id"`
	Result json.RawMessage `json:"result"`
	Error  string          `json:"error"`
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

// tail keeps the last of a process's log, for a test that fails.
type tail struct {
	mu sync.Mutex
	b  []byte
}

func (l *tail) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.b = append(l.b, b...)
	if n := len(l.b); n > 16<<10 {
		l.b = append([]byte(nil), l.b[n-8<<10:]...)
	}
	return len(b), nil
}

// patience bounds whatever a process should do at once, on a busy machine.
const patience = 120 * time.Second

// runGeth starts one and stops it with the test.
func runGeth(t *testing.T, release string, start map[string]any) *gethNode {
	t.Helper()
	n := &gethNode{t: t, answers: map[int]chan answer{}, changed: make(chan struct{}), done: make(chan struct{})}
	n.cmd = exec.Command(peers.get(t, release))
	n.cmd.Stderr = &n.log
	var err error
	if n.in, err = n.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := n.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := n.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go n.read(out)
	t.Cleanup(func() {
		n.in.Close()
		late := time.AfterFunc(10*time.Second, func() { n.cmd.Process.Kill() })
		<-n.done
		n.cmd.Wait()
		late.Stop()
		if t.Failed() {
			t.Logf("the end of geth's log:\n%s", n.log.b)
		}
	})
	var ready struct {
		Enode   string
		ENR     string
		Genesis json.RawMessage
	}
	n.do(map[string]any{"do": "start", "params": start}, &ready)
	n.Enode, n.ENR, n.Genesis = ready.Enode, ready.ENR, ready.Genesis
	return n
}

func (n *gethNode) read(out io.Reader) {
	defer close(n.done)
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var kind struct {
			Event string `json:"event"`
		}
		if json.Unmarshal(lines.Bytes(), &kind) != nil {
			continue // not ours: a library that prints
		}
		n.mu.Lock()
		if kind.Event != "" {
			var e event
			if json.Unmarshal(lines.Bytes(), &e) == nil {
				n.events = append(n.events, e)
				close(n.changed)
				n.changed = make(chan struct{})
			}
		} else {
			var a answer
			if json.Unmarshal(lines.Bytes(), &a) == nil && n.answers[a.ID] != nil {
				n.answers[a.ID] <- a
				delete(n.answers, a.ID)
			}
		}
		n.mu.Unlock()
	}
}

// do sends a command and decodes its answer.
func (n *gethNode) do(cmd map[string]any, into any) {
	n.t.Helper()
	if err := n.try(cmd, into); err != nil {
		n.t.Fatalf("geth: %v: %v", cmd["do"], err)
	}
}

func (n *gethNode) try(cmd map[string]any, into any) error {
	ch := make(chan answer, 1)
	n.mu.Lock()
	n.next++
	cmd["id"] = n.next
	n.answers[n.next] = ch
	line, err := json.Marshal(cmd)
	if err == nil {
		_, err = n.in.Write(append(line, '\n'))
	}
	n.mu.Unlock()
	if err != nil {
		return err
	}
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case a := <-ch:
		if a.Error != "" {
			return fmt.Errorf("%s", a.Error)
		}
		if into != nil {
			return json.Unmarshal(a.Result, into)
		}
		return nil
	case <-n.done:
		return io.ErrUnexpectedEOF
	case <-late.C:
		return context.DeadlineExceeded
	}
}

// until waits for an event.
func (n *gethNode) until(what string, is func(event) bool) event {
	n.t.Helper()
	late := time.NewTimer(patience)
	defer late.Stop()
	for {
		n.mu.Lock()
		for _, e := range n.events {
			if is(e) {
				n.mu.Unlock()
				return e
			}
		}
		changed := n.changed
		n.mu.Unlock()
		select {
		case <-changed:
		case <-n.done:
			n.t.Fatalf("geth ended before there was %s", what)
		case <-late.C:
			n.t.Fatalf("within %v geth told of no %s", patience, what)
		}
	}
}
