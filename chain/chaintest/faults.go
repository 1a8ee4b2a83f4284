package chaintest

import (
	"context"
	"sync/atomic"
)

// faults is what a test makes go wrong, and what it counts.
type faults struct {
	imports fault
	stages  fault
	reads   fault

	checked  atomic.Uint64
	imported atomic.Uint64
}

// fault is one kind of call that can be made to wait, and to fail.
type fault struct {
	err   atomic.Pointer[error]
	stall atomic.Pointer[<-chan struct{}]
}

func (f *fault) fail(err error) {
	if err == nil {
		f.err.Store(nil)
		return
	}
	f.err.Store(&err)
}

func (f *fault) wait(ctx context.Context) error {
	if s := f.stall.Load(); s != nil && *s != nil {
		select {
		case <-*s:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	if err := f.err.Load(); err != nil {
		return *err
	}
	return ctx.Err()
}

// FailImport makes every Import fail with err and take nothing; nil ends that.
func (c *Chain) FailImport(err error) { c.faults.imports.fail(err) }

// StallImport makes every Import wait until until is closed or its context
// ends; nil ends that for the calls to come.
func (c *Chain) StallImport(until <-chan struct{}) { c.faults.imports.stall.Store(&until) }

// FailStage makes every Stage fail with err; nil ends that.
func (c *Chain) FailStage(err error) { c.faults.stages.fail(err) }

// StallStage is StallImport for Stage.
func (c *Chain) StallStage(until <-chan struct{}) { c.faults.stages.stall.Store(&until) }

// FailReads makes every reading call but Status fail with err; nil ends that.
func (c *Chain) FailReads(err error) { c.faults.reads.fail(err) }

// StallReads is StallImport for the reading calls but Status.
func (c *Chain) StallReads(until <-chan struct{}) { c.faults.reads.stall.Store(&until) }

// Counts says how much was asked of a Chain since it was made.
type Counts struct {
	Checked  uint64 // calls of Check
	Imported uint64 // blocks that Import took, those known already included
}

// Counts never blocks.
func (c *Chain) Counts() Counts {
	return Counts{Checked: c.faults.checked.Load(), Imported: c.faults.imported.Load()}
}
