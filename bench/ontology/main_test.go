package main

import (
	"bytes"
	"strings"
	"testing"
)

// Each kind is measured once, and all blocks arrive. No time is judged.
func TestEachKindIsMeasured(t *testing.T) {
	o := options{rounds: 1, blocks: 1200, full: 30, txs: 20, slow: true, told: 50}
	if testing.Short() {
		o.blocks, o.slow = 600, false
	}
	var told bytes.Buffer
	m, err := measure(t.Context(), o, &told)
	if err != nil {
		t.Fatalf("%v\n%s", err, told.String())
	}
	for name, rounds := range map[string][]round{"empty": m.empty, "full": m.full} {
		if len(rounds) != 1 || rounds[0].Bare <= 0 || rounds[0].Starling <= 0 || rounds[0].Served <= 0 || o.slow && rounds[0].V1 <= 0 {
			t.Errorf("%s: the rounds are %+v", name, rounds)
		}
	}
	if len(m.stalls) != 1 || m.stalls[0].Idle <= 0 || m.stalls[0].Beside <= 0 {
		t.Errorf("the delays are %+v", m.stalls)
	}
	text := m.report(o)
	for _, want := range []string{"ratio of medians", "bare client from v1.0.0", "of 20 transactions", "beside a peer that"} {
		if !strings.Contains(text, want) {
			t.Errorf("the report lacks %q:\n%s", want, text)
		}
	}
}
