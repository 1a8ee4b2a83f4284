package devnet

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/starlingp2p/starling/internal/daemon"
)

// maxLine bounds a line that a node prints.
const maxLine = 1 << 20

// process is one run of a node as a child process.
type process struct {
	cmd    *exec.Cmd
	said   chan struct{} // closed once the node has said that it is ready
	ended  chan struct{} // closed when it is gone
	first  daemon.Event  // the ready event; valid once said is closed
	acked  atomic.Uint64 // the number of its last acknowledged head
	err    error         // how it ended; valid once ended is closed
	stderr tail
}

// startProcess runs "binary run --config file --json". Its events go to on,
// from one goroutine.
func startProcess(binary, config string, env []string, on func(daemon.Event)) (*process, error) {
	p := &process{said: make(chan struct{}), ended: make(chan struct{})}
	p.cmd = exec.Command(binary, "run", "--config", config, "--json")
	p.cmd.Env = append(daemon.WithoutEnv(os.Environ()), env...) // the nodes differ; what the caller's environment says of one must not hold for all
	p.cmd.Stderr = &p.stderr
	p.cmd.SysProcAttr = childAttr()
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("devnet: %w", err)
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("devnet: start %s: %w", binary, err)
	}
	go func() {
		defer close(p.ended)
		p.read(out, on)
		p.err = p.cmd.Wait()
	}()
	return p, nil
}

// read takes the node's events until its output ends.
func (p *process) read(out io.Reader, on func(daemon.Event)) {
	lines := bufio.NewScanner(out)
	lines.Buffer(make([]byte, 0, 64<<10), maxLine)
	isReady := false
	for lines.Scan() {
		var ev daemon.Event
		if json.Unmarshal(lines.Bytes(), &ev) != nil {
			continue
		}
		switch ev.Event {
		case daemon.EventReady:
			if !isReady {
				p.first, isReady = ev, true
				close(p.said)
			}
		case daemon.EventHead:
			p.acked.Store(ev.Number)
		}
		on(ev)
	}
	io.Copy(io.Discard, out) // a line over the bound: let the node go on
}

// await blocks until the node is ready, has ended, or ctx ends.
func (p *process) await(ctx context.Context) error {
	select {
	case <-p.said:
		return nil
	case <-p.ended:
		return fmt.Errorf("devnet: node ended before it was ready: %w: %s", errors.Join(p.err, errEnded), p.stderr.String())
	case <-ctx.Done():
		return fmt.Errorf("devnet: node is not ready: %w: %s", ctx.Err(), p.stderr.String())
	}
}

var errEnded = errors.New("ended")

// kill ends the node at once, as a power cut would, and waits until it is gone.
func (p *process) kill() {
	p.cmd.Process.Kill()
	<-p.ended
}

// stop asks the node to stop, and kills it if it has not within 10 s.
func (p *process) stop() error {
	select {
	case <-p.ended:
		return fmt.Errorf("devnet: node had ended: %w: %s", errors.Join(p.err, errEnded), p.stderr.String())
	default:
	}
	p.cmd.Process.Signal(syscall.SIGTERM)
	late := time.NewTimer(10 * time.Second)
	defer late.Stop()
	select {
	case <-p.ended:
		if p.err != nil {
			return fmt.Errorf("devnet: node stopped with %w: %s", p.err, p.stderr.String())
		}
		return nil
	case <-late.C:
		p.kill()
		return errors.New("devnet: node did not stop within 10s and was killed")
	}
}

func (p *process) ready() daemon.Event   { return p.first }
func (p *process) lastAcked() uint64     { return p.acked.Load() }
func (p *process) gone() <-chan struct{} { return p.ended }

// tail keeps the end of what a process wrote.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

const tailBytes = 8 << 10

// Write implements io.Writer.
func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, b...)
	if over := len(t.buf) - tailBytes; over > 0 {
		t.buf = append(t.buf[:0], t.buf[over:]...)
	}
	return len(b), nil
}

// String is the last lines.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(string(t.buf))
}
