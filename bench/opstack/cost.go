package main

import (
	"time"

	"github.com/starlingp2p/starling/bench/internal/lab"
)

// cost is what something took: time that passed, and processor time of the
// process, which other programs on the machine disturb little.
type cost struct{ time, cpu time.Duration }

// meter measures one.
type meter struct {
	at  time.Time
	cpu time.Duration
}

func meterFrom(at time.Time) meter { return meter{at, lab.CPU()} }

// end gives the cost so far.
func (m meter) end() cost { return cost{time.Since(m.at), lab.CPU() - m.cpu} }

// each is the cost of one of n.
func (c cost) each(n int) cost { return cost{c.time / time.Duration(n), c.cpu / time.Duration(n)} }

// seconds, and millionths of one, of both.
func (c cost) seconds() (passed, cpu float64) { return c.time.Seconds(), c.cpu.Seconds() }

func (c cost) micros() (passed, cpu float64) {
	return float64(c.time.Nanoseconds()) / 1000, float64(c.cpu.Nanoseconds()) / 1000
}
