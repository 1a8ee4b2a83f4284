package p2phost

import (
	"context"
	"log/slog"
	"maps"
	"os"
	"slices"

	golog "github.com/ipfs/go-log/v2"
	"github.com/libp2p/go-libp2p/gologshim"
	"go.uber.org/zap/zapcore"
)

// logLibraries keeps go-libp2p, pubsub and Kademlia from writing to standard
// error: what they log there as errors is what remotes do, which the Judge is
// told. h, if it is not nil, takes all of it, and says by Enabled what it
// wants; the libraries' loggers keep the first handler that they see. Whoever
// sets GOLOG_LOG_LEVEL gets what that asks for instead.
func logLibraries(h slog.Handler) {
	if os.Getenv("GOLOG_LOG_LEVEL") != "" {
		return
	}
	if h == nil {
		gologshim.SetDefaultHandler(slog.DiscardHandler)
		golog.SetAllLoggers(golog.LevelFatal)
		return
	}
	gologshim.SetDefaultHandler(h)
	golog.SetPrimaryCore(slogCore{h})
	golog.SetAllLoggers(golog.LevelDebug) // the core decides
}

// slogCore hands what go-log writes to a slog.Handler.
type slogCore struct{ h slog.Handler }

var _ zapcore.Core = slogCore{}

// Enabled implements zapcore.Core.
func (c slogCore) Enabled(l zapcore.Level) bool {
	return c.h.Enabled(context.Background(), slogLevel(l))
}

// With implements zapcore.Core.
func (c slogCore) With(fields []zapcore.Field) zapcore.Core {
	return slogCore{c.h.WithAttrs(attrsOf(fields))}
}

// Check implements zapcore.Core.
func (c slogCore) Check(e zapcore.Entry, to *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return to.AddCore(e, c)
	}
	return to
}

// Write implements zapcore.Core.
func (c slogCore) Write(e zapcore.Entry, fields []zapcore.Field) error {
	r := slog.NewRecord(e.Time, slogLevel(e.Level), e.Message, 0)
	if e.LoggerName != "" {
		r.AddAttrs(slog.String("logger", e.LoggerName))
	}
	r.AddAttrs(attrsOf(fields)...)
	return c.h.Handle(context.Background(), r)
}

// Sync implements zapcore.Core.
func (c slogCore) Sync() error { return nil }

// slogLevel is the level of the same name; what would end the process in zap
// is an error here.
func slogLevel(l zapcore.Level) slog.Level {
	switch {
	case l <= zapcore.DebugLevel:
		return slog.LevelDebug
	case l == zapcore.InfoLevel:
		return slog.LevelInfo
	case l == zapcore.WarnLevel:
		return slog.LevelWarn
	}
	return slog.LevelError
}

// attrsOf is what fields hold, in the order of their names.
func attrsOf(fields []zapcore.Field) []slog.Attr {
	enc := zapcore.NewMapObjectEncoder()
	for _, f := range fields {
		f.AddTo(enc)
	}
	attrs := make([]slog.Attr, 0, len(enc.Fields))
	for _, k := range slices.Sorted(maps.Keys(enc.Fields)) {
		attrs = append(attrs, slog.Any(k, enc.Fields[k]))
	}
	return attrs
}
