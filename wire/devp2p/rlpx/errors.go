package rlpx

import (
	"errors"
	"fmt"
)

// Errors that callers branch on.
var (
	// ErrHandshake is all that is said of a handshake that failed for another
	// reason than its link: which check it was helps only an attacker.
	ErrHandshake = errors.New("rlpx: handshake failed")
	// ErrMAC: a frame's header or body is not what the other side sent.
	ErrMAC = errors.New("rlpx: frame fails its MAC")
	// ErrTooLarge: a message is over the bound in force.
	ErrTooLarge = errors.New("rlpx: message too large")
	// ErrBomb: a payload claims to unfold to more than its bound, or than snappy can.
	ErrBomb = errors.New("rlpx: snappy payload claims too much")
	// ErrEncoding: what a frame holds is no message.
	ErrEncoding = errors.New("rlpx: malformed message")
)

// TruncatedError says that the link ended in the middle of a frame.
type TruncatedError struct{ Err error }

func (e *TruncatedError) Error() string {
	return fmt.Sprintf("rlpx: link ended inside a frame: %v", e.Err)
}
func (e *TruncatedError) Unwrap() error { return e.Err }

// SlowError says that a frame missed its deadline after it had begun.
type SlowError struct{ Err error }

func (e *SlowError) Error() string { return fmt.Sprintf("rlpx: frame came too slowly: %v", e.Err) }
func (e *SlowError) Unwrap() error { return e.Err }
