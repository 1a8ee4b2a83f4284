package daemon

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// What libraries may write: one line of each message in libraryEvery, of at most
// libraryTexts messages; all others are one. What they say is mostly of remotes'
// making, and unlike ours their messages are no constants, so that the ration of
// a cause does not bound them.
const (
	libraryEvery = 5 * time.Second
	libraryTexts = 256
)

// library is the way of libraries' lines into the log. It makes a warning of an
// error: an error of this program is its own fault, and theirs are mostly those
// of remotes.
type library struct {
	next slog.Handler
	*pace
}

// pace is shared by all handlers that come of one.
type pace struct {
	mu    sync.Mutex // a leaf
	texts map[string]*paced
}

type paced struct {
	until time.Time
	held  int
}

func newLibrary(next slog.Handler) *library {
	return &library{next, &pace{texts: make(map[string]*paced)}}
}

// allow reports whether a message may be written now, and how many like it were
// held back since the last one.
func (p *pace) allow(text string) (held int, ok bool) {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.texts[text]
	if t == nil && len(p.texts) >= libraryTexts {
		text = ""
		t = p.texts[text]
	}
	if t == nil {
		t = &paced{}
		p.texts[text] = t
	}
	if now.Before(t.until) {
		t.held++
		return 0, false
	}
	held, t.held, t.until = t.held, 0, now.Add(libraryEvery)
	return held, true
}

// Enabled implements slog.Handler.
func (l *library) Enabled(ctx context.Context, level slog.Level) bool {
	return l.next.Enabled(ctx, min(level, slog.LevelWarn))
}

// Handle implements slog.Handler.
func (l *library) Handle(ctx context.Context, r slog.Record) error {
	held, ok := l.allow(r.Message[:min(len(r.Message), rationAttr)])
	if !ok {
		return nil
	}
	out := slog.NewRecord(r.Time, min(r.Level, slog.LevelWarn), r.Message, r.PC)
	r.Attrs(func(a slog.Attr) bool {
		out.AddAttrs(flat(a))
		return true
	})
	if held > 0 {
		out.AddAttrs(slog.Int("suppressed", held))
	}
	return l.next.Handle(ctx, out)
}

// WithAttrs implements slog.Handler.
func (l *library) WithAttrs(attrs []slog.Attr) slog.Handler {
	plain := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		plain[i] = flat(a)
	}
	return &library{l.next.WithAttrs(plain), l.pace}
}

// WithGroup implements slog.Handler.
func (l *library) WithGroup(name string) slog.Handler {
	return &library{l.next.WithGroup(name), l.pace}
}

// flat makes text of a value of a library's own type, which can be of any size
// and depth.
func flat(a slog.Attr) slog.Attr {
	switch v := a.Value.Resolve(); v.Kind() {
	case slog.KindAny, slog.KindGroup:
		return slog.String(a.Key, v.String())
	default:
		return slog.Attr{Key: a.Key, Value: v}
	}
}
