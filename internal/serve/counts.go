package serve

import (
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/starlingp2p/starling/wire"
)

// Counters is a snapshot of what a Server has done. The names are fixed.
type Counters struct {
	Served  map[string]uint64 // by kind of request
	Refused map[string]uint64 // by limit, or by code where no limit refused
	Bytes   uint64            // served
	Waited  uint64            // requests that were a little early
	Panics  uint64
}

var (
	kindNames    = [...]string{"headers", "bodies", "blocks", "receipts", "txs", "addrs", "app"}
	refusalNames = [...]string{
		PeerBytes, PrefixBytes, GlobalBytes, PeerStreams, Workers,
		"not-found", "bad-request", "unsupported", "busy", "internal", "ended",
	}
)

type counts struct {
	served  [len(kindNames)]atomic.Uint64
	refusal [len(refusalNames)]atomic.Uint64
	bytes   atomic.Uint64
	waited  atomic.Uint64
	panics  atomic.Uint64
}

func (c *counts) answered(r wire.Request, bytes int) {
	c.bytes.Add(uint64(bytes))
	for i, name := range kindNames {
		if name == wire.KindOf(r) {
			c.served[i].Add(1)
		}
	}
}

func (c *counts) refused(err error) {
	name := "ended"
	var why *wire.Refusal
	if errors.As(err, &why) {
		switch why.Code {
		case wire.RefusedLimit:
			name = why.Limit
		case wire.RefusedNotFound:
			name = "not-found"
		case wire.RefusedBadRequest:
			name = "bad-request"
		case wire.RefusedUnsupported:
			name = "unsupported"
		case wire.RefusedBusy:
			name = "busy"
		default:
			name = "internal"
		}
	}
	for i, known := range refusalNames {
		if known == name {
			c.refusal[i].Add(1)
		}
	}
}

// Counters is a snapshot. It never blocks.
func (s *Server) Counters() Counters {
	out := Counters{
		Served: make(map[string]uint64, len(kindNames)), Refused: make(map[string]uint64, len(refusalNames)),
		Bytes: s.counts.bytes.Load(), Waited: s.counts.waited.Load(), Panics: s.counts.panics.Load(),
	}
	for i, name := range kindNames {
		out.Served[name] = s.counts.served[i].Load()
	}
	for i, name := range refusalNames {
		out.Refused[name] = s.counts.refusal[i].Load()
	}
	return out
}

// The causes that are logged, each at most once in logEvery.
const (
	logPanic = iota
	logCorrupt
	logChain
	numCauses
	logEvery = 10 * time.Second
)

// cappedLog lets each cause through at a capped rate and tells how often it
// was held back.
type cappedLog struct {
	log   *slog.Logger
	mu    sync.Mutex // a leaf
	last  [numCauses]time.Time
	extra [numCauses]int
}

func (l *cappedLog) allow(cause int) (suppressed int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if !l.last[cause].IsZero() && now.Sub(l.last[cause]) < logEvery {
		l.extra[cause]++
		return 0, false
	}
	suppressed = l.extra[cause]
	l.last[cause], l.extra[cause] = now, 0
	return suppressed, true
}

func (l *cappedLog) warn(cause int, msg string, args ...any) {
	if n, ok := l.allow(cause); ok {
		l.log.Warn(msg, append(args, "suppressed", n)...)
	}
}

func (l *cappedLog) error(cause int, msg string, args ...any) {
	if n, ok := l.allow(cause); ok {
		l.log.Error(msg, append(args, "suppressed", n)...)
	}
}
