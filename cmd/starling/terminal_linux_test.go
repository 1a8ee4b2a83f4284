package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestASecondCtrlCEndsAtOnce has a node print into a pipe that nobody reads: it
// cannot stop. The first Ctrl-C says that it stops, the second ends it.
func TestASecondCtrlCEndsAtOnce(t *testing.T) {
	dir := newDatadir(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	size, err := unix.FcntlInt(w.Fd(), unix.F_SETPIPE_SZ, 4096)
	if err != nil {
		t.Fatal(err)
	}
	p := &program{t: t, done: make(chan struct{})}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	p.cmd = exec.CommandContext(ctx, os.Args[0], "run", "--config", configOf(dir), "--json")
	p.cmd.Env = append(os.Environ(), asProgram+"=1", "STARLING_RPC_LISTEN=127.0.0.1:0")
	p.cmd.Stdout, p.cmd.Stderr = w, p
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	go func() { defer close(p.done); p.cmd.Wait() }()

	tick := time.NewTicker(sameSignal + 50*time.Millisecond)
	defer tick.Stop()
	for sent, before, same := 0, 0, 0; ; {
		select {
		case <-p.done:
			if code := p.cmd.ProcessState.ExitCode(); sent < 2 || code != exitFailed || !strings.Contains(p.errors(), "ended at the second signal") {
				t.Errorf("it ended with %d after %d signals and said %s", code, sent, p.errors())
			}
			return
		case <-tick.C:
		}
		full, err := unix.IoctlGetInt(int(r.Fd()), unix.TIOCINQ)
		if err != nil {
			t.Fatal(err)
		}
		// The pipe is full when the line of a head, of some 125 bytes, has no room,
		// or when nothing has come for long; the second signal comes once the first
		// was heard.
		if same++; full != before {
			before, same = full, 0
		}
		if sent == 0 && (size-full < 124 || size-full < 140 && same > 20) || sent == 1 && strings.Contains(p.errors(), "Ctrl-C again") {
			sent++
			if err := p.cmd.Process.Signal(os.Interrupt); err != nil && !errors.Is(err, os.ErrProcessDone) {
				t.Fatal(err)
			}
		}
	}
}

// onTerminal runs a command line whose output is a terminal, and gives what a
// person would see.
func onTerminal(t *testing.T, env []string, args ...string) (seen string, ok bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Logf("unproven here: this machine gives no terminal: %v", err)
		return "", false
	}
	defer master.Close()
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Logf("unproven here: this machine gives no terminal: %v", err)
		return "", false
	}
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Env = append(append(os.Environ(), asProgram+"=1", "TERM=xterm"), env...)
	cmd.Stdout, cmd.Stderr = slave, slave
	err = cmd.Start()
	slave.Close()
	if err != nil {
		t.Fatal(err)
	}
	var (
		out bytes.Buffer
		wg  sync.WaitGroup
	)
	wg.Go(func() { io.Copy(&out, master) }) // ends with an error when the last writer is gone
	cmd.Wait()
	wg.Wait()
	return out.String(), true
}

// Colours are for people: on a terminal and not where NO_COLOR is set.
func TestColoursAreForPeople(t *testing.T) {
	dir := newDatadir(t)
	args := []string{"config", "dump", "--config", configOf(dir)}
	const code = "\x1b["
	if seen, ok := onTerminal(t, []string{"NO_COLOR="}, args...); ok && (!strings.Contains(seen, code+bold+"mKEY") || !strings.Contains(seen, "network.name")) {
		t.Errorf("on a terminal there is no colour: %q", seen)
	}
	if seen, ok := onTerminal(t, []string{"NO_COLOR=1"}, args...); ok && (strings.Contains(seen, code) || !strings.Contains(seen, "network.name")) {
		t.Errorf("with NO_COLOR it is %q", seen)
	}
	if text := said(t, args...); strings.Contains(text, code) {
		t.Errorf("in a pipe it is %q", text)
	}
	if seen, _ := onTerminal(t, []string{"NO_COLOR="}, append(args, "--json")...); strings.Contains(seen, code) {
		t.Errorf("as JSON it is %q", seen)
	}
}
