package starling

import (
	"log/slog"
	"sync"
	"time"
)

// warnEvery is how often a cause that remotes can bring about is logged.
const warnEvery = 10 * time.Second

// quietLog holds back what comes too often, and tells how much that was.
type quietLog struct {
	mu    sync.Mutex // a leaf
	held  map[string]int
	until map[string]time.Time
}

// warn logs a fixed message for the operator, at a capped rate.
func (n *Node) warn(msg string, args ...any) { n.quiet.warn(n.log, msg, args...) }

func (q *quietLog) warn(log *slog.Logger, msg string, args ...any) {
	now := time.Now()
	q.mu.Lock()
	if q.until == nil {
		q.held, q.until = map[string]int{}, map[string]time.Time{}
	}
	if now.Before(q.until[msg]) {
		q.held[msg]++
		q.mu.Unlock()
		return
	}
	args = append(args, "suppressed", q.held[msg])
	q.held[msg], q.until[msg] = 0, now.Add(warnEvery)
	q.mu.Unlock()
	log.Warn(msg, args...)
}
