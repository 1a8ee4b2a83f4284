package intake

import "runtime"

// Bulk is how many bytes make work on a message bulk: at the pace of the session
// wires' ciphers, more than a tenth of a millisecond.
const Bulk = 32 << 10

// newTurns makes a place for each processor but one.
func newTurns() chan struct{} { return make(chan struct{}, max(runtime.GOMAXPROCS(0)-1, 1)) }

// Turn does work that only computes, on something large. So many at once that a
// processor is left for what is small: a peer that asks for little must not
// wait behind all that ask for much. It blocks until it is done. It is safe for
// concurrent use.
func (b *Budget) Turn(work func()) {
	b.turns <- struct{}{}
	defer func() { <-b.turns }()
	work()
}
