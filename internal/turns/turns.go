package turns

import (
	"runtime"
	"sync"
	"time"
)

// Bulk is how many bytes make work on them large: at the pace of the session
// wires' ciphers, more than a tenth of a millisecond.
const Bulk = 32 << 10

// longest is how long a turn keeps its place. What only computes ends far
// sooner; what waits for a disk must not hold up those who compute.
const longest = 50 * time.Millisecond

// Turns is safe for concurrent use.
type Turns struct {
	places chan struct{}
}

// New makes Turns of one place less than there are processors, and one at
// least.
func New() *Turns {
	return &Turns{places: make(chan struct{}, max(runtime.GOMAXPROCS(0)-1, 1))}
}

// Do works when it is its turn. It blocks until the work is done. Work takes
// no turn itself, and waits for nobody who might.
func (t *Turns) Do(work func()) {
	t.places <- struct{}{}
	// Who was handed the place runs next on the processor of who left it, and
	// the runtime takes a row of such hand-overs for one piece of work: without
	// this, what became ready elsewhere would wait for the row, up to 10 ms.
	runtime.Gosched()
	leave := sync.OnceFunc(func() { <-t.places })
	late := time.AfterFunc(longest, leave)
	defer func() {
		late.Stop()
		leave()
	}()
	work()
}
