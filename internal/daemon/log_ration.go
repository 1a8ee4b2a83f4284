package daemon

import (
	"context"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// What one cause may write: a message of one part, whoever brings it about.
// Together they stay below 1 MB in any hour.
const (
	rationRate  = 200      // bytes a second, on the long run
	rationBurst = 64 << 10 // bytes at once
	rationKeys  = 512      // causes; those beyond share one
	rationAttr  = 4 << 10  // bytes of an attribute
	rationAttrs = 32       // attributes of a line
	rationTell  = time.Minute
	rationTold  = 16 // causes that are told of at once
)

// rationed lets each cause write so much and no more, and says how many lines
// it held back: with the next one that passes, or a minute later in a line of
// their own. It cuts long attributes and cleans what a terminal would act on.
// The messages of this program are constants, so there are few causes.
type rationed struct {
	next slog.Handler
	*rations
	top     slog.Handler // next without attributes and groups, for lines of its own
	part    string
	grouped bool
	bytes   int // of the attributes that next has
}

// rations are shared by all handlers that come of one.
type rations struct {
	mu   sync.Mutex // a leaf
	by   map[string]*ration
	told time.Time
}

type ration struct {
	tokens float64
	at     time.Time
	held   int
}

func newRationed(next slog.Handler) *rationed {
	return &rationed{next: next, top: next, rations: &rations{by: map[string]*ration{}}}
}

// allow takes what a line costs. It gives the lines held back before it.
func (r *rations) allow(now time.Time, cause string, cost int) (held int, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.by[cause]
	if c == nil && len(r.by) >= rationKeys {
		cause = "other"
		c = r.by[cause]
	}
	if c == nil {
		c = &ration{tokens: rationBurst, at: now}
		r.by[cause] = c
	}
	c.tokens, c.at = min(rationBurst, c.tokens+rationRate*max(0, now.Sub(c.at).Seconds())), now
	if c.tokens < float64(cost) {
		c.held++
		return 0, false
	}
	c.tokens -= float64(cost)
	held, c.held = c.held, 0
	return held, true
}

// late gives the causes whose lines were held back and not told of, once in a
// while.
func (r *rations) late(now time.Time) (causes []string, held []int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.told.IsZero() {
		r.told = now
	}
	if now.Sub(r.told) < rationTell {
		return nil, nil
	}
	r.told = now
	for _, cause := range slices.Sorted(maps.Keys(r.by)) {
		if c := r.by[cause]; c.held > 0 && len(causes) < rationTold {
			causes, held = append(causes, cause), append(held, c.held)
			c.held = 0
		}
	}
	return causes, held
}

// Enabled implements slog.Handler.
func (h *rationed) Enabled(ctx context.Context, level slog.Level) bool {
	return h.next.Enabled(ctx, level)
}

// Handle implements slog.Handler.
func (h *rationed) Handle(ctx context.Context, r slog.Record) error {
	now := time.Now() // not r.Time, which a caller sets
	if causes, held := h.late(now); causes != nil {
		for i, cause := range causes {
			line := slog.NewRecord(r.Time, slog.LevelWarn, "lines of the log were held back", 0)
			line.AddAttrs(slog.String("msg_held", cause), slog.Int("suppressed", held[i]))
			if err := h.top.Handle(ctx, line); err != nil {
				return err
			}
		}
	}
	out := slog.NewRecord(r.Time, r.Level, plainText(r.Message), r.PC)
	cost, part, counted := 96+len(out.Message)+h.bytes, h.part, false
	r.Attrs(func(a slog.Attr) bool {
		a = plainAttr(a)
		cost += costOf(a)
		counted = counted || a.Key == "suppressed"
		if a.Key == "part" && !h.grouped {
			part = a.Value.String()
		}
		out.AddAttrs(a)
		return out.NumAttrs() < rationAttrs
	})
	held, ok := h.allow(now, strings.TrimPrefix(part+": "+out.Message, ": "), cost)
	if !ok {
		return nil
	}
	if held > 0 {
		key := "suppressed"
		if counted {
			key = "held_back"
		}
		out.AddAttrs(slog.Int(key, held))
	}
	return h.next.Handle(ctx, out)
}

// WithAttrs implements slog.Handler.
func (h *rationed) WithAttrs(attrs []slog.Attr) slog.Handler {
	next := *h
	plain := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		plain[i] = plainAttr(a)
		next.bytes += costOf(plain[i])
		if a.Key == "part" && !h.grouped {
			next.part = a.Value.String()
		}
	}
	next.next = h.next.WithAttrs(plain)
	return &next
}

// WithGroup implements slog.Handler.
func (h *rationed) WithGroup(name string) slog.Handler {
	next := *h
	next.next, next.grouped = h.next.WithGroup(name), h.grouped || name != ""
	return &next
}

// costOf is about what an attribute takes of a line.
func costOf(a slog.Attr) int { return len(a.Key) + 4 + len(a.Value.String()) }

// plainAttr cuts and cleans the texts of an attribute: a string, an error, and
// every type that is a string. Others are of our own making.
func plainAttr(a slog.Attr) slog.Attr {
	v := a.Value.Resolve()
	switch v.Kind() {
	case slog.KindString:
		return slog.String(a.Key, plainText(v.String()))
	case slog.KindGroup:
		return slog.String(a.Key, plainText(v.String()))
	case slog.KindAny:
		switch x := v.Any().(type) {
		case nil:
		case error:
			return slog.String(a.Key, plainText(x.Error()))
		default:
			if rv := reflect.ValueOf(x); rv.Kind() == reflect.String {
				return slog.String(a.Key, plainText(rv.String()))
			}
		}
	}
	return slog.Attr{Key: a.Key, Value: v}
}

// plainText bounds a text and takes out what a terminal or a reader of lines
// would act on: control characters but for line breaks and tabs, which the
// formats quote, and marks that turn the direction of writing.
func plainText(s string) string {
	if len(s) > rationAttr {
		cut := rationAttr
		for cut > 0 && !utf8.RuneStart(s[cut]) {
			cut--
		}
		s = s[:cut] + "…"
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return r
		case r < 0x20, r >= 0x7f && r < 0xa0, r == 0x2028, r == 0x2029, r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069, r == utf8.RuneError:
			return '?'
		}
		return r
	}, s)
}
