package main

import (
	"math"
	"runtime/debug"

	"github.com/starlingp2p/starling/env"
)

// limitMemory has the garbage collector keep within two thirds of what the
// control group allows: the rest is for what it does not count, the program
// itself and the memory of the database. GOMEMLIMIT, where it is set, stands.
func limitMemory() {
	if most := env.MemoryLimit(); debug.SetMemoryLimit(-1) == math.MaxInt64 && most != math.MaxInt64 {
		debug.SetMemoryLimit(most / 3 * 2)
	}
}
