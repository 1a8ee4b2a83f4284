package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// TestMain lets the test's own binary be the program, so that tests run the
// code as processes without building it a second time.
func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	goleak.VerifyTestMain(m)
}

const asProgram = "STARLING_TEST_AS_PROGRAM"

// full reports whether tests run at their full length, as "make full" does.
func full() bool { return os.Getenv("STARLING_FULL") != "" }

// starling runs one command line as a process and gives what it printed.
func starling(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if _, exited := err.(*exec.ExitError); err != nil && !exited {
		t.Fatalf("starling %s: %v", strings.Join(args, " "), err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

func TestBadUsageExitsWithTwoAndOneLine(t *testing.T) {
	tests := []struct {
		name string
		args []string
		want []string // in the line
	}{
		{"unknown verb", []string{"frobnicate"}, []string{"frobnicate"}},
		{"unknown flag", []string{"dev", "--frob"}, []string{"frob"}},
		{"no verb to watch", []string{"ban", "--watch", "somebody"}, []string{"starling ban has no flag --watch", "status", "probe", "config dump"}},
		{"too few nodes", []string{"dev", "--nodes", "1"}, []string{"--nodes is 1", "2 to 64"}},
		{"too short", []string{"dev", "--for", "1s"}, []string{"--for is 1s", "10s"}},
		{"bad size", []string{"dev", "--block-size", "big"}, []string{"--block-size", `"big"`}},
		{"no config", []string{"run", "--config", "nowhere.toml"}, []string{"nowhere.toml", "starling init"}},
		{"argument to run", []string{"run", "x"}, []string{`"x"`}},
		{"connect to nothing", []string{"connect"}, []string{"one address"}},
		{"no number", []string{"run", "--port", "many"}, []string{"--port is many", "a whole number", "starling run --help"}},
		{"no port", []string{"run", "--port", "99999"}, []string{"--port is 99999", "0 to 65535"}},
		{"no duration", []string{"ban", "--for", "long", "192.0.2.1"}, []string{"--for is long", `"30s"`}},
		{"too long a ban", []string{"ban", "--for", "999999h", "192.0.2.1"}, []string{"--for is 999999h", "87600h"}},
		{"no block", []string{"tail", "--count", "-1"}, []string{"--count is -1", "want 1 to"}},
		{"too short a recording", []string{"debug", "record", "--for", "500ms"}, []string{"--for is 500ms", "1s to 24h"}},
		{"help for no verb", []string{"help", "frobnicate"}, []string{"frobnicate", "starling --help"}},
		{"no pause between blocks", []string{"init", "--datadir", t.TempDir(), "--block-time", "0s"}, []string{"--block-time is 0s", "more than 0"}},
		{"no name of a network", []string{"init", "--datadir", t.TempDir(), "--name", ""}, []string{"init: network.name is \"\""}},
		{"a name of a network in two lines", []string{"init", "--datadir", t.TempDir(), "--name", "a\nb"}, []string{"init: network.name is \"a\\nb\""}},
		{"join without seed", []string{"init", "--datadir", t.TempDir(), "--join", "x.toml"}, []string{"x.toml"}},
		{"seed without join", []string{"init", "--datadir", t.TempDir(), "--seed", "/ip4/127.0.0.1/tcp/1"}, []string{"--join"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, stderr, code := starling(t, tt.args...)
			line := strings.TrimSpace(stderr)
			if code != exitUsage || strings.Count(line, "\n") != 0 {
				t.Errorf("exit code %d and %q, want %d and one line", code, line, exitUsage)
			}
			for _, w := range tt.want {
				if !strings.Contains(line, w) {
					t.Errorf("the line %q does not name %q", line, w)
				}
			}
		})
	}
}

func TestVerbsWithoutANodeExitWithThree(t *testing.T) {
	dir := t.TempDir()
	for _, args := range [][]string{{"status"}, {"peers"}, {"id"}, {"connect", "/ip4/127.0.0.1/tcp/1"}} {
		_, stderr, code := starling(t, append(args[:1:1], append([]string{"--datadir", dir}, args[1:]...)...)...)
		if code != exitUnreachable || !strings.Contains(stderr, dir) {
			t.Errorf("%s: exit code %d and %q, want %d and the datadir", args[0], code, stderr, exitUnreachable)
		}
	}
}
