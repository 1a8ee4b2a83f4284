package framed

import (
	"sync"
	"time"
)

// Tally counts what happens in a minute: unknown messages, answers that nobody
// asked for. Its zero value is ready, and it is safe for concurrent use.
type Tally struct {
	mu    sync.Mutex // a leaf
	since time.Time
	count int
}

// Add counts one more, and gives how many there were since the minute began.
func (t *Tally) Add() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	if now := time.Now(); now.Sub(t.since) >= time.Minute {
		t.since, t.count = now, 0
	}
	t.count++
	return t.count
}
