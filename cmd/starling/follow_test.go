package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/starlingp2p/starling/internal/daemon"
)

// said runs a verb that must succeed and gives what it printed.
func said(t *testing.T, args ...string) string {
	t.Helper()
	stdout, stderr, code := starling(t, args...)
	if code != exitOK || stderr != "" {
		t.Fatalf("starling %s: exit code %d and %q", strings.Join(args, " "), code, stderr)
	}
	return stdout
}

// document runs a verb with --json and reads what it printed.
func document(t *testing.T, into any, args ...string) {
	t.Helper()
	text := said(t, append(args, "--json")...)
	dec := json.NewDecoder(strings.NewReader(text))
	if err := dec.Decode(into); err != nil || dec.More() {
		t.Fatalf("starling %s --json printed %q, want one document: %v", strings.Join(args, " "), text, err)
	}
}

// TestInitJoinAndFollow is the tutorial: a new network, a second node that
// joins it by the first one's config file, and every verb that asks, in text
// and as JSON.
func TestInitJoinAndFollow(t *testing.T) {
	base := t.TempDir()
	one, two := filepath.Join(base, "one"), filepath.Join(base, "two")
	made := said(t, "init", "--datadir", one, "--name", "harbour", "--block-time", "100ms")
	if !strings.Contains(made, "starling run --config "+configOf(one)) {
		t.Errorf("init does not say what is next: %q", made)
	}
	a := launch(t, nil, "run", "--config", configOf(one), "--json")
	a.head(3)

	var id struct {
		V     int      `json:"v"`
		ID    string   `json:"id"`
		Addrs []string `json:"addrs"`
	}
	document(t, &id, "id", "--datadir", one)
	if id.V != 1 || len(id.Addrs) != 2 {
		t.Fatalf("id: %+v, want version 1 and two addresses", id)
	}
	if text := said(t, "id", "--datadir", one); text != id.ID+"\n"+strings.Join(id.Addrs, "\n")+"\n" {
		t.Errorf("id in text is %q, as JSON it was %+v", text, id)
	}

	said(t, "init", "--datadir", two, "--join", configOf(one), "--seed", id.Addrs[0])
	if _, err := os.Stat(filepath.Join(two, "keys", "sequencer.key")); !os.IsNotExist(err) {
		t.Errorf("a follower got a sequencer's key: %v", err)
	}
	b := launch(t, nil, "run", "--config", configOf(two), "--json")
	b.expect(`"event":"ready"`)
	b.head(10)

	var status daemon.StatusReply
	document(t, &status, "status", "--datadir", two)
	if status.V != 1 || status.Network != "harbour" || status.Peers != 1 || status.Head.Number < 10 {
		t.Errorf("status of the follower: %+v", status)
	}
	for _, want := range []string{"harbour", "head", "peers", "1 (", status.ID} {
		if text := said(t, "status", "--datadir", two); !strings.Contains(text, want) {
			t.Errorf("status does not say %q: %s", want, text)
		}
	}
	var peers struct {
		V     int                `json:"v"`
		Peers []daemon.PeerReply `json:"peers"`
	}
	document(t, &peers, "peers", "--datadir", one)
	if peers.V != 1 || len(peers.Peers) != 1 || peers.Peers[0].ID != status.ID {
		t.Errorf("peers of the sequencer: %+v, want %s", peers, status.ID)
	}
	if text := said(t, "peers", "--datadir", one); !strings.Contains(text, status.ID) || !strings.Contains(text, "bound") { // either may have dialled first
		t.Errorf("peers in text: %s", text)
	}
	if text := said(t, "connect", "--datadir", two, id.Addrs[1]); text != "connected\n" {
		t.Errorf("connect to who is connected: %q", text)
	}
	_, stderr, code := starling(t, "connect", "--datadir", two, "/ip4/127.0.0.1/tcp/1/p2p/"+somebody)
	if line := only(t, stderr); code != exitFailed {
		t.Errorf("connect to nobody: exit code %d and %q, want %d and why", code, line, exitFailed)
	}

	// What the follower takes for the sequencer's head follows the blocks that
	// come, not only what is claimed every so often.
	document(t, &peers, "peers", "--datadir", two)
	shown := peers.Peers[0].Head.Number
	b.head(shown + 3)
	document(t, &peers, "peers", "--datadir", two)
	if now := peers.Peers[0].Head.Number; now <= shown {
		t.Errorf("the peer's head stays at %d", now)
	}
	b.stop()
	b = launch(t, nil, "run", "--config", configOf(two), "--json")
	var again daemon.Event
	if err := json.Unmarshal([]byte(b.expect(`"event":"ready"`)), &again); err != nil || !slices.Equal(again.Addrs, status.Addrs) {
		t.Errorf("came back at %v, was at %v: %v", again.Addrs, status.Addrs, err)
	}
	b.head(again.Number + 3)
	b.stop()
	if code := a.end(os.Interrupt); code != exitOK {
		t.Errorf("exit code %d at an interrupt, want %d; it said %s", code, exitOK, a.errors())
	}
	for name, p := range map[string]*program{"sequencer": a, "follower": b} {
		if lines := strings.Count(p.errors(), "\n"); lines > 12 || strings.Contains(p.errors(), "ERROR") {
			t.Errorf("the %s wrote %d lines of log, want about ten and no error:\n%s", name, lines, p.errors())
		}
	}
}

// A generated config holds what matters, each with what it means, and nothing
// that is zero; init overwrites nothing.
func TestInitWritesAReadableConfigAndOverwritesNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "node")
	said(t, "init", "--datadir", dir)
	before := snapshot(t, dir)
	text := before[configOf(dir)]
	if zero := regexp.MustCompile(`(?m)= (0|0\.0|"0s"|"0B"|"")$`).FindString(text); zero != "" {
		t.Errorf("the config says %q:\n%s", zero, text)
	}
	for _, want := range []string{"# where others reach us", `name = "private"`, `block_interval = "2s"`, `produce_key = "keys/sequencer.key"`} {
		if !strings.Contains(text, want) {
			t.Errorf("the config does not say %q:\n%s", want, text)
		}
	}
	for _, args := range [][]string{{"init", "--datadir", dir}, {"init", "--datadir", dir, "--name", "other"}} {
		_, stderr, code := starling(t, args...)
		if line := only(t, stderr); code != exitUsage || !strings.Contains(line, "exists already") || !strings.Contains(line, "choose another datadir") {
			t.Errorf("%q: exit code %d and %q", args, code, line)
		}
	}
	for path, was := range before {
		if now := snapshot(t, dir)[path]; now != was {
			t.Errorf("%s was changed", path)
		}
	}
	if err := os.Remove(configOf(dir)); err != nil {
		t.Fatal(err)
	}
	_, stderr, code := starling(t, "init", "--datadir", dir)
	if line := only(t, stderr); code != exitUsage || !strings.Contains(line, "sequencer.key") {
		t.Errorf("with a key of before: exit code %d and %q", code, line)
	}
	if _, err := os.Stat(configOf(dir)); !os.IsNotExist(err) {
		t.Error("a refused init left a config")
	}
}

// What a person sees of a run: addresses, then Ready with the next step; and
// SIGTERM ends it well.
func TestRunSaysWhereItIsAndWhatIsNext(t *testing.T) {
	dir := newDatadir(t)
	p := launch(t, nil, "run", "--config", configOf(dir))
	p.expect("network test on the native wire, block 0")
	p.expect("/ip4/127.0.0.1/tcp/")
	p.expect("Ready. Try, in another terminal:  starling status --datadir " + dir)
	p.stop()
	if text := p.errors(); strings.Contains(text, "ERROR") || strings.Contains(text, "WARN") {
		t.Errorf("the log has trouble: %s", text)
	}
}

// TestSIGTERMInASyncStopsTheNodeWell shows threat row S-10: a node that is told
// to stop in the middle of its first sync stops within the 5 s that it gives
// itself, with exit code 0 and its state on disk: it goes on from what it had
// acknowledged.
func TestSIGTERMInASyncStopsTheNodeWell(t *testing.T) {
	base := t.TempDir()
	one := filepath.Join(base, "one")
	said(t, "init", "--datadir", one, "--block-time", "10ms")
	a := launch(t, nil, "run", "--config", configOf(one), "--json")
	var ready daemon.Event
	if err := json.Unmarshal([]byte(a.expect(`"event":"ready"`)), &ready); err != nil {
		t.Fatal(err)
	}
	const chainLength = 700
	a.head(chainLength)
	inTheMiddle := false
	for try := 0; try < 8 && !inTheMiddle; try++ {
		dir := filepath.Join(base, "two"+strings.Repeat("o", try))
		said(t, "init", "--datadir", dir, "--join", configOf(one), "--seed", ready.Addrs[0])
		b := launch(t, nil, "run", "--config", configOf(dir), "--json")
		b.head(1)
		if code := b.end(syscall.SIGTERM); code != exitOK {
			t.Fatalf("exit code %d, want %d; it said %s", code, exitOK, b.errors())
		}
		acked := uint64(0)
		for _, line := range b.seen {
			var ev daemon.Event
			if json.Unmarshal([]byte(line), &ev) == nil && ev.Event == daemon.EventHead {
				acked = ev.Number
			}
		}
		again := launch(t, nil, "run", "--config", configOf(dir), "--json")
		var back daemon.Event
		if err := json.Unmarshal([]byte(again.expect(`"event":"ready"`)), &back); err != nil {
			t.Fatal(err)
		}
		if back.Number < acked {
			t.Errorf("came back at block %d, had acknowledged %d", back.Number, acked)
		}
		inTheMiddle = back.Number < chainLength
		again.head(chainLength)
		again.stop()
	}
	if !inTheMiddle {
		t.Error("every sync had ended before the signal came")
	}
	a.stop()
}

// The verbs of a node that is there, asked for what is not.
func TestErrorsOfARunningNodeAreOneLine(t *testing.T) {
	dir := newDatadir(t)
	p := launch(t, nil, "run", "--config", configOf(dir), "--json")
	p.expect(`"event":"ready"`)
	for address, want := range map[string]int{
		"hello": exitUsage, "enode://00@127.0.0.1:1": exitUsage, "/ip4/127.0.0.1/tcp/1": exitUsage, // it names no peer
		"/ip4/127.0.0.1/tcp/1/p2p/12D3KooWE6VY7JAqok7YvYVrZZRMKPGvKcfcghsc85m6iW2qCifS": exitFailed,
	} {
		_, stderr, code := starling(t, "connect", "--datadir", dir, address)
		if line := only(t, stderr); code != want || !strings.Contains(line, address) {
			t.Errorf("connect %s: exit code %d and %q", address, code, line)
		}
	}
	p.stop()
	if bytes.Contains([]byte(p.errors()), []byte("ERROR")) {
		t.Errorf("what was asked reached the error log: %s", p.errors())
	}
}
