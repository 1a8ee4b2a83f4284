package main

import (
	"bytes"
	"strings"
	"testing"
)

// Each kind is measured once, all blocks arrive, and both sides accept the same
// messages. No time is judged.
func TestEachKindIsMeasured(t *testing.T) {
	o := options{rounds: 1, blocks: 600, size: 20 << 10, steady: 40, requests: 20, messages: 40, slow: true}
	if testing.Short() {
		o.blocks, o.slow = 200, false
	}
	var told bytes.Buffer
	rounds, err := measure(t.Context(), o, &told)
	if err != nil {
		t.Fatalf("%v\n%s", err, told.String())
	}
	if r := rounds[0]; len(rounds) != 1 || r.Fill <= 0 || r.Raw <= 0 || r.Idle <= 0 || r.Beside <= 0 || r.One <= 0 || r.OpSeven <= 0 || o.slow && (r.OpPace <= 0 || r.OpBeside <= 0) {
		t.Errorf("the rounds are %+v", rounds)
	}
	text := result(o, rounds)
	for _, want := range []string{"ratio of medians", "beside 60 requests", "raw baseline", "six copies"} {
		if !strings.Contains(text, want) {
			t.Errorf("the report lacks %q:\n%s", want, text)
		}
	}
}
