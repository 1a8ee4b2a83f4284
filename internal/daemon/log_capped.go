package daemon

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// How much the log takes of one cause, which is one message: a burst, and then
// a line now and then that tells how many were held back. A line has a few
// hundred bytes, so that one cause makes less than 1 MB an hour whatever brings
// it about. Debug lines are not held back: somebody asked for them.
const (
	logBurst = 600
	logEvery = 3 * time.Second
	logTexts = 512 // messages that are counted apart; all others are one cause
)

// The same for libraries, whose messages are many and whose causes are remote.
const (
	libraryEvery = 5 * time.Second
	libraryTexts = 256
)

// Bounds of an attribute's text, in bytes; a stack is of a panic, which is a
// fault of ours.
const (
	maxLogAttr  = 512
	maxLogStack = 4 << 10
)

// pace lets each cause through at its pace. It is a leaf.
type pace struct {
	burst float64
	every time.Duration
	most  int

	mu    sync.Mutex
	texts map[string]*paced
}

type paced struct {
	tokens float64
	at     time.Time
	held   int
}

func newPace(burst float64, every time.Duration, most int) *pace {
	return &pace{burst: burst, every: every, most: most, texts: make(map[string]*paced)}
}

// allow reports whether a message may be written now, and how many like it were
// held back since the last one.
func (p *pace) allow(text string) (held int, ok bool) {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.texts[text]
	if t == nil && len(p.texts) >= p.most {
		text = ""
		t = p.texts[text]
	}
	if t == nil {
		t = &paced{tokens: p.burst, at: now}
		p.texts[text] = t
	}
	t.tokens = min(p.burst, t.tokens+float64(now.Sub(t.at))/float64(p.every))
	t.at = now
	if t.tokens < 1 {
		t.held++
		return 0, false
	}
	t.tokens--
	held, t.held = t.held, 0
	return held, true
}

// capped bounds what is written of each cause, and the length of a line.
type capped struct {
	next slog.Handler
	pace *pace
	// library makes a warning of an error: an error of this program is its own
	// fault, and theirs are mostly those of remotes. Their debug lines are bounded
	// too.
	library bool
}

// newCapped bounds the log of the program.
func newCapped(next slog.Handler) *capped {
	return &capped{next: next, pace: newPace(logBurst, logEvery, logTexts)}
}

// newLibrary bounds what libraries write.
func newLibrary(next slog.Handler) *capped {
	return &capped{next: next, pace: newPace(1, libraryEvery, libraryTexts), library: true}
}

// level is what a level counts as.
func (c *capped) level(l slog.Level) slog.Level {
	if c.library {
		return min(l, slog.LevelWarn)
	}
	return l
}

// Enabled implements slog.Handler.
func (c *capped) Enabled(ctx context.Context, l slog.Level) bool {
	return c.next.Enabled(ctx, c.level(l))
}

// Handle implements slog.Handler.
func (c *capped) Handle(ctx context.Context, r slog.Record) error {
	held := 0
	if c.library || r.Level >= slog.LevelInfo {
		var ok bool
		if held, ok = c.pace.allow(r.Message); !ok {
			return nil
		}
	}
	out := slog.NewRecord(r.Time, c.level(r.Level), bounded(r.Message), r.PC)
	r.Attrs(func(a slog.Attr) bool {
		out.AddAttrs(boundedAttr(a))
		return out.NumAttrs() < 32
	})
	if held > 0 {
		out.AddAttrs(slog.Int("held_back", held))
	}
	return c.next.Handle(ctx, out)
}

// WithAttrs implements slog.Handler.
func (c *capped) WithAttrs(attrs []slog.Attr) slog.Handler {
	short := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		short[i] = boundedAttr(a)
	}
	return &capped{c.next.WithAttrs(short), c.pace, c.library}
}

// WithGroup implements slog.Handler.
func (c *capped) WithGroup(name string) slog.Handler {
	return &capped{c.next.WithGroup(name), c.pace, c.library}
}

// boundedAttr keeps an attribute's text short. Values of other kinds are short,
// or become text in the library's way if they are not one of ours.
func boundedAttr(a slog.Attr) slog.Attr {
	v := a.Value.Resolve()
	switch v.Kind() {
	case slog.KindString:
		if s := v.String(); a.Key == "stack" {
			return slog.String(a.Key, s[:min(len(s), maxLogStack)])
		}
		return slog.String(a.Key, bounded(v.String()))
	case slog.KindAny:
		if a = asText(nil, slog.Attr{Key: a.Key, Value: v}); a.Value.Kind() == slog.KindString {
			return slog.String(a.Key, bounded(a.Value.String()))
		}
		if err, ok := a.Value.Any().(error); ok {
			return slog.String(a.Key, bounded(err.Error()))
		}
		if texts, ok := a.Value.Any().([]string); ok && len(texts) <= 16 {
			return slog.Any(a.Key, texts)
		}
		return slog.String(a.Key, bounded(v.String()))
	case slog.KindGroup:
		return slog.String(a.Key, bounded(v.String()))
	}
	return slog.Attr{Key: a.Key, Value: v}
}

func bounded(s string) string {
	if len(s) > maxLogAttr {
		return s[:maxLogAttr] + "…"
	}
	return s
}
