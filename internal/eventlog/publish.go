package eventlog

import (
	"context"
	"errors"

	"github.com/starlingp2p/starling"
	"github.com/starlingp2p/starling/wire"
)

// publishError is a sentinel and its name in records.
type publishError struct {
	code string
	err  error
}

// other is the name of what is none of the named errors.
const other = "other"

func publishErrors() []publishError {
	return []publishError{
		{"expired", starling.ErrExpired},
		{"unheard", wire.ErrUnheard},
		{"queue-full", wire.ErrQueueFull},
		{"rejected", starling.ErrRejected},
		{"unsupported", wire.ErrUnsupported},
		{"too-large", wire.ErrTooLarge},
		{"closed", wire.ErrClosed},
		{"not-running", starling.ErrNotRunning},
		{"ended", context.Canceled},
	}
}

// PublishErrors lists the names that PublishError gives.
func PublishErrors() []string {
	var out []string
	for _, e := range publishErrors() {
		out = append(out, e.code)
	}
	return append(out, other)
}

// PublishError names why nobody was told of a message of ours; it is a fixed
// text. It is empty for nil.
func PublishError(err error) string {
	if err == nil {
		return ""
	}
	for _, e := range publishErrors() {
		if errors.Is(err, e.err) {
			return e.code
		}
	}
	return other
}

// publishFailed is an error out of a record: its text as it was, and what it is.
type publishFailed struct {
	text string
	kind error // nil: other
}

func (e *publishFailed) Error() string { return e.text }
func (e *publishFailed) Unwrap() error { return e.kind }

func publishErrorOf(code, text string) error {
	if code == "" && text == "" {
		return nil
	}
	for _, e := range publishErrors() {
		if e.code == code {
			return &publishFailed{text, e.err}
		}
	}
	return &publishFailed{text: text}
}
