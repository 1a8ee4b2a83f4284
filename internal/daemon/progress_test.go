package daemon

import (
	"strings"
	"testing"
	"time"
)

func TestProgressTellsRateAndWhatIsLeft(t *testing.T) {
	var p progress
	at := time.Unix(1000, 0)
	if line := p.step(at, 100, 110); line != "" {
		t.Errorf("ten blocks to go: %q", line)
	}
	p.step(at, 0, 10_000)
	line := p.step(at.Add(10*time.Second), 1000, 10_000)
	for _, want := range []string{"block 1000 of 10000", "10.0 %", "100 blocks/s", "1m30s left"} {
		if !strings.Contains(line, want) {
			t.Errorf("%q does not say %q", line, want)
		}
	}
	for i := range 2 * progressSamples {
		line = p.step(at.Add(time.Duration(20+i)*time.Second), 1000, 10_000)
	}
	if !strings.Contains(line, "no block for") || !strings.Contains(line, "starling why") {
		t.Errorf("a sync that stands still is told as %q", line)
	}
	if line := p.step(at.Add(time.Hour), 10_000, 10_000); line != "" || len(p.looks) != 0 {
		t.Errorf("at the end: %q, %d looks are kept", line, len(p.looks))
	}
}

func TestTheLogStandsAboveTheStatusLine(t *testing.T) {
	var b strings.Builder
	s := &statusLine{out: &b}
	s.Write([]byte("one\n"))
	s.set("syncing")
	s.Write([]byte("two\n"))
	s.set("")
	if got, want := b.String(), "one\n\r\x1b[Ksyncing\r\x1b[Ktwo\nsyncing\r\x1b[K"; got != want {
		t.Errorf("wrote %q, want %q", got, want)
	}
}
