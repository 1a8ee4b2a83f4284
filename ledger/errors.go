package ledger

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/cockroachdb/pebble/v2"
	"github.com/starlingp2p/starling/chain"
)

// repair is what an operator can do about corrupt data. Nothing was deleted.
const repair = "nothing was deleted; restore the directory from a backup, or move it away and sync anew"

// ErrClosed is reported by every call on a closed Ledger.
var ErrClosed = errors.New("ledger: closed")

// LockedError says that another process, or another Ledger of this one, holds
// the directory.
type LockedError struct {
	Dir string
	Err error
}

func (e *LockedError) Error() string {
	return fmt.Sprintf("ledger: %s is in use by another process (%v); stop it, or choose another data directory", e.Dir, e.Err)
}

func (e *LockedError) Unwrap() error { return e.Err }

// ForeignError says that a directory holds something that is no ledger.
type ForeignError struct {
	Dir   string
	Entry string // one of the entries that are not ours
}

func (e *ForeignError) Error() string {
	return fmt.Sprintf("ledger: %s is not a ledger: it has %q and no %s file; choose an empty directory", e.Dir, e.Entry, schemaFile)
}

// GenesisError says that a directory belongs to another network or genesis.
type GenesisError struct {
	Dir                      string
	HaveNetwork, WantNetwork string
	HaveGenesis, WantGenesis chain.Hash
}

func (e *GenesisError) Error() string {
	return fmt.Sprintf("ledger: %s holds network %q with genesis %v, the configuration asks for %q with genesis %v; choose another data directory, or correct the network",
		e.Dir, e.HaveNetwork, e.HaveGenesis, e.WantNetwork, e.WantGenesis)
}

// SchemaError says that a directory was written by a newer program, or by one
// too old to be migrated.
type SchemaError struct {
	Dir        string
	Have, Want int
}

func (e *SchemaError) Error() string {
	if e.Have > e.Want {
		return fmt.Sprintf("ledger: %s has schema %d, this program knows up to %d; run a newer one", e.Dir, e.Have, e.Want)
	}
	return fmt.Sprintf("ledger: %s has schema %d, this program has no migration from it to %d", e.Dir, e.Have, e.Want)
}

// RulesError says that the fork schedule changed under blocks that are too
// deep to be undone.
type RulesError struct {
	Dir        string
	Rule       string // the changed rule that reaches deepest
	Have, Want uint64 // its From; Never: not scheduled
	Head       chain.Ref
	Compatible uint64 // the last number that both schedules agree on
	Limit      uint64 // the lowest number that can be rewound to
}

func (e *RulesError) Error() string {
	return fmt.Sprintf("ledger: %s was built with rule %q from %s, the configuration says from %s: its head %v would be rewound to %d, and the lowest possible is %d; correct the schedule, or sync into another data directory",
		e.Dir, e.Rule, from(e.Have), from(e.Want), e.Head, e.Compatible, e.Limit)
}

func from(n uint64) string {
	if n == Never {
		return "never"
	}
	return fmt.Sprint(n)
}

// corrupt is an error about stored data that breaks its seal or an invariant.
func corrupt(format string, args ...any) error {
	return fmt.Errorf("ledger: %s: %w; %s", fmt.Sprintf(format, args...), chain.ErrCorrupt, repair)
}

// ioError wraps an error of the store in the contract's words.
func ioError(op string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, chain.ErrCorrupt), errors.Is(err, chain.ErrFull), errors.Is(err, ErrClosed):
		return err
	case isFull(err):
		return fmt.Errorf("ledger: %s: %w: %v", op, chain.ErrFull, err)
	case pebble.IsCorruptionError(err):
		return fmt.Errorf("ledger: %s: %w: %v; %s", op, chain.ErrCorrupt, err, repair)
	}
	return fmt.Errorf("ledger: %s: %w", op, err)
}

// openError is ioError for what opening the database reports. What the system
// did not refuse is the database's own word on its files.
func openError(dir string, err error) error {
	var errno syscall.Errno
	if errors.As(err, &errno) && errno != syscall.ENOENT {
		return ioError("open "+dir, err)
	}
	return fmt.Errorf("ledger: open %s: %w: %w; %s", dir, chain.ErrCorrupt, err, repair)
}

// isFull reports whether err says that the disk, or our share of it, is full.
func isFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}
