package starling

import (
	"errors"
	"fmt"
)

// Errors that callers branch on.
var (
	// ErrRunning: Run was called a second time.
	ErrRunning = errors.New("starling: node was run already; a Node runs once, make a new one")
	// ErrNotRunning: the node has not started, or has stopped.
	ErrNotRunning = errors.New("starling: node is not running")
	// ErrTooLate: Register or SetHandler was called after Run.
	ErrTooLate = errors.New("starling: node is running; register services and set the handler before Run")
	// ErrNoPool: the chain has no transaction pool.
	ErrNoPool = errors.New("starling: the chain has no transaction pool")
	// ErrNoPeer: there is no session with that peer.
	ErrNoPeer = errors.New("starling: no session with that peer")
	// ErrRejected: what was to be published fails the chain's own check.
	ErrRejected = errors.New("starling: rejected by the chain")
	// ErrExpired: what was to be published found nobody to hear it in time.
	ErrExpired = errors.New("starling: nobody was there to hear it")
)

// DuplicateServiceError says that two services have the same kind.
type DuplicateServiceError struct{ Kind string }

func (e *DuplicateServiceError) Error() string {
	return fmt.Sprintf("starling: a service of kind %q is registered already; kinds are unique", e.Kind)
}

// MissingServiceError says that a service needs one that is not registered, or
// that needs it in turn.
type MissingServiceError struct {
	Kind  string // of the service that has the need
	Needs string // what it needs
	Cycle bool   // the needed service is there, and needs this one
}

func (e *MissingServiceError) Error() string {
	if e.Cycle {
		return fmt.Sprintf("starling: services %q and %q need each other; break the cycle", e.Kind, e.Needs)
	}
	return fmt.Sprintf("starling: service %q needs %q, which is not registered", e.Kind, e.Needs)
}

// PartError ties a failure to the part of the node that failed: "wire", or
// "service " and its kind.
type PartError struct {
	Part string
	Op   string // "build", "start", "run", "stop"
	Err  error
}

func (e *PartError) Error() string { return fmt.Sprintf("starling: %s %s: %v", e.Op, e.Part, e.Err) }
func (e *PartError) Unwrap() error { return e.Err }
