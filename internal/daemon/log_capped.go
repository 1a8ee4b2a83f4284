package daemon

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// What a library may write: one line of each text in cappedEvery, of at most
// cappedTexts texts; what comes beyond that is counted under one of them.
const (
	cappedEvery = 5 * time.Second
	cappedTexts = 256
	cappedAttr  = 256 // bytes of an attribute
)

// capped bounds what libraries write, since remotes bring most of it about. It
// makes a warning of an error: an error of this program is its own fault, and
// theirs are mostly those of remotes.
type capped struct {
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

func newCapped(next slog.Handler) *capped {
	return &capped{next, &pace{texts: make(map[string]*paced)}}
}

// allow reports whether a text may be written now, and how often it was not
// since the last time.
func (p *pace) allow(text string) (held int, ok bool) {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.texts[text]
	if t == nil && len(p.texts) >= cappedTexts {
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
	held, t.held, t.until = t.held, 0, now.Add(cappedEvery)
	return held, true
}

// Enabled implements slog.Handler.
func (c *capped) Enabled(ctx context.Context, level slog.Level) bool {
	return c.next.Enabled(ctx, min(level, slog.LevelWarn))
}

// Handle implements slog.Handler.
func (c *capped) Handle(ctx context.Context, r slog.Record) error {
	held, ok := c.allow(r.Message)
	if !ok {
		return nil
	}
	out := slog.NewRecord(r.Time, min(r.Level, slog.LevelWarn), bounded(r.Message), r.PC)
	r.Attrs(func(a slog.Attr) bool {
		out.AddAttrs(boundedAttr(a))
		return out.NumAttrs() < 16
	})
	if held > 0 {
		out.AddAttrs(slog.Int("suppressed", held))
	}
	return c.next.Handle(ctx, out)
}

// WithAttrs implements slog.Handler.
func (c *capped) WithAttrs(attrs []slog.Attr) slog.Handler {
	short := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		short[i] = boundedAttr(a)
	}
	return &capped{c.next.WithAttrs(short), c.pace}
}

// WithGroup implements slog.Handler.
func (c *capped) WithGroup(name string) slog.Handler { return &capped{c.next.WithGroup(name), c.pace} }

// boundedAttr keeps an attribute short; a value that is no plain one becomes text.
func boundedAttr(a slog.Attr) slog.Attr {
	v := a.Value.Resolve()
	switch v.Kind() {
	case slog.KindAny, slog.KindString, slog.KindGroup:
		return slog.String(a.Key, bounded(v.String()))
	}
	return slog.Attr{Key: a.Key, Value: v}
}

func bounded(s string) string {
	if len(s) > cappedAttr {
		return s[:cappedAttr] + "…"
	}
	return s
}
