package main

import (
	"bytes"
	"context"
	"encoding/json"
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

func TestDevChecksWhatItClaims(t *testing.T) {
	for _, mode := range []string{"processes", "in-process"} {
		t.Run(mode, func(t *testing.T) {
			args := []string{"dev", "--nodes", "5", "--for", "30s", "--json"}
			if mode == "in-process" {
				args = []string{"dev", "--nodes", "3", "--for", "12s", "--json", "--in-process"}
			}
			stdout, stderr, code := starling(t, args...)
			if code != 0 {
				t.Errorf("exit code %d, want 0; stderr: %s", code, stderr)
			}
			lines := strings.Split(strings.TrimSpace(stdout), "\n")
			last := lines[len(lines)-1]
			t.Log(last)
			var s map[string]any
			if err := json.Unmarshal([]byte(last), &s); err != nil {
				t.Fatalf("last line %q: %v", last, err)
			}
			for key, want := range map[string]any{
				"v": 1.0, "event": "summary", "heads_equal": true, "late_joiner_synced": true,
				"restarted_recovered": true, "honest_bans": 0.0,
			} {
				if s[key] != want {
					t.Errorf("%s = %v, want %v", key, s[key], want)
				}
			}
			for _, key := range []string{"head", "txs_included"} {
				if n, _ := s[key].(float64); n < 1 {
					t.Errorf("%s = %v, want at least 1", key, s[key])
				}
			}
			if !strings.Contains(stdout, `"event":"killed"`) || !strings.Contains(stdout, `"event":"joined"`) {
				t.Errorf("nobody was killed or joined late:\n%s", stdout)
			}
		})
	}
}

func TestBadUsageExitsWithTwoAndOneLine(t *testing.T) {
	tests := []struct {
		name string
		args []string
		want []string // in the line
	}{
		{"unknown verb", []string{"frobnicate"}, []string{"frobnicate"}},
		{"unknown flag", []string{"dev", "--frob"}, []string{"frob"}},
		{"too few nodes", []string{"dev", "--nodes", "1"}, []string{"--nodes is 1", "2 to 64"}},
		{"too short", []string{"dev", "--for", "1s"}, []string{"--for is 1s", "10s"}},
		{"bad size", []string{"dev", "--block-size", "big"}, []string{"--block-size", `"big"`}},
		{"no config", []string{"run", "--config", "nowhere.toml"}, []string{"nowhere.toml", "starling init"}},
		{"argument to run", []string{"run", "x"}, []string{`"x"`}},
		{"connect to nothing", []string{"connect"}, []string{"one address"}},
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
