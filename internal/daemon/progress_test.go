package daemon

import (
	"context"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestProgressTellsRateAndWhatIsLeft(t *testing.T) {
	var p progress
	at := time.Unix(1000, 0)
	if line := p.step(at, 100, 110, 0); line != "" {
		t.Errorf("ten blocks to go: %q", line)
	}
	p.step(at, 0, 10_000, 0)
	line := p.step(at.Add(10*time.Second), 1000, 10_000, 0)
	for _, want := range []string{"block 1000 of 10000", "10.0 %", "100 blocks/s", "1m30s left"} {
		if !strings.Contains(line, want) {
			t.Errorf("%q does not say %q", line, want)
		}
	}
	for i := range 2 * progressSamples {
		line = p.step(at.Add(time.Duration(20+i)*time.Second), 1000, 10_000, 0)
	}
	if !strings.Contains(line, "no block for") || !strings.Contains(line, "starling why") {
		t.Errorf("a sync that stands still is told as %q", line)
	}
	if line := p.step(at.Add(time.Hour), 10_000, 10_000, 0); line != "" || len(p.looks) != 0 {
		t.Errorf("at the end: %q, %d looks are kept", line, len(p.looks))
	}
}

// A sync backwards imports nothing for long: what it fetched is told instead.
func TestProgressTellsWhatIsFetchedBackwards(t *testing.T) {
	var p progress
	at := time.Unix(1000, 0)
	p.step(at, 0, 10_000, 0)
	line := p.step(at.Add(10*time.Second), 0, 10_000, 1000)
	for _, want := range []string{"block 0 of 10000", "1000 fetched (10.0 %)", "100 blocks/s", "1m30s left"} {
		if !strings.Contains(line, want) {
			t.Errorf("%q does not say %q", line, want)
		}
	}
	p.step(at.Add(20*time.Second), 0, 10_000, 10_000)
	for i := range 2 * progressSamples {
		line = p.step(at.Add(time.Duration(21+i)*time.Second), uint64(100*i), 10_000, uint64(10_000-100*i))
	}
	if strings.Contains(line, "no block for") {
		t.Errorf("the import of what was fetched is told as %q", line)
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

// What else is printed on the same terminal stands above the line too.
func TestWhatIsPrintedStandsAboveTheStatusLine(t *testing.T) {
	var log, out strings.Builder
	s := &statusLine{out: &log}
	s.set("syncing")
	(&aboveLine{s, &out}).Write([]byte("{}\n"))
	if log.String() != "\r\x1b[Ksyncing\r\x1b[Ksyncing" || out.String() != "{}\n" {
		t.Errorf("wrote %q and %q", log.String(), out.String())
	}
}

// A line that wraps could not be written over: it is made to fit the window.
func TestTheStatusLineFitsTheWindow(t *testing.T) {
	const text = "syncing  block 0 of 10000 (0.0 %), 1000 fetched (10.0 %), 100 blocks/s, 1m30s left"
	for width, want := range map[int]string{
		0: text, 200: text, len(text) + 1: text,
		len(text): "syncing  block 0 of 10000 (0.0 %), 100 blocks/s, 1m30s left",
		50:        "syncing  block 0 of 10000 (0.0 %), 1m30s left",
		40:        "syncing  block 0 of 10000 (0.0 %)",
		20:        "syncing  block 0...",
		4:         "...", 3: "..", 1: "",
	} {
		if got := fit(text, width); got != want {
			t.Errorf("in %d columns it is %q, want %q", width, got, want)
		}
	}
	var b strings.Builder
	width := 0
	s := &statusLine{out: &b, width: func() int { return width }}
	s.set("syncing")
	width = 5
	s.set("syncing")
	if got, want := b.String(), "\r\x1b[Ksyncing\r\x1b[Ks..."; got != want {
		t.Errorf("as the window got narrow %q was written, want %q", got, want)
	}
}

// A first sync is told on one line where a person looks, and with a line each
// ten seconds where nobody does.
func TestAFirstSyncIsToldAsItGoes(t *testing.T) {
	for _, terminal := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			var b strings.Builder
			var out io.Writer = &b
			if terminal {
				out = &statusLine{out: &b}
			}
			ctx, cancel := context.WithTimeout(t.Context(), 35*time.Second+time.Millisecond)
			defer cancel()
			began := time.Now()
			tellProgress(ctx, out, func() (head, target, staged uint64) { // 100 blocks a second, and done after 30 s
				return min(3000, uint64(time.Since(began)/(10*time.Millisecond))), 3000, 0
			})
			text := b.String()
			if !strings.Contains(text, "100 blocks/s, 10s left") {
				t.Errorf("terminal %v: %q does not tell rate and time", terminal, text)
			}
			lines, updates := strings.Count(text, "\n"), strings.Count(text, "\r")
			switch {
			case terminal && (lines != 0 || updates < 25 || !strings.HasSuffix(text, "\r\x1b[K")):
				t.Errorf("on a terminal there are %d lines and %d updates: %q", lines, updates, text)
			case !terminal && (lines != 2 || updates != 0):
				t.Errorf("without one there are %d lines and %d updates, want 2 and none: %q", lines, updates, text)
			}
		})
	}
}
