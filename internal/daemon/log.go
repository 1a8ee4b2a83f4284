package daemon

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/starlingp2p/starling/peer"
)

// levelOff is over every level.
const levelOff = slog.Level(64)

// libraries is the part of the log that go-libp2p and what belongs to it write.
// It is off unless the config or the operator says otherwise: what they call an
// error is mostly what a remote did.
const libraries = "libp2p"

// logParts are the parts of the log that can have a level of their own: the
// values of the attribute "part".
func logParts() []string {
	return []string{
		"blocksync", "daemon", "engine", "ethereum", "ethstats", "ledger", libraries, "metrics", "opstack", "pool", "record", "relay", "rpc", "sealer", "sequenced", "sequencer", "serve", "swarm", "wire",
	}
}

// Logs is the log of a program, with a level for each part that can be changed
// while it is written. It never rotates: it goes to standard error, and what
// supervises the process (systemd, a container's runtime) keeps and bounds it.
type Logs struct {
	out    slog.Handler // writes all that it is given
	now    atomic.Pointer[logLevels]
	change sync.Mutex // of those who set levels
}

// logLevels are never changed once they are shown.
type logLevels struct {
	all   slog.Level
	parts map[string]slog.Level
}

func (l *logLevels) of(part string) slog.Level {
	if own, ok := l.parts[part]; ok {
		return own
	}
	if part == libraries {
		return levelOff
	}
	return l.all
}

// newLogs writes on w, nil: nowhere. The format is what the config says, else
// text on a terminal and JSON elsewhere.
func newLogs(cfg Config, w io.Writer, terminal bool) (*Logs, error) {
	l := &Logs{out: slog.DiscardHandler}
	if err := l.Set(cfg.LogLevel, cfg.LogLevels); err != nil {
		return nil, err
	}
	opts := &slog.HandlerOptions{Level: slog.Level(-64), ReplaceAttr: asText}
	switch {
	case w == nil:
		l.now.Store(&logLevels{all: levelOff})
	case cfg.LogFormat == "json", cfg.LogFormat == "" && !terminal:
		l.out = slog.NewJSONHandler(w, opts)
	default:
		l.out = slog.NewTextHandler(w, opts)
	}
	if w != nil {
		l.out = newRationed(l.out)
	}
	return l, nil
}

// Logger writes to the log; its attribute "part" chooses the level.
func (l *Logs) Logger() *slog.Logger { return slog.New(&partHandler{logs: l, inner: l.out}) }

// asText writes values that have a text of their own as that, in JSON too.
func asText(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() != slog.KindAny {
		return a
	}
	switch v := a.Value.Any().(type) {
	case []peer.Addr:
		texts := make([]string, len(v))
		for i, addr := range v {
			texts[i] = addr.String()
		}
		return slog.Any(a.Key, texts)
	case error: // the handler knows
	case fmt.Stringer:
		return slog.String(a.Key, v.String())
	}
	return a
}

// logsOf is the Logs that a logger writes to; nil where it is another's.
func logsOf(log *slog.Logger) *Logs {
	if h, ok := log.Handler().(*partHandler); ok {
		return h.logs
	}
	return nil
}

// librariesOf is where libraries write if a program logs to log.
func librariesOf(log *slog.Logger) slog.Handler {
	if l := logsOf(log); l != nil {
		return l.Libraries()
	}
	return nil
}

// Libraries takes what go-libp2p and what belongs to it write.
func (l *Logs) Libraries() slog.Handler {
	own := &partHandler{logs: l, inner: l.out, part: libraries}
	return newLibrary(own.with([]slog.Attr{slog.String("part", libraries)}))
}

// Set replaces all levels: that of the log, empty: info, and those of parts.
// Nothing changes if one of them is none.
func (l *Logs) Set(all string, parts map[string]string) error {
	levels := &logLevels{parts: map[string]slog.Level{}}
	var err error
	if levels.all, err = parseLevel("log_level", all); err != nil {
		return err
	}
	for _, part := range slices.Sorted(maps.Keys(parts)) {
		if levels.parts[part], err = partLevel(part, parts[part]); err != nil {
			return err
		}
	}
	l.change.Lock()
	defer l.change.Unlock()
	l.now.Store(levels)
	return nil
}

// SetPart changes the level of one part, empty: of all that have none of their
// own. An empty level gives a part that of the log again.
func (l *Logs) SetPart(part, level string) error {
	l.change.Lock()
	defer l.change.Unlock()
	old := l.now.Load()
	levels := &logLevels{all: old.all, parts: maps.Clone(old.parts)}
	if levels.parts == nil {
		levels.parts = map[string]slog.Level{}
	}
	var err error
	switch {
	case part == "":
		levels.all, err = parseLevel("level", level)
	case level == "":
		_, err = partLevel(part, "info")
		delete(levels.parts, part)
	default:
		levels.parts[part], err = partLevel(part, level)
	}
	if err == nil {
		l.now.Store(levels)
	}
	return err
}

// Levels are those in force: of each part, and of the rest under "".
func (l *Logs) Levels() map[string]string {
	now := l.now.Load()
	out := map[string]string{"": levelName(now.all)}
	for _, part := range logParts() {
		out[part] = levelName(now.of(part))
	}
	return out
}

func levelName(l slog.Level) string {
	if l == levelOff {
		return "off"
	}
	return strings.ToLower(l.String())
}

// parseLevel reads a level; empty is info.
func parseLevel(key, text string) (slog.Level, error) {
	switch text {
	case "":
		return slog.LevelInfo, nil
	case "off":
		return levelOff, nil
	}
	var l slog.Level
	if l.UnmarshalText([]byte(text)) == nil {
		return l, nil
	}
	return 0, fmt.Errorf("%s is %.80q, want debug, info, warn or error, or off", key, text)
}

func partLevel(part, text string) (slog.Level, error) {
	if !slices.Contains(logParts(), part) {
		return 0, fmt.Errorf("log_levels has the part %.80q, want one of %s", part, strings.Join(logParts(), ", "))
	}
	return parseLevel("log_levels."+part, text)
}

// partHandler passes on what is at the level of its part or over it.
type partHandler struct {
	logs    *Logs
	inner   slog.Handler
	part    string // empty: none
	grouped bool   // attributes no longer are at the top
}

// Enabled implements slog.Handler.
func (h *partHandler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= h.logs.now.Load().of(h.part)
}

// Handle implements slog.Handler.
func (h *partHandler) Handle(ctx context.Context, r slog.Record) error { return h.inner.Handle(ctx, r) }

// WithAttrs implements slog.Handler.
func (h *partHandler) WithAttrs(attrs []slog.Attr) slog.Handler { return h.with(attrs) }

func (h *partHandler) with(attrs []slog.Attr) *partHandler {
	next := *h
	next.inner = h.inner.WithAttrs(attrs)
	for _, a := range attrs {
		if a.Key == "part" && !h.grouped {
			next.part = a.Value.String()
		}
	}
	return &next
}

// WithGroup implements slog.Handler.
func (h *partHandler) WithGroup(name string) slog.Handler {
	next := *h
	next.inner, next.grouped = h.inner.WithGroup(name), h.grouped || name != ""
	return &next
}
