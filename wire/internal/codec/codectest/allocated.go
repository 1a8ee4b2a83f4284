package codectest

import "runtime"

// Allocated is how many bytes fn allocates, the least of a few runs: what else
// the process does is counted too.
func Allocated(fn func()) uint64 {
	least := ^uint64(0)
	for range 5 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		fn()
		runtime.ReadMemStats(&after)
		least = min(least, after.TotalAlloc-before.TotalAlloc)
	}
	return least
}
