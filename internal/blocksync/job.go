package blocksync

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
)

// job is one sync in one direction: a path of verified headers that grows
// upwards from a block of ours, or downwards from a trusted one, whose bodies
// are fetched meanwhile and which is imported from its low end.
type job struct {
	forward bool
	started time.Time
	// progress is when something was last accepted, verified or imported.
	progress time.Time
	// excluded are peers that failed this job: on another branch, or lying.
	excluded map[*remote]bool
	// lacks are ranges of this path that a peer does not have: it may well be
	// on another branch.
	lacks map[*remote][]lack

	entries   deque[entry] // consecutive
	low       uint64       // number of the first entry
	base      chain.Header // parent of the first entry, imported; if connected
	connected bool
	needs     int    // entries in state need
	pending   int    // entries that are not staged
	scan      uint64 // no entry before this number, in the order of fetching, is in state need
	checks    map[uint64]check
	importing uint64 // ID of the import under way; 0: none
	staging   uint64 // ID of the staging under way; 0: none
	stagingOf []uint64

	spans     []*span // header answers not yet verified: ascending in a forward job, else descending
	verifying *span   // one of them
	verifyID  uint64

	// forward
	master *remote
	tries  int          // masters since one delivered
	led    time.Time    // since when master is
	probe  *probe       // nil once the common ancestor is known
	tip    chain.Header // the highest verified header
	tipOf  peer.ID      // who gave it
	next   uint64       // the number after the last span
	goal   uint64

	// backward
	bare    bool // the stage is full: headers only, until the path is linked
	target  chain.Ref
	gap     chain.Hash // the offered block above target, if it is a gap
	want    chain.Ref  // trusted, and the next to be fetched
	looked  chain.Hash // the last hash for which the chain was asked
	looking bool
	fetched uint64 // blocks that came and were linked
}

// entry is a block of the path: its header is verified.
type entry struct {
	hdr         chain.Header
	body, extra []byte
	header      peer.ID // who delivered the header
	from        peer.ID // who delivered the body; empty where nobody pays for it
	state       entryState
	tried       bool // somebody was asked for the body and did not answer
	cost        int  // bytes held
}

type entryState uint8

const (
	need     entryState = iota // of a body
	flying                     // asked for
	checking                   // being verified
	ready                      // to be imported, or staged
	staging                    // being staged
	onDisk                     // staged
)

// check is a batch of bodies that is being verified.
type check struct {
	from    peer.ID
	numbers []uint64
}

// span is a run of headers, or whole blocks, that is asked for or came.
type span struct {
	lo, hi   uint64
	r        *request // under way
	answered bool
	from     peer.ID
	hs       []chain.Header // ascending
	bs       []chain.Block  // the same as whole blocks, or nil
	cost     int
	tried    bool // somebody was asked and did not answer
	paired   bool // it is verified together with the lowest entry of the path
}

func (c *Core) newJob(forward bool) *job {
	return &job{forward: forward, started: c.now, progress: c.now, excluded: map[*remote]bool{}, lacks: map[*remote][]lack{}, checks: map[uint64]check{}}
}

// far reports whether verified headers lead far above a head.
func (j *job) far(head chain.Ref) bool {
	return j.forward && j.tip.Ref.Number > head.Number+farAbove
}

// entry gives the entry of a number, or nil.
func (j *job) entry(n uint64) *entry {
	if n < j.low || n-j.low >= uint64(j.entries.len()) {
		return nil
	}
	return j.entries.at(int(n - j.low))
}

// high is the number of the last entry; low-1 if there is none.
func (j *job) high() uint64 { return j.low + uint64(j.entries.len()) - 1 }

// set changes the state of an entry and keeps count.
func (j *job) set(e *entry, s entryState) {
	if e.state == need {
		j.needs--
	}
	if s == need {
		j.needs++
		j.rescan(e.hdr.Ref.Number)
	}
	if (e.state == onDisk) != (s == onDisk) {
		if s == onDisk {
			j.pending--
		} else {
			j.pending++
		}
	}
	e.state = s
}

// rescan makes the search for needed entries start at n again, if it is past it.
func (j *job) rescan(n uint64) {
	if j.connected {
		j.scan = min(j.scan, n)
	} else {
		j.scan = max(j.scan, n)
	}
}

// connect marks that the path hangs from an imported block.
func (j *job) connect(base chain.Header) {
	j.connected = true
	j.base = base
	j.low = base.Ref.Number + 1
	j.scan = 0 // from now on upwards
}

// add puts a verified header on an end of the path, with its body if it came along.
func (c *Core) add(j *job, h chain.Header, b *chain.Block, from peer.ID, front bool) {
	e := entry{hdr: h, header: from, state: flying}
	n := h.Ref.Number
	if _, ok := c.staged[h.Ref.Hash]; ok {
		e.state = onDisk
		e.hdr.Bytes = nil
	} else if b != nil {
		e.body, e.extra, e.from, e.state = b.Body, b.Extra, from, checking
	} else if l := c.loose.get(h.Ref.Hash); l != nil {
		e.body, e.extra, e.state = l.block.Body, l.block.Extra, checking
	}
	e.cost = len(e.hdr.Bytes) + headerCost + len(e.body) + len(e.extra)
	c.held += e.cost
	if e.state != onDisk {
		j.pending++
	}
	switch {
	case j.entries.len() == 0:
		j.low = n
		j.entries.pushBack(e)
	case front:
		j.low = n
		j.entries.pushFront(e)
	default:
		j.entries.pushBack(e)
	}
	if e.state == flying {
		j.set(j.entry(n), need)
	}
}

// empty takes the body out of an entry.
func (c *Core) empty(e *entry) {
	n := len(e.body) + len(e.extra)
	e.cost -= n
	c.held -= n
	e.body, e.extra, e.from = nil, nil, ""
}

// pop takes the lowest entry off the path.
func (c *Core) pop(j *job) entry {
	if e := j.entries.at(0); e.state == need {
		j.needs--
	}
	e := j.entries.popFront()
	if e.state != onDisk {
		j.pending--
	}
	j.low++
	c.held -= e.cost
	return e
}

// verifyBodies has the bodies of entries in state checking verified.
func (c *Core) verifyBodies(j *job, from peer.ID, numbers []uint64) {
	if len(numbers) == 0 {
		return
	}
	id := c.id()
	blocks := make([]chain.Block, len(numbers))
	for i, n := range numbers {
		e := j.entry(n)
		blocks[i] = chain.Block{Header: e.hdr, Body: e.body, Extra: e.extra}
	}
	j.checks[id] = check{from, numbers}
	c.emit(VerifyBodies{ID: id, Blocks: blocks})
}

// checkAdded verifies the bodies that came along with headers lo to hi.
func (c *Core) checkAdded(j *job, lo, hi uint64) {
	var from peer.ID
	var numbers []uint64
	for n := lo; n <= hi; n++ {
		e := j.entry(n)
		if e.state != checking {
			continue
		}
		if e.from != from {
			c.verifyBodies(j, from, numbers)
			numbers = nil
		}
		from = e.from
		numbers = append(numbers, n)
	}
	c.verifyBodies(j, from, numbers)
}

// endJob forgets the active job. Answers that are still under way are not
// wanted; an import that is under way is taken in when it ends.
func (c *Core) endJob() {
	j := c.job
	if j == nil {
		return
	}
	c.job = nil
	for _, s := range j.spans {
		c.held -= s.cost
	}
	for i := range j.entries.len() {
		c.held -= j.entries.at(i).cost
	}
	for _, p := range c.peers {
		for _, r := range p.asked {
			c.abandon(r) // all requests belong to the one job
		}
	}
}

// lack notes that p does not have block n of this path, and so none above.
func (j *job) lack(p *remote, n uint64, until time.Time) {
	j.lacks[p] = withLack(j.lacks[p], lack{n, math.MaxUint64, until})
}

func (j *job) lacking(p *remote, n uint64, now time.Time) bool {
	return slices.ContainsFunc(j.lacks[p], func(l lack) bool { return l.lo <= n && n <= l.hi && now.Before(l.until) })
}

// vouched reports whether p is known to be on this path at number n: it gave
// the header, or claims a head that is on the path.
func (j *job) vouched(p *remote, n uint64) bool {
	if e := j.entry(n); e != nil && e.header == p.id {
		return true
	}
	e := j.entry(p.claim.Head.Number)
	return e != nil && e.hdr.Ref == p.claim.Head
}

// gave reports whether a header of the path is from a peer, which so has all
// that is below it.
func (j *job) gave(id peer.ID) bool {
	for i := range j.entries.len() {
		if j.entries.at(i).header == id {
			return true
		}
	}
	return false
}

// ranked gives the peers, best first: who delivered before whoever may come and
// go under a new name, then by capacity, then by chance.
func (c *Core) ranked() []*remote {
	ps := slices.Clone(c.peers)
	slices.SortStableFunc(ps, func(a, b *remote) int {
		if pa, pb := a.standing() == proven, b.standing() == proven; pa != pb {
			if pa {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(b.capacity(), a.capacity()), cmp.Compare(a.tie, b.tie))
	})
	return ps
}

// dropSpan takes a span off the job.
func (c *Core) dropSpan(j *job, s *span) {
	c.clearSpan(s)
	j.spans = slices.DeleteFunc(j.spans, func(o *span) bool { return o == s })
}

// clearSpan lets go of the answer of a span, which can then be asked again.
func (c *Core) clearSpan(s *span) {
	c.held -= s.cost
	s.cost, s.hs, s.bs, s.answered, s.from = 0, nil, nil, false, ""
}

// fill puts a checked answer into a span.
func (c *Core) fill(s *span, from peer.ID, hs []chain.Header, bs []chain.Block) {
	s.hs, s.bs, s.from, s.answered = hs, bs, from, true
	s.cost = size(hs, bs)
	c.held += s.cost
	if len(bs) > 0 {
		c.sized(s.cost, len(bs))
	}
}

// idle reports whether nothing of the job is under way.
func (c *Core) idle(j *job) bool {
	if j.verifying != nil || j.importing != 0 || j.staging != 0 || len(j.checks) > 0 || j.looking || (j.probe != nil && j.probe.busy) {
		return false
	}
	for _, p := range c.peers {
		for _, r := range p.asked {
			if !r.cancelled {
				return false
			}
		}
	}
	return true
}
