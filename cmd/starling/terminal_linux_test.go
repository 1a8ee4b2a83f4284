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

// A second Ctrl-C ends a node that cannot stop: it prints into a pipe that
// nobody reads. The first says that it stops.
func TestASecondCtrlCEndsAtOnce(t *testing.T) {
	t.Run("by a signal", func(t *testing.T) {
		p := &program{t: t, done: make(chan struct{})}
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		defer cancel()
		p.cmd = exec.CommandContext(ctx, os.Args[0], "run", "--config", configOf(newDatadir(t)), "--json")
		p.cmd.Env = append(os.Environ(), asProgram+"=1", "STARLING_RPC_LISTEN=127.0.0.1:0")
		p.cmd.Stderr = p
		full := newFullPipe(t)
		p.cmd.Stdout = full
		if err := p.cmd.Start(); err != nil {
			t.Fatal(err)
		}
		full.Close()
		go func() { defer close(p.done); p.cmd.Wait() }()
		sent := interruptTwice(t, p.done, p.errors, func() error { return p.cmd.Process.Signal(os.Interrupt) })
		if code := p.cmd.ProcessState.ExitCode(); sent < 2 || code != exitFailed || !strings.Contains(p.errors(), "ended at the second signal") {
			t.Errorf("it ended with %d after %d signals and said %s", code, sent, p.errors())
		}
	})
	t.Run("by a key", func(t *testing.T) {
		full := newFullPipe(t)
		s, ok := onScreen(t, []string{"STARLING_RPC_LISTEN=127.0.0.1:0"}, 80, full, "run", "--config", configOf(newDatadir(t)), "--json")
		if !ok {
			return
		}
		full.Close()
		errors := func() string { text, _ := s.seen(); return text }
		sent := interruptTwice(t, s.done, errors, func() error { _, err := s.master.Write([]byte{3}); return err })
		if code := s.cmd.ProcessState.ExitCode(); sent < 2 || code != exitFailed || !strings.Contains(errors(), "ended at the second signal") {
			t.Errorf("it ended with %d after %d times Ctrl-C and said %s", code, sent, errors())
		}
	})
}

// newFullPipe is the end to write to of a pipe that is full and that nobody reads.
func newFullPipe(t *testing.T) *os.File {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	size, err := unix.FcntlInt(w.Fd(), unix.F_SETPIPE_SZ, 4096)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(make([]byte, size)); err != nil {
		t.Fatal(err)
	}
	return w
}

// interruptTwice interrupts a node until it is done: once it listens, and again
// once it said that it stops. It gives how often.
func interruptTwice(t *testing.T, done <-chan struct{}, said func() string, interrupt func() error) (sent int) {
	t.Helper()
	tick := time.NewTicker(sameSignal + 50*time.Millisecond) // sooner is the same signal
	defer tick.Stop()
	for {
		select {
		case <-done:
			return sent
		case <-tick.C:
		}
		if sent == 0 && strings.Contains(said(), "listening") || sent == 1 && strings.Contains(said(), "Ctrl-C again") {
			sent++
			if err := interrupt(); err != nil && !errors.Is(err, os.ErrProcessDone) {
				t.Fatal(err)
			}
		}
	}
}

// newTerminal opens a terminal: the side of who looks and types, and that of
// the programs in it.
func newTerminal(t *testing.T) (master, slave *os.File, ok bool) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Logf("unproven here: this machine gives no terminal: %v", err)
		return nil, nil, false
	}
	t.Cleanup(func() { master.Close() })
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Logf("unproven here: this machine gives no terminal: %v", err)
		return nil, nil, false
	}
	return master, slave, true
}

// onTerminal runs a command line whose output is a terminal, and gives what a
// person would see.
func onTerminal(t *testing.T, env []string, args ...string) (seen string, ok bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	master, slave, ok := newTerminal(t)
	if !ok {
		return "", false
	}
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Env = append(append(os.Environ(), asProgram+"=1", "TERM=xterm"), env...)
	cmd.Stdout, cmd.Stderr = slave, slave
	err := cmd.Start()
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
