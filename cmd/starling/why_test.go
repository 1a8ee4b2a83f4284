package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	root "github.com/starlingp2p/starling"
	"github.com/starlingp2p/starling/internal/eventlog"
	"github.com/starlingp2p/starling/internal/why"
	"github.com/starlingp2p/starling/peer"
)

// A recording is explained without a node, to people and to programs.
func TestWhyReadsARecording(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events.jsonl")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	events := eventlog.New(0)
	events.Add(root.PeerClosed{ID: "12D3KooWRecorded", Reason: peer.BadScore, ByRemote: true})
	if _, err := events.WriteRecording(t.Context(), f, eventlog.Header{}, eventlog.Limits{}); err != nil {
		t.Fatal(err)
	}
	out, errs, code := starling(t, "why", "--recording", path)
	if code != exitOK || !strings.Contains(out, "peers were lost: our faults") || !strings.Contains(out, "out of a recording of 1 events") {
		t.Errorf("exit code %d: %s%s", code, out, errs)
	}
	out, errs, code = starling(t, "why", "--recording", path, "--json", "12D3KooWRecorded")
	var r why.Report
	if err := json.Unmarshal([]byte(out), &r); code != exitOK || err != nil || r.Findings[0].Code != "dropped:bad-score" {
		t.Errorf("exit code %d, %v: %s%s", code, err, out, errs)
	}
	if _, errs, code = starling(t, "why", "--recording", path+".gone"); code != exitUsage || !strings.Contains(errs, "debug record") {
		t.Errorf("exit code %d: %s", code, errs)
	}
	if err := os.WriteFile(path, []byte("garbage\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, errs, code = starling(t, "why", "--recording", path); code != exitUsage || !strings.Contains(errs, "not the header of a recording") {
		t.Errorf("exit code %d: %s", code, errs)
	}
}
