package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/starlingp2p/starling/internal/devnet"
)

// goodSummary is the last line of a run in which all went well, to the byte.
var goodSummary = regexp.MustCompile(`^\{"v":1,"event":"summary","nodes":(\d+),"head":[1-9]\d*,"heads_equal":true,"late_joiner_synced":true,"restarted_recovered":true,"txs_included":[1-9]\d*,"honest_bans":0(,"in_process":true)?\}$`)

func TestDevChecksWhatItClaims(t *testing.T) {
	for _, tt := range []struct {
		name string
		args []string
	}{
		{"processes", []string{"--nodes", "5", "--for", "30s"}},
		{"in-process", []string{"--nodes", "3", "--for", "12s", "--in-process"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tmp := t.TempDir()
			p := launch(t, []string{"TMPDIR=" + tmp}, append([]string{"dev", "--json"}, tt.args...)...)
			last := p.expect(`"event":"summary"`)
			<-p.done
			if code := p.cmd.ProcessState.ExitCode(); code != exitOK {
				t.Errorf("exit code %d, want %d; it said %s", code, exitOK, p.errors())
			}
			t.Log(last)
			m := goodSummary.FindStringSubmatch(last)
			if m == nil {
				t.Fatalf("the last line is %s, want one like %v", last, goodSummary)
			}
			if m[1] != tt.args[1] || (m[2] != "") != (tt.name == "in-process") {
				t.Errorf("%s does not tell what was run with %q", last, tt.args)
			}
			events := map[string]int{}
			for _, line := range p.seen {
				var l devnet.Line
				if err := json.Unmarshal([]byte(line), &l); err != nil || l.V != 1 {
					t.Fatalf("%q is no JSON line of version 1: %v", line, err)
				}
				events[l.Event]++
			}
			for _, want := range []string{"node", "ready", "joined", "killed", "restarted", "progress"} {
				if events[want] == 0 {
					t.Errorf("no line tells of %q: %v", want, events)
				}
			}
			if left, err := os.ReadDir(tmp); err != nil || len(left) != 0 {
				t.Errorf("the temporary folder still holds %v: %v", left, err)
			}
		})
	}
}

// A folder that was asked for is kept and its nodes can be run again; a second
// network is not put on top of it.
func TestDevKeepsTheFolderThatItWasGiven(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "net")
	p := launch(t, nil, "dev", "--nodes", "2", "--dir", dir, "--block-time", "200ms")
	text := p.expect("dev network: 2 nodes")
	p.expect("Ready in ")
	if !strings.Contains(text, "a block each 200ms") {
		t.Errorf("the first line is %q", text)
	}
	p.stop()
	for _, want := range []string{"node1   sequencer", "/ip4/127.0.0.1/tcp/", dir} {
		if !strings.Contains(strings.Join(p.seen, "\n"), want) {
			t.Errorf("no line tells %q: %q", want, p.seen)
		}
	}
	_, stderr, code := starling(t, "dev", "--nodes", "2", "--dir", dir)
	if line := only(t, stderr); code != exitUsage || !strings.Contains(line, dir) || !strings.Contains(line, `"node1"`) || !strings.Contains(line, "choose an empty folder") {
		t.Errorf("exit code %d and %q, want %d and the folder", code, line, exitUsage)
	}
	again := launch(t, nil, "run", "--config", configOf(filepath.Join(dir, "node1")), "--json")
	again.expect(`"event":"head"`)
	again.stop()
}

// What a person sees: every address, then Ready, then what happens, and a
// summary in words.
func TestDevTellsAPersonWhatHappens(t *testing.T) {
	p := launch(t, nil, "dev", "--nodes", "3", "--for", "10s", "--block-time", "200ms", "--in-process")
	for _, want := range []string{
		"3 nodes on the native wire", "sequencer", "/ip4/127.0.0.1/", "Ready in ", "joined late", "was killed", "is back at head",
		"Summary: 3 nodes", "all heads equal       yes", "late joiner synced    yes", "killed node recovered yes", "transactions included", "bans                  0",
	} {
		p.expect(want)
	}
	<-p.done
	if code := p.cmd.ProcessState.ExitCode(); code != exitOK || p.errors() != "" {
		t.Errorf("exit code %d and %q on standard error, want %d and nothing", code, p.errors(), exitOK)
	}
}

func TestDevRefusesAFolderThatIsTooDeep(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("x", 100))
	_, stderr, code := starling(t, "dev", "--dir", dir)
	if line := only(t, stderr); code != exitUsage || !strings.Contains(line, dir) || !strings.Contains(line, "shorter") {
		t.Errorf("exit code %d and %q", code, line)
	}
}
