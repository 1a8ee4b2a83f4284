package steertest

import "sync"

// Tail is a writer that keeps the end of a process's log, at most 16 KiB, for a test
// that fails. It is safe for concurrent use.
type Tail struct {
	mu sync.Mutex
	b  []byte
}

func (l *Tail) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.b = append(l.b, b...)
	if n := len(l.b); n > 16<<10 {
		l.b = append([]byte(nil), l.b[n-8<<10:]...)
	}
	return len(b), nil
}

func (l *Tail) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.b)
}
