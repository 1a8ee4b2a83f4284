package main

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/starlingp2p/starling/interop/peers/steer"
)

// TestMain makes this test binary a part of a measurement where it is started
// as one.
func TestMain(m *testing.M) {
	if start := roles[os.Getenv(roleVar)]; start != nil {
		steer.Main(start)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// Each part runs to its end, and gives its figures. No time is judged.
func TestEachPartGivesItsFigures(t *testing.T) {
	var told bytes.Buffer
	o := options{rounds: 1, blocks: 1000, txs: 20, ask: 1000, tell: &told}
	if testing.Short() {
		o.blocks, o.ask = 400, 100
	}
	report, err := measure(o, "")
	if err != nil {
		t.Fatalf("%v\n%s", err, told.String())
	}
	for _, want := range []string{"Sync of", "executes the blocks", "| 1024KiB |", "| 1KiB |", "| a header |", "| 192 headers |", "| 128 bodies |", "p99, ms", "frugal", "push 1, announce 2"} {
		if !strings.Contains(report, want) {
			t.Errorf("the report lacks %q:\n%s", want, report)
		}
	}
}
