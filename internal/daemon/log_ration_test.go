package daemon

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/starlingp2p/starling/peer"
)

// Threat C-07: every cause writes 1 MB an hour at most, at whatever level, and
// what was held back is counted to the last line.
func TestEachCauseHasItsRation(t *testing.T) {
	for _, format := range []string{"text", "json"} {
		synctest.Test(t, func(t *testing.T) {
			l, out := newTestLogs(t, Config{LogFormat: format, LogLevel: "debug"})
			log := l.Logger().With("part", "swarm", "network", strings.Repeat("n", 100))
			const lines = 3600 * 40
			sum := func() int {
				total := 0
				for line := range strings.Lines(out.String()) {
					if strings.Contains(line, "a peer did it") {
						if !strings.Contains(line, "lines of the log were held back") {
							total++
						}
						total += suppressedIn(t, line)
					}
				}
				return total
			}
			for i := range lines {
				log.Debug("a peer did it", "peer", peer.ID(strings.Repeat("i", 200)), "err", errors.New(strings.Repeat("e", 500)))
				if i%40 == 39 {
					time.Sleep(time.Second)
				}
			}
			if n := out.Len(); n > 1_000_000 || n < 500_000 {
				t.Errorf("%s: %d bytes in an hour, want at most 1 MB", format, n)
			}
			// Another cause is free to speak, and brings what was not told yet.
			before := out.Len()
			time.Sleep(2 * rationTell)
			log.Info("all is well")
			if !strings.Contains(out.String()[before:], "all is well") || sum() != lines {
				t.Errorf("%s: %d lines are accounted for, want %d", format, sum(), lines)
			}
		})
	}
}

// suppressedIn is the count in a line, 0 where it has none.
func suppressedIn(t *testing.T, line string) int {
	t.Helper()
	i := strings.Index(line, "suppressed")
	if i < 0 {
		return 0
	}
	n := 0
	for _, c := range strings.TrimLeft(line[i+len("suppressed"):], `="':`) {
		if c < '0' || c > '9' {
			break
		}
		n = 10*n + int(c-'0')
	}
	return n
}

// More causes than there are messages share one ration: nothing grows.
func TestCausesAreBounded(t *testing.T) {
	h := newRationed(slog.DiscardHandler)
	for i := range 10 * rationKeys {
		h.allow(time.Unix(0, 0), strings.Repeat("x", i), 10)
	}
	if n := len(h.by); n > rationKeys+1 {
		t.Errorf("%d causes are kept", n)
	}
}

// Threat M-11: whatever a remote says, in whatever type it is logged, is cut,
// cleaned and on one line.
func TestRemoteTextIsPlainInTheLog(t *testing.T) {
	evil := "a\nlevel=ERROR msg=forged\r\x1b[31m\u009b31m\u202e\u2066\xff" + strings.Repeat("é", 1<<20)
	for _, format := range []string{"text", "json"} {
		l, out := newTestLogs(t, Config{LogFormat: format})
		log := l.Logger().With("agent", evil)
		log.Warn("peer said", "text", evil, "id", peer.ID(evil), "err", errors.New(evil), slog.Group("g", "in", evil))
		text := out.String()
		if strings.Count(text, "\n") != 1 || len(text) > 8*rationAttr || !utf8.ValidString(text) || strings.ContainsAny(text, "\r\x1b\u009b\u202e\u2066") {
			t.Errorf("%s: %d bytes, %d lines: %.300q", format, len(text), strings.Count(text, "\n"), text)
		}
	}
}

// FuzzPlainText: bounded, valid and harmless, and cleaning again changes nothing.
func FuzzPlainText(f *testing.F) {
	f.Add("agent/1.0")
	f.Add("a\x1b[31m\u202e\xff\n")
	f.Fuzz(func(t *testing.T, in string) {
		got := plainText(in)
		if len(got) > 2*rationAttr || !utf8.ValidString(got) || strings.ContainsAny(got, "\r\x00\x1b\u009b\u202e") {
			t.Fatalf("%q became %q", in, got)
		}
		if len(got) < rationAttr && plainText(got) != got {
			t.Fatalf("%q is cleaned twice", got)
		}
	})
}

// Whatever is logged takes the way over the ration.
func TestTheLogOfTheProgramIsRationed(t *testing.T) {
	var out bytes.Buffer
	l, err := newLogs(Config{}, &out, true)
	if err != nil {
		t.Fatal(err)
	}
	for range 10_000 {
		l.Logger().Error("again", "text", strings.Repeat("x", 1000))
	}
	if out.Len() > 2*rationBurst {
		t.Errorf("%d bytes at once", out.Len())
	}
}
