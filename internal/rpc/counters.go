package rpc

import "github.com/starlingp2p/starling/internal/meter"

// maxEvents bounds the names that Counters has.
const maxEvents = 32

func newEvents() *meter.Tally[string] {
	return meter.NewTally(maxEvents, func(string) string { return "other" })
}

// Counters counts, by fixed names, what callers did and what became of it:
// calls by their outcome, callers that were turned away before, subscriptions,
// and events that a slow reader of a stream lost.
func (s *Server) Counters() map[string]uint64 { return s.events.Counts() }

// outcome is the name of a call's outcome.
func outcome(err *Error) string {
	if err == nil {
		return "call-ok"
	}
	switch err.Code {
	case CodeDenied:
		return "call-denied"
	case CodeLimited:
		return "call-limited"
	case CodeNoMethod, CodeBadParams, CodeInvalid, CodeParse:
		return "call-invalid"
	case CodeInternal:
		return "call-panicked"
	}
	return "call-failed"
}
