//go:build race

package bed

import "runtime"

// raced leaves the program one processor: with two, timers of a bubble that
// fire at once crash Go 1.26's race detector (go.dev/issue/78156 tells of one
// way). It finds races all the same, since it goes by what is ordered.
func raced() {
	if runtime.GOMAXPROCS(0) > 1 {
		runtime.GOMAXPROCS(1)
	}
}
