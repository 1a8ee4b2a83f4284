package daemon

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/starlingp2p/starling/peer"
)

func newTestLogs(t *testing.T, cfg Config) (*Logs, *bytes.Buffer) {
	t.Helper()
	var out bytes.Buffer
	l, err := newLogs(cfg, &out, false)
	if err != nil {
		t.Fatal(err)
	}
	return l, &out
}

func TestLogIsJSONUnlessSomebodyLooksOrTheConfigSaysSo(t *testing.T) {
	l, out := newTestLogs(t, Config{})
	l.Logger().Info("hello", "n", 1)
	var line map[string]any
	if err := json.Unmarshal(out.Bytes(), &line); err != nil || line["msg"] != "hello" {
		t.Errorf("off a terminal the log is %q (%v), want JSON", out, err)
	}
	l, out = newTestLogs(t, Config{LogFormat: "text"})
	l.Logger().Info("hello", "n", 1)
	if !strings.Contains(out.String(), "level=INFO msg=hello n=1\n") {
		t.Errorf("the text log is %q", out)
	}
	out = &bytes.Buffer{}
	l, err := newLogs(Config{}, out, true)
	if err != nil {
		t.Fatal(err)
	}
	l.Logger().Info("hello")
	if !strings.Contains(out.String(), "level=INFO msg=hello\n") {
		t.Errorf("on a terminal the log is %q, want text", out)
	}
	l, err = newLogs(Config{}, nil, false)
	if err != nil {
		t.Fatal(err)
	}
	if l.Logger().Enabled(t.Context(), slog.LevelError) {
		t.Error("a log that nobody reads is written")
	}
}

func TestLevelsArePerPartAndChangeAtRunTime(t *testing.T) {
	l, out := newTestLogs(t, Config{LogLevel: "warn", LogFormat: "text", LogLevels: map[string]string{"swarm": "debug", "rpc": "off"}})
	log := l.Logger()
	parts := map[string]*slog.Logger{"": log, "swarm": log.With("part", "swarm"), "rpc": log.With("part", "rpc"), "wire": log.With("x", 1).With("part", "wire")}
	said := func() string {
		t.Helper()
		out.Reset()
		for _, part := range []string{"", "swarm", "rpc", "wire"} {
			for _, level := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError} {
				parts[part].Log(t.Context(), level, "m")
			}
		}
		var b strings.Builder
		for line := range strings.Lines(out.String()) {
			f := strings.Fields(line)
			b.WriteString(strings.TrimPrefix(f[1], "level=")[:1])
			if strings.HasPrefix(f[len(f)-1], "part=") {
				b.WriteString("/" + strings.TrimPrefix(f[len(f)-1], "part="))
			}
			b.WriteByte(' ')
		}
		return strings.TrimSpace(b.String())
	}
	if got, want := said(), "W E D/swarm I/swarm W/swarm E/swarm W/wire E/wire"; got != want {
		t.Errorf("said %q, want %q", got, want)
	}
	if err := l.SetPart("wire", "error"); err != nil {
		t.Fatal(err)
	}
	if err := l.SetPart("swarm", ""); err != nil {
		t.Fatal(err)
	}
	if err := l.SetPart("", "info"); err != nil {
		t.Fatal(err)
	}
	if got, want := said(), "I W E I/swarm W/swarm E/swarm E/wire"; got != want {
		t.Errorf("after the change said %q, want %q", got, want)
	}
	if err := l.Set("error", map[string]string{"rpc": "error"}); err != nil {
		t.Fatal(err)
	}
	if got, want := said(), "E E/swarm E/rpc E/wire"; got != want {
		t.Errorf("after a reload said %q, want %q", got, want)
	}
	levels := l.Levels()
	if levels[""] != "error" || levels["rpc"] != "error" || levels["libp2p"] != "off" {
		t.Errorf("levels = %v", levels)
	}
	for _, bad := range [][2]string{{"swarm", "loud"}, {"nobody", "info"}, {"", "loud"}, {"nobody", ""}} {
		if err := l.SetPart(bad[0], bad[1]); err == nil {
			t.Errorf("SetPart(%q, %q) passed", bad[0], bad[1])
		}
	}
	if err := l.Set("info", map[string]string{"nobody": "info"}); err == nil || !strings.Contains(err.Error(), "swarm") {
		t.Errorf("a part that is none: %v, want the parts that there are", err)
	}
	if got := l.Levels()[""]; got != "error" {
		t.Errorf("a change that failed set the level to %q", got)
	}
}

// Addresses and what else has a text of its own are that text, in JSON too.
func TestValuesWithATextAreThatText(t *testing.T) {
	l, out := newTestLogs(t, Config{})
	a := peer.Addr{Scheme: "multiaddr", Text: "/ip4/1.2.3.4/tcp/5"}
	l.Logger().Info("m", "one", a, "more", []peer.Addr{a, a}, "err", errors.New("why"), "took", time.Second)
	for _, want := range []string{`"one":"/ip4/1.2.3.4/tcp/5"`, `"more":["/ip4/1.2.3.4/tcp/5","/ip4/1.2.3.4/tcp/5"]`, `"err":"why"`, `"took":1000000000`} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %s in %s", want, out)
		}
	}
}

// Log injection: what a remote says, cleaned or not, is one line of the log.
func TestALineOfTheLogStaysOne(t *testing.T) {
	for _, format := range []string{"text", "json"} {
		l, out := newTestLogs(t, Config{LogFormat: format})
		for _, evil := range []string{"a\nlevel=ERROR msg=forged", "\r\n", "\x1b[31mred", "\u2028", "\"}\n{\"level\":\"ERROR\""} {
			out.Reset()
			l.Logger().Info("peer said", "detail", evil)
			text := strings.TrimSuffix(out.String(), "\n")
			if strings.ContainsAny(text, "\n\r\x1b") || strings.Count(out.String(), "\n") != 1 {
				t.Errorf("%s: %q became %q", format, evil, out)
			}
		}
	}
}

// Threat C-07: whatever a library writes, however often, is bounded, and the
// lines that were held back are counted.
func TestWhatLibrariesWriteIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, out := newTestLogs(t, Config{LogFormat: "text", LogLevels: map[string]string{"libp2p": "debug"}})
		log := slog.New(l.Libraries()).With("logger", "swarm2")
		for range 3600 { // an hour
			for range 100 {
				log.Error("failed to dial", "err", strings.Repeat("x", 10_000))
			}
			time.Sleep(time.Second)
		}
		if out.Len() > 1<<20 {
			t.Errorf("%d bytes an hour of one cause, want at most 1 MiB", out.Len())
		}
		if !strings.Contains(out.String(), "suppressed=499") || !strings.Contains(out.String(), "level=WARN") || strings.Contains(out.String(), "level=ERROR") {
			t.Errorf("the log begins %.600s", out)
		}
		out.Reset()
		for i := range 100_000 {
			log.Info("text of a peer's making " + strings.Repeat("y", i%1000))
		}
		if lines := strings.Count(out.String(), "\n"); lines > libraryTexts+1 {
			t.Errorf("%d lines at once, want at most %d", lines, libraryTexts+1)
		}
	})
}

func TestLibrariesAreQuietUnlessAskedFor(t *testing.T) {
	l, out := newTestLogs(t, Config{LogLevel: "debug"})
	log := slog.New(l.Libraries())
	log.Error("nobody asked")
	if out.Len() > 0 {
		t.Errorf("the log is %q", out)
	}
	if err := l.SetPart("libp2p", "warn"); err != nil {
		t.Fatal(err)
	}
	log.Info("not this")
	log.Error("but this")
	if !strings.Contains(out.String(), `"msg":"but this","part":"libp2p"`) || strings.Contains(out.String(), "not this") {
		t.Errorf("the log is %q", out)
	}
}

// Every part that writes a log can have a level, and every part that can have a
// level writes a log.
func TestThePartsOfTheLogAreThoseThatWriteOne(t *testing.T) {
	part := regexp.MustCompile(`With\("part", "([^"]*)"\)`)
	found := map[string]string{libraries: "Logs.Libraries"}
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, m := range part.FindAllSubmatch(text, -1) {
			found[string(m[1])] = path
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, path := range found {
		if !slices.Contains(logParts(), name) {
			t.Errorf("%s: the part %q is not in logParts", path, name)
		}
	}
	for _, name := range logParts() {
		if found[name] == "" {
			t.Errorf("the part %q can have a level, and nobody writes it", name)
		}
	}
}
