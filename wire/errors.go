package wire

import (
	"fmt"
	"time"

	"github.com/starlingp2p/starling/peer"
)

// RefusalCode is why a peer did not answer a request.
type RefusalCode uint8

// The codes. Wires map theirs to the nearest.
const (
	RefusedNotFound    RefusalCode = iota + 1 // it does not have that
	RefusedLimit                              // a limit, which the Refusal names
	RefusedBadRequest                         // it could not make sense of it, or it asked for too much
	RefusedUnsupported                        // it does not speak that kind
	RefusedBusy                               // it is overloaded or stopping
	RefusedInternal                           // it has trouble of its own
)

// String is the code's name.
func (c RefusalCode) String() string {
	switch c {
	case RefusedNotFound:
		return "not found"
	case RefusedLimit:
		return "rate limited"
	case RefusedBadRequest:
		return "bad request"
	case RefusedUnsupported:
		return "unsupported"
	case RefusedBusy:
		return "busy"
	case RefusedInternal:
		return "internal error"
	}
	return fmt.Sprintf("code %d", uint8(c))
}

// Refusal is the answer of a side that will not serve a request. It is no
// fault. Host.Serve returns it, the wire carries it, and Session.Request gives
// it to the asker.
type Refusal struct {
	Code       RefusalCode
	Limit      string        // the name of the limit: "peer-bytes", "prefix-bytes", "global-bytes", "peer-streams", …
	RetryAfter time.Duration // 0 where the wire does not say
	Text       string        // for people, cleaned
}

func (r *Refusal) Error() string {
	s := "wire: request refused: " + r.Code.String()
	if r.Limit != "" {
		s += " by " + r.Limit
	}
	if r.RetryAfter > 0 {
		s += fmt.Sprintf(", retry after %v", r.RetryAfter)
	}
	if r.Text != "" {
		s += ": " + r.Text
	}
	return s
}

// Is reports whether target is a Refusal with the same code.
func (r *Refusal) Is(target error) bool {
	t, ok := target.(*Refusal)
	return ok && t.Code == r.Code
}

// Fault is an error that the remote caused and that can be checked: it feeds
// the score, never the error log.
type Fault struct {
	Offense peer.Offense
	Err     error
}

func (f *Fault) Error() string { return fmt.Sprintf("wire: %s: %v", f.Offense, f.Err) }
func (f *Fault) Unwrap() error { return f.Err }
