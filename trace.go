package starling

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/starlingp2p/starling/peer"
)

// Names of spans.
const (
	spanDial      = "starling.dial"
	spanHandshake = "starling.handshake"
	spanRequest   = "starling.request"
	spanServe     = "starling.serve"
	spanValidate  = "starling.validate"
	spanImport    = "starling.import"
)

// tracer starts spans. The zero tracer is off, and then a span costs nothing.
type tracer struct{ t trace.Tracer }

func newTracer(p trace.TracerProvider) tracer {
	if p == nil {
		return tracer{}
	}
	return tracer{p.Tracer("github.com/starlingp2p/starling")}
}

// span is one that was started; the zero span is none.
type span struct{ s trace.Span }

func (t tracer) start(ctx context.Context, name string) (context.Context, span) {
	if t.t == nil {
		return ctx, span{}
	}
	ctx, s := t.t.Start(ctx, name)
	return ctx, span{s}
}

// since is start for what began earlier.
func (t tracer) since(ctx context.Context, name string, began time.Time) span {
	if t.t == nil {
		return span{}
	}
	_, s := t.t.Start(ctx, name, trace.WithTimestamp(began))
	return span{s}
}

// set adds an attribute. A text of a peer's must be cleaned.
func (s span) set(key, value string) {
	if s.s != nil && s.s.IsRecording() {
		s.s.SetAttributes(attribute.String("starling."+key, value))
	}
}

func (s span) count(key string, n int) {
	if s.s != nil && s.s.IsRecording() {
		s.s.SetAttributes(attribute.Int("starling."+key, n))
	}
}

// end ends the span, with the error that there was.
func (s span) end(err error) {
	if s.s == nil {
		return
	}
	if err != nil {
		s.s.SetStatus(codes.Error, peer.Clean(err.Error()))
	}
	s.s.End()
}
