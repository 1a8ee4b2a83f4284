package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/starlingp2p/starling/internal/daemon"
)

// The config is printed again when the file has changed; what counts for a node
// that runs changes with SIGHUP alone.
func TestAConfigIsWatched(t *testing.T) {
	dir := newDatadir(t)
	node := launch(t, []string{"STARLING_RPC_LISTEN=127.0.0.1:0"}, "run", "--config", configOf(dir), "--json")
	node.expect(`"event":"ready"`)
	file := launch(t, nil, "config", "dump", "--config", configOf(dir), "--json", "--watch")
	running := launch(t, nil, "config", "dump", "--config", configOf(dir), "--json", "--watch", "--running")
	const of = `{"key":"log_level","value":`
	for _, p := range []*program{file, running} {
		if line := p.expect(of); !strings.Contains(line, of+`"info","origin":"default"`) {
			t.Errorf("it begins with %s", line)
		}
	}
	rewrite(t, configOf(dir), func(s string) string { return "log_level = \"warn\"\n" + s })
	if line := file.expect(of); !strings.Contains(line, of+`"warn","origin":"file `) {
		t.Errorf("the file changed, and it says %s", line)
	}
	if err := node.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	if line := running.expect(of); !strings.Contains(line, of+`"warn","origin":"file `) {
		t.Errorf("the node took the file over, and it says %s", line)
	}
	for _, p := range []*program{file, running} {
		if code := p.end(os.Interrupt); code != exitOK {
			t.Errorf("exit code %d; it said %s", code, p.errors())
		}
	}
	node.stop()
}

// A file that cannot be used for a while is told once, and does not end a watch
// that began; one that could never be used does.
func TestABrokenConfigIsToldWhileWatched(t *testing.T) {
	good := func(value string) daemon.ConfigReply {
		return daemon.ConfigReply{V: 1, Values: []daemon.Value{{Key: "log_level", Value: value}}}
	}
	broken := &daemon.ConfigError{Path: "x.toml", Line: 3, Err: errors.New("unknown key")}
	var next daemon.ConfigReply
	var err error
	var said bytes.Buffer
	look := changes(func(context.Context) (daemon.ConfigReply, error) { return next, err }, &said)
	err = broken
	if _, _, err := look(t.Context()); err == nil || said.Len() > 0 {
		t.Errorf("a file that was never good: %v, and %q", err, said.String())
	}
	for i, step := range []struct {
		value string
		err   error
		anew  bool
		lines int
	}{
		{"info", nil, true, 0},
		{"info", nil, false, 0},
		{"", broken, false, 1},
		{"", broken, false, 1},
		{"info", nil, false, 1},
		{"", broken, false, 2},
		{"warn", nil, true, 2},
	} {
		next, err = good(step.value), step.err
		_, anew, err := look(t.Context())
		if lines := strings.Count(said.String(), "x.toml line 3"); err != nil || anew != step.anew || lines != step.lines {
			t.Errorf("look %d: anew %v, %d lines, %v; want %v, %d", i, anew, lines, err, step.anew, step.lines)
		}
	}
	err = errors.New("the node is gone")
	if _, _, err := look(t.Context()); err == nil {
		t.Error("a node that is gone does not end it")
	}
}
