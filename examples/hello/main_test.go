package main

import (
	"bufio"
	"context"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// TestMain lets the test's own binary be the program: TestTwoProcessesMeet
// runs it as two processes.
func TestMain(m *testing.M) {
	if os.Getenv("HELLO_AS_PROGRAM") != "" {
		main()
		return
	}
	goleak.VerifyTestMain(m)
}

// program is a running hello.
type program struct {
	t     *testing.T
	cmd   *exec.Cmd
	lines chan string
	seen  []string
}

func start(t *testing.T, args ...string) *program {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Env = append(os.Environ(), "HELLO_AS_PROGRAM=1")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &program{t: t, cmd: cmd, lines: make(chan string, 64)}
	read := make(chan struct{})
	go func() {
		defer close(read)
		defer close(p.lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			p.lines <- s.Text()
		}
		io.Copy(io.Discard, out)
	}()
	t.Cleanup(func() { cancel(); <-read; cmd.Wait() })
	return p
}

// expect gives the first line that holds want, whether it has come or comes yet.
func (p *program) expect(want string) string {
	p.t.Helper()
	for _, line := range p.seen {
		if strings.Contains(line, want) {
			return line
		}
	}
	deadline := time.After(time.Minute)
	for {
		select {
		case line, ok := <-p.lines:
			if !ok {
				p.t.Fatalf("the program ended before it printed %q, but %q", want, p.seen)
			}
			p.seen = append(p.seen, line)
			if strings.Contains(line, want) {
				return line
			}
		case <-deadline:
			p.t.Fatalf("no line with %q in %q", want, p.seen)
		}
	}
}

func TestTwoProcessesMeet(t *testing.T) {
	first := start(t)
	address := strings.TrimPrefix(first.expect("listening on "), "listening on ")

	second := start(t, address)
	second.expect("found ")
	second.expect(`answers: "hello, `)
	first.expect(`asks: "who is there?"`)
	second.expect(`tells everybody: "hello from `)
	first.expect(`tells everybody: "hello from `)

	second.cmd.Process.Signal(os.Interrupt)
	first.expect(" is gone: quitting")
	if err := second.cmd.Wait(); err != nil {
		t.Errorf("the program ended with %v at an interrupt, want success", err)
	}
}

// A node that cannot start leaves nothing running, and says which address it
// did not understand.
func TestABadAddressIsRefused(t *testing.T) {
	err := hello(t.Context(), []string{"nonsense"}, io.Discard)
	if err == nil || !strings.Contains(err.Error(), `"nonsense"`) {
		t.Errorf("hello gave %v, want what is wrong with the address", err)
	}
}
