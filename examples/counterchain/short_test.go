package counterchain_test

import (
	"os"
	"strings"
	"testing"
)

// The whole chain is one file that a newcomer reads at a sitting.
func TestCounterChainIsShort(t *testing.T) {
	text, err := os.ReadFile("chain.go")
	if err != nil {
		t.Fatal(err)
	}
	lines := 0
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "//") {
			lines++
		}
	}
	if lines > 150 {
		t.Errorf("chain.go has %d lines of code, want at most 150", lines)
	}
	t.Logf("%d lines of code", lines)
}
