package env

import (
	"sync/atomic"
	"time"
)

// Wall tells the time of day. It may be wrong and it may jump; timers never
// depend on it. Implementations are safe for concurrent use and never block.
type Wall interface {
	Now() time.Time
}

// SystemWall is the clock of this machine.
func SystemWall() Wall { return systemWall{} }

type systemWall struct{}

func (systemWall) Now() time.Time { return time.Now() }

// SkewedWall is the clock of this machine, off by a settable amount: the
// clock of a node that is wrong about the time. Its zero value is exact.
type SkewedWall struct {
	skew atomic.Int64 // nanoseconds
}

// Now returns the machine's time plus the skew.
func (w *SkewedWall) Now() time.Time {
	return time.Now().Add(time.Duration(w.skew.Load()))
}

// SetSkew makes the clock run ahead by d, or behind where d is negative.
func (w *SkewedWall) SetSkew(d time.Duration) { w.skew.Store(int64(d)) }
