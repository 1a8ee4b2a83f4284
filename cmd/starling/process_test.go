package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/starlingp2p/starling/internal/daemon"
)

// limit ends a test that hangs; no result depends on it.
const limit = 3 * time.Minute

// program is a running command line.
type program struct {
	t     *testing.T
	cmd   *exec.Cmd
	lines chan string
	seen  []string
	done  chan struct{} // closed when it has ended

	mu     sync.Mutex
	stderr bytes.Buffer
}

// Write takes what it writes to its standard error.
func (p *program) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stderr.Write(b)
}

func (p *program) errors() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stderr.String()
}

// launch starts a command line and leaves it running; it is killed at the end
// of the test if it is there yet.
func launch(t *testing.T, env []string, args ...string) *program {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	p := &program{t: t, lines: make(chan string, 4096), done: make(chan struct{})}
	p.cmd = exec.CommandContext(ctx, os.Args[0], args...)
	p.cmd.Env = append(append(os.Environ(), asProgram+"=1"), env...)
	p.cmd.Stderr = p
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.done)
		s := bufio.NewScanner(out)
		for s.Buffer(nil, 1<<20); s.Scan(); {
			select {
			case p.lines <- s.Text():
			case <-ctx.Done():
			}
		}
		close(p.lines)
		io.Copy(io.Discard, out)
		p.cmd.Wait()
	}()
	t.Cleanup(func() { cancel(); <-p.done })
	return p
}

// expect blocks for the next line that holds want.
func (p *program) expect(want string) string {
	p.t.Helper()
	return p.await(want, func(line string) bool { return strings.Contains(line, want) })
}

// await blocks for the next line that fits.
func (p *program) await(what string, fits func(line string) bool) string {
	p.t.Helper()
	deadline := time.After(limit)
	for {
		select {
		case line, ok := <-p.lines:
			if !ok {
				p.t.Fatalf("the program ended before %s; it printed %q and %q", what, p.seen, p.errors())
			}
			p.seen = append(p.seen, line)
			if fits(line) {
				return line
			}
		case <-deadline:
			p.t.Fatalf("no %s in %q", what, p.seen)
		}
	}
}

// head blocks for the event of a head of at least that number.
func (p *program) head(number uint64) {
	p.t.Helper()
	p.await("head", func(line string) bool {
		var ev daemon.Event
		return json.Unmarshal([]byte(line), &ev) == nil && ev.Event == daemon.EventHead && ev.Number >= number
	})
}

// end sends a signal, waits until the program has ended, and gives its exit code.
func (p *program) end(sig os.Signal) int {
	p.t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		p.t.Errorf("signal: %v", err)
	}
	for {
		select {
		case _, ok := <-p.lines:
			if !ok {
				<-p.done
				return p.cmd.ProcessState.ExitCode()
			}
		case <-time.After(limit):
			p.t.Fatal("the program does not end")
		}
	}
}

// stop ends the program as an operator does, and checks that it ended well. A
// node that needs more than 5 s says so and fails.
func (p *program) stop() {
	p.t.Helper()
	if code := p.end(syscall.SIGTERM); code != exitOK {
		p.t.Errorf("exit code %d at SIGTERM, want %d; it said %s", code, exitOK, p.errors())
	}
}

// only gives a text's one line; anything else fails the test.
func only(t *testing.T, text string) string {
	t.Helper()
	line, rest, _ := strings.Cut(text, "\n")
	if line == "" || rest != "" {
		t.Errorf("%q is not exactly one line", text)
	}
	return line
}
