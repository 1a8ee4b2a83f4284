package env

import (
	"math"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
)

// What tells on Linux what the control group may use; elsewhere they are not
// there. Sources: the kernel's cgroup-v2.rst and cgroup-v1/memory.rst.
const (
	limitFile2 = "/sys/fs/cgroup/memory.max"
	limitFile1 = "/sys/fs/cgroup/memory/memory.limit_in_bytes"
)

// MemoryLimit is how many bytes the process may use: the lesser of the
// runtime's limit (GOMEMLIMIT) and that of the control group, as it is seen
// from inside a container. math.MaxInt64 where neither is set.
func MemoryLimit() int64 {
	least := debug.SetMemoryLimit(-1)
	for _, name := range [...]string{limitFile2, limitFile1} {
		if b, err := os.ReadFile(name); err == nil {
			least = min(least, limitIn(b))
		}
	}
	return least
}

// limitIn reads the contents of a limit file: bytes, or "max".
func limitIn(b []byte) int64 {
	n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
	if err != nil || n <= 0 {
		return math.MaxInt64
	}
	return n
}
