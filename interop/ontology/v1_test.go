package ontology

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// binary is v1.0.0, built once a run.
var binary string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "ontology")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		binary = filepath.Join(dir, "ontology-1.0.0")
		cmd := exec.Command("go", "build", "-o", binary, ".")
		cmd.Dir = filepath.Join("..", "peers", "ontology-1.0.0")
		if out, err := cmd.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "build of v1.0.0: %v\n%s", err, out)
			return 1
		}
		return m.Run()
	}())
}

// v1 is a process of v1.0.0.
type v1 struct {
	t       *testing.T
	cmd     *exec.Cmd
	in      io.WriteCloser
	stop    func()
	Port    int
	Genesis string
	Head    string

	mu      sync.Mutex
	next    int
	answers map[int]chan answer
	done    chan struct{} // closed when its output has ended
	log     tail
}

type answer struct {
	ID     int             `json:"id"`
	Result json.RawMessage `json:"result"`
	Error  string          `json:"error"`
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

// patience bounds whatever a process does, on a busy machine.
const patience = 3 * time.Minute

// freePort is a port on which nobody listens.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// runV1 starts one and stops it with the test.
func runV1(t *testing.T, start map[string]any) *v1 {
	t.Helper()
	p := &v1{t: t, answers: map[int]chan answer{}, done: make(chan struct{}), Port: freePort(t)}
	params := map[string]any{"dir": t.TempDir(), "magic": magic, "port": p.Port}
	for k, v := range start {
		params[k] = v
	}
	p.cmd = exec.Command(binary)
	p.cmd.Stderr = &p.log
	var err error
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go p.read(out)
	p.stop = sync.OnceFunc(func() {
		p.in.Close()
		late := time.AfterFunc(10*time.Second, func() { p.cmd.Process.Kill() })
		<-p.done
		p.cmd.Wait()
		late.Stop()
	})
	t.Cleanup(func() {
		p.stop()
		if t.Failed() {
			t.Logf("the end of its log:\n%s", p.log.b)
		}
	})
	var ready struct{ Genesis, Head string }
	p.do(map[string]any{"do": "start", "params": params}, &ready)
	p.Genesis, p.Head = ready.Genesis, ready.Head
	return p
}

func (p *v1) read(out io.Reader) {
	defer close(p.done)
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var a answer
		if json.Unmarshal(lines.Bytes(), &a) != nil {
			continue // a library that prints
		}
		p.mu.Lock()
		if ch := p.answers[a.ID]; ch != nil {
			ch <- a
			delete(p.answers, a.ID)
		}
		p.mu.Unlock()
	}
}

// do sends a command and decodes its answer.
func (p *v1) do(cmd map[string]any, into any) {
	p.t.Helper()
	ch := make(chan answer, 1)
	p.mu.Lock()
	p.next++
	cmd["id"] = p.next
	p.answers[p.next] = ch
	line, err := json.Marshal(cmd)
	if err == nil {
		_, err = p.in.Write(append(line, '\n'))
	}
	p.mu.Unlock()
	if err != nil {
		p.t.Fatalf("v1.0.0: %v: %v", cmd["do"], err)
	}
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case a := <-ch:
		if a.Error != "" {
			p.t.Fatalf("v1.0.0: %v: %s", cmd["do"], a.Error)
		}
		if into != nil {
			if err := json.Unmarshal(a.Result, into); err != nil {
				p.t.Fatal(err)
			}
		}
	case <-p.done:
		p.t.Fatalf("v1.0.0 ended at %v", cmd["do"])
	case <-late.C:
		p.t.Fatalf("v1.0.0 did not answer %v", cmd["do"])
	}
}

// addr is where it listens.
func (p *v1) addr() string { return fmt.Sprintf("127.0.0.1:%d", p.Port) }

// blocks is how many blocks it has, and the hash of the last.
func (p *v1) blocks() (uint64, string) {
	var h struct {
		Blocks uint64
		Head   string
	}
	p.do(map[string]any{"do": "height"}, &h)
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
