package main

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/starlingp2p/starling/bench/internal/report"
)

// TestMain makes this test binary an end of a measurement where it is started
// as one.
func TestMain(m *testing.M) {
	if raw := os.Getenv(roleVar); raw != "" {
		if err := work(raw); err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// All blocks arrive, each is verified, and what each client has on disk is what
// the server has, byte for byte. No time is judged.
func TestBothSidesCopyTheWholeChain(t *testing.T) {
	o := options{rounds: 1, blocks: 4096, size: 64 << 10, more: true, check: true}
	if testing.Short() {
		o.blocks = 128
	}
	var told bytes.Buffer
	rounds, err := measure(t.Context(), o, &told)
	if err != nil {
		t.Fatalf("%v\n%s", err, told.String())
	}
	r := rounds[0]
	for name, of := range map[string]run{"starling": r.Starling, "with budgets": r.Budgeted} {
		blocks := 0
		for _, n := range of.Imports {
			blocks += n
		}
		if blocks != o.blocks || of.Headers < o.blocks || of.Bodies < o.blocks {
			t.Errorf("%s: %d blocks imported, %d headers and %d bodies verified, want %d", name, blocks, of.Headers, of.Bodies, o.blocks)
		}
	}
	for name, of := range map[string]run{"baseline": r.Raw, "baseline ahead": r.Ahead} {
		if got, want := len(of.Imports), len(r.Starling.Imports); got != want {
			t.Errorf("%s: %d synced commits, want %d", name, got, want)
		}
	}
	t.Logf("%s", told.String())
}

func TestReportTakesItsPlaceInADocument(t *testing.T) {
	path := t.TempDir() + "/doc.md"
	if err := os.WriteFile(path, []byte("before\n"+reportBegin+"old\n"+report.End+"after\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	r := round{Starling: run{result: result{Seconds: 2}}, Raw: run{result: result{Seconds: 1}}}
	if err := report.Write(path, reportBegin, syncReport(options{blocks: 16, size: 1 << 20}, []round{r, r, r})); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"before\n" + reportBegin, "median over median: 2.00", report.End + "after\n"} {
		if !strings.Contains(string(got), want) {
			t.Errorf("document lacks %q:\n%s", want, got)
		}
	}
	if strings.Contains(string(got), "old") {
		t.Errorf("the old report is still there:\n%s", got)
	}
	if err := os.WriteFile(path, []byte("no place\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := report.Write(path, reportBegin, "x"); err == nil {
		t.Error("a document without a place was written to")
	}
}

// A daemon syncs the whole chain with hostile clients at its RPC. No time is
// judged.
func TestADaemonSyncsWithHostileClientsAtItsRPC(t *testing.T) {
	o := options{rounds: 1, blocks: 1024, size: 16 << 10}
	if testing.Short() {
		o.blocks = 128
	}
	var told bytes.Buffer
	rounds, err := measureRPC(t.Context(), o, &told)
	if err != nil {
		t.Fatalf("%v\n%s", err, told.String())
	}
	if len(rounds) != 1 || rounds[0].Alone <= 0 || rounds[0].Beset <= 0 {
		t.Errorf("the rounds are %+v", rounds)
	}
	text := rpcReport(o, rounds)
	for _, want := range []string{"median over median", "alone", "50 hostile clients"} {
		if !strings.Contains(text, want) {
			t.Errorf("the report lacks %q:\n%s", want, text)
		}
	}
}
