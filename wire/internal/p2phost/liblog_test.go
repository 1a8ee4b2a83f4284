package p2phost

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"go.uber.org/zap"
)

// What go-log's loggers write comes out as slog's would, and a level that the
// handler does not want is not written.
func TestWhatGoLogWritesGoesToSlog(t *testing.T) {
	var out bytes.Buffer
	log := zap.New(slogCore{slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelInfo})}).Named("dht").Sugar()
	log.Debugw("not this")
	log.With("peer", "p1").Infow("hello", "n", 7, "err", errors.New("a\nb"))
	log.Errorf("bad %d", 3)
	got := out.String()
	for _, want := range []string{"level=INFO msg=hello", "logger=dht", "peer=p1", "n=7", `err="a\nb"`, `level=ERROR msg="bad 3"`} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if strings.Contains(got, "not this") || strings.Count(got, "\n") != 2 {
		t.Errorf("got\n%s", got)
	}
}
