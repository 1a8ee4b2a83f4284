package starling

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Threat C-07: remotes can bring alarms about, as often as they like.
func TestAlarmsDoNotFloodTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		n := &Node{log: slog.New(slog.NewTextHandler(&out, nil)), bus: newBus()}
		for range 60 {
			for range 1000 {
				n.alarm("a branch was refused", "a branch from 7 was refused")
			}
			time.Sleep(time.Second)
		}
		lines := strings.Count(out.String(), "\n")
		if lines < 6 || lines > 7 || !strings.Contains(out.String(), "suppressed=9999") {
			t.Errorf("%d lines in a minute:\n%s", lines, out.String())
		}
	})
}
