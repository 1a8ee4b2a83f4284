//go:build race

package scenario

import "runtime"

// raced prepares for the race detector of Go 1.26, which crashes in bubbles
// with many timers (go.dev/issue/78156 tells of one way): with two processors
// after about half a minute of these tests, and with one never. It finds races
// all the same, since it goes by what is ordered, not by what happens at once.
func raced() { runtime.GOMAXPROCS(1) }
