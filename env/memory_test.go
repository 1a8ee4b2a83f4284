package env

import (
	"math"
	"runtime/debug"
	"testing"
)

func TestMemoryLimitIsTheRuntimes(t *testing.T) {
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(123 << 20))
	if got := MemoryLimit(); got > 123<<20 || got <= 0 {
		t.Errorf("MemoryLimit = %d with a limit of %d", got, 123<<20)
	}
}

func TestLimitFilesAreRead(t *testing.T) {
	for text, want := range map[string]int64{
		"268435456\n": 256 << 20, "max\n": math.MaxInt64, "": math.MaxInt64, "-1": math.MaxInt64, "12 34": math.MaxInt64,
		"9223372036854771712\n": 9223372036854771712,
	} {
		if got := limitIn([]byte(text)); got != want {
			t.Errorf("limitIn(%q) = %d, want %d", text, got, want)
		}
	}
}
