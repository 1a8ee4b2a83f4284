// Package lab is what the measurements share while they run: the programs of real
// peers, nodes of ours, and profiles of them. The programs of this module call it; peers never
// reach it.
package lab

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/pprof"
	"time"

	"golang.org/x/sys/unix"
)

// Build builds the program of a real peer, that of interop/peers/NAME, into dir
// and gives its path.
func Build(ctx context.Context, dir, name string) (string, error) {
	from, err := filepath.Abs(filepath.Join(moduleDir(), "..", "interop", "peers", name))
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, name)
	cmd := exec.CommandContext(ctx, "go", "build", "-o", path, ".")
	cmd.Dir = from
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("bench: build of %s: %w\n%s", name, err, out)
	}
	return path, nil
}

// moduleDir is where the module bench lies: the working folder, or the one
// above in a test.
func moduleDir() string {
	if _, err := os.Stat("go.mod"); err != nil {
		return ".."
	}
	return "."
}

// CPU is the processor time of this process so far: what other programs on the
// machine do disturbs it little.
func CPU() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// Profile starts a CPU profile, unless the file has no name, and gives what
// ends it.
func Profile(path string) (stop func() error, err error) {
	if path == "" {
		return func() error { return nil }, nil
	}
	f, err := os.Create(path)
	if err == nil {
		err = pprof.StartCPUProfile(f)
	}
	return func() error {
		pprof.StopCPUProfile()
		return f.Close()
	}, err
}
