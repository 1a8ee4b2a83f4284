package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// children gives a handle on each child process of a process, as far as Linux
// tells. A handle becomes readable when its process has ended.
func children(t *testing.T, pid int) (fds []int) {
	t.Helper()
	lists, err := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/task/*/children")
	if err != nil {
		t.Fatal(err)
	}
	for _, list := range lists {
		raw, err := os.ReadFile(list)
		if err != nil {
			continue // the thread is gone
		}
		for _, field := range strings.Fields(string(raw)) {
			child, err := strconv.Atoi(field)
			if err != nil {
				t.Fatal(err)
			}
			fd, err := unix.PidfdOpen(child, 0)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { unix.Close(fd) })
			fds = append(fds, fd)
		}
	}
	return fds
}

// ended blocks until a process is gone.
func ended(t *testing.T, fd int) {
	t.Helper()
	deadline := time.Now().Add(limit)
	for time.Now().Before(deadline) {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(time.Until(deadline).Milliseconds()))
		if n == 1 {
			return
		}
		if err != nil && err != unix.EINTR {
			t.Fatal(err)
		}
	}
	t.Error("a child process is there yet")
}

// Ctrl-C in the middle, SIGTERM, and even SIGKILL leave no child process; the
// first two leave no temporary folder either.
func TestDevLeavesNothingBehind(t *testing.T) {
	for name, tt := range map[string]struct {
		sig  syscall.Signal
		code int
		args []string
	}{
		"interrupt": {syscall.SIGINT, exitOK, nil},
		"summary":   {syscall.SIGINT, exitFailed, []string{"--for", "1h"}},
		"terminate": {syscall.SIGTERM, exitOK, nil},
		"kill":      {syscall.SIGKILL, -1, nil},
	} {
		t.Run(name, func(t *testing.T) {
			tmp := t.TempDir()
			p := launch(t, []string{"TMPDIR=" + tmp}, append([]string{"dev", "--nodes", "3", "--block-time", "200ms"}, tt.args...)...)
			p.expect("Ready in ")
			fds := children(t, p.cmd.Process.Pid)
			if len(fds) < 2 {
				t.Fatalf("%d child processes, want 2", len(fds))
			}
			if code := p.end(tt.sig); code != tt.code {
				t.Errorf("exit code %d, want %d; it said %s", code, tt.code, p.errors())
			}
			for _, fd := range fds {
				ended(t, fd)
			}
			left, err := os.ReadDir(tmp)
			if err != nil || len(left) != 0 && tt.sig != syscall.SIGKILL {
				t.Errorf("the temporary folder still holds %v: %v", left, err)
			}
		})
	}
}
