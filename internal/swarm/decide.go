package swarm

import (
	"sync"
	"time"

	"github.com/starlingp2p/starling/peer"
)

// Kind is what was decided.
type Kind string

// The kinds.
const (
	KindNotDialled Kind = "not-dialled"
	KindDialFailed Kind = "dial-failed"
	KindRefused    Kind = "refused"
	KindDropped    Kind = "dropped"
	KindBanned     Kind = "banned"
)

// Decision is one decision about a peer, with its reason.
type Decision struct {
	At       time.Time
	Kind     Kind
	Reason   peer.Reason
	ID       peer.ID
	Addr     peer.Addr
	ByRemote bool   // the other side decided
	Detail   string // the value and the bound, for people
}

// Tally is how often one kind of decision had one reason.
type Tally struct {
	Kind     Kind
	Reason   peer.Reason
	ByRemote bool
	Count    uint64
}

const (
	keptDecisions = 64  // of each kind
	maxTallies    = 256 // kinds times reasons times sides; all are fixed texts
)

// ledger keeps the last decisions of each kind apart, so that a flood of one
// kind does not wash the others away. It is a leaf: its lock is held for a few
// moves only.
type ledger struct {
	mu     sync.Mutex
	rings  map[Kind][]Decision
	next   map[Kind]int
	counts map[Tally]uint64
}

func (l *ledger) add(d Decision) {
	d.Detail = peer.Clean(d.Detail)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.rings == nil {
		l.rings, l.next, l.counts = map[Kind][]Decision{}, map[Kind]int{}, map[Tally]uint64{}
	}
	if r := l.rings[d.Kind]; len(r) < keptDecisions {
		l.rings[d.Kind] = append(r, d)
	} else {
		r[l.next[d.Kind]] = d
		l.next[d.Kind] = (l.next[d.Kind] + 1) % keptDecisions
	}
	t := Tally{Kind: d.Kind, Reason: d.Reason, ByRemote: d.ByRemote}
	if _, ok := l.counts[t]; !ok && len(l.counts) >= maxTallies {
		t.Reason = "other"
	}
	l.counts[t]++
}
