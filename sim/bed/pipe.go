package bed

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"
)

// Pipe carries messages one way between two hosts, in order, as a stream
// connection does: paced by the uplink, the link and a congestion window.
type Pipe struct {
	f    *Fabric
	path *path
	back *path // the other way, which acknowledgements take
	n    uint64
	rng  *rand.Rand // made when first needed
	gram bool       // datagrams: no window, no order, no resending

	backlog []segment
	queued  int  // bytes in backlog
	ready   bool // in the uplink's ring
	paced   bool // a call waits for the link to be free
	broken  bool

	linkFree int64 // when the link can take the next segment
	last     int64 // instant of the last arrival: later ones never come earlier
	held     []segment

	inflight  int // bytes sent and not acknowledged
	unread    int // bytes arrived and not consumed
	cwnd      int
	ssthresh  int
	eased     int64 // when the window was last cut
	onRoom    func()
	onBreak   func()
	roomAsked bool
}

// segment is at most maxSegment bytes of a message.
type segment struct {
	size int
	// fn is called when the segment is there; corrupt: a byte of it was
	// flipped on the way. nil but at the end of a message.
	fn func(corrupt bool)
}

// Pipe opens a stream from one host to another. It takes no time: a handshake,
// where one matters, is messages.
func (f *Fabric) Pipe(from, to netip.Addr) *Pipe {
	p := f.newPipe(from, to)
	p.path.pipes = append(p.path.pipes, p)
	return p
}

func (f *Fabric) newPipe(from, to netip.Addr) *Pipe {
	p := &Pipe{f: f, path: f.path(from, to), back: f.path(to, from), ssthresh: maxWindow}
	p.n = p.path.opened
	p.path.opened++
	p.cwnd = p.path.link.Window
	if p.cwnd < 0 {
		p.cwnd = defaultWindow
	}
	return p
}

// Datagram sends size bytes on their own from one host to another: they may be
// lost, dropped and overtaken. deliver is called when they are there.
func (f *Fabric) Datagram(from, to netip.Addr, size int, deliver func()) {
	f.datagram(from, to, size, func(bool) { deliver() })
}

func (f *Fabric) datagram(from, to netip.Addr, size int, fn func(corrupt bool)) {
	p := f.path(from, to)
	if p.gram == nil {
		p.gram = f.newPipe(from, to)
		p.gram.gram = true
	}
	if !p.gram.fits(size) {
		p.from.traffic.Dropped++
		return
	}
	p.gram.push(segment{size, fn}) // never split: one fate
}

// OnBreak sets what is called once when a fault breaks the pipe; a message
// that has not arrived by then never does.
func (p *Pipe) OnBreak(fn func()) { p.onBreak = fn }

// Send queues a message of size bytes and calls deliver when its last byte is
// there, and was consumed by that. It reports false, and drops the message,
// where the pipe is broken or its queue is full; a message larger than the
// queue is taken by an empty one.
func (p *Pipe) Send(size int, deliver func()) bool {
	if p.broken {
		return false
	}
	if !p.fits(size) {
		p.path.from.traffic.Dropped++
		return false
	}
	for size > maxSegment {
		p.push(segment{size: maxSegment})
		size -= maxSegment
	}
	p.push(segment{size: size, fn: func(bool) { deliver() }})
	return true
}

// Queued is how many bytes wait at the sender.
func (p *Pipe) Queued() int { return p.queued }

// Close lets go of a pipe that is not used any more. What has been sent is
// lost.
func (p *Pipe) Close() {
	if p.broken {
		return
	}
	p.broken = true
	p.backlog, p.held, p.queued = nil, nil, 0
	if i := slices.Index(p.path.pipes, p); i >= 0 {
		p.path.pipes = slices.Delete(p.path.pipes, i, i+1)
	}
}

func (p *Pipe) fits(size int) bool {
	return p.queued == 0 || p.queued+size <= p.path.link.Queue
}

// room is how many bytes the queue takes; where it is none, onRoom is called
// when that changes.
func (p *Pipe) room() int {
	n := p.path.link.Queue - p.queued
	if n <= 0 {
		p.roomAsked = true
		return 0
	}
	return n
}

func (p *Pipe) push(s segment) {
	if p.broken {
		return
	}
	p.backlog = append(p.backlog, s)
	p.queued += s.size
	p.pump()
}

// pump puts the pipe into the uplink's ring if it has something that it may
// send.
func (p *Pipe) pump() {
	if p.ready || p.paced || p.broken || len(p.backlog) == 0 {
		return
	}
	size := p.backlog[0].size
	if !p.gram {
		if w := p.path.link.Window; w > 0 && p.inflight > 0 && p.inflight+size > p.cwnd {
			return // an acknowledgement pumps
		}
		if out := p.inflight + p.unread; out > 0 && out+size > p.path.link.Buffer {
			return // the reader pumps
		}
	}
	if p.linkFree > p.f.q.now {
		p.paced = true
		p.f.q.at(p.linkFree, func() {
			p.paced = false
			p.pump()
		})
		return
	}
	p.ready = true
	p.path.from.ring = append(p.path.from.ring, p)
	p.path.from.serve()
}

// take removes the first segment of the backlog.
func (p *Pipe) take() segment {
	s := p.backlog[0]
	p.backlog[0] = segment{}
	p.backlog = p.backlog[1:]
	p.queued -= s.size
	p.inflight += s.size
	if p.roomAsked && p.queued <= p.path.link.Queue/2 {
		p.roomAsked = false
		if p.onRoom != nil {
			p.onRoom()
		}
	}
	return s
}

// launch sends a segment whose last byte is on the wire at the instant out.
func (p *Pipe) launch(s segment, out int64) {
	if p.broken {
		return
	}
	l := &p.path.link
	at := out + int64(l.Latency)
	if l.Jitter > 0 {
		at += p.rand().Int64N(int64(l.Jitter) + 1)
	}
	if l.Loss > 0 {
		rto := int64(l.RTO)
		for range maxResends {
			if p.rand().Float64() >= l.Loss {
				break
			}
			if p.gram {
				p.path.from.traffic.Lost++
				p.inflight -= s.size
				return
			}
			p.path.from.traffic.Resent++
			p.path.from.traffic.WireSent += uint64(wireBytes(s.size))
			p.ease()
			at += rto
			rto *= 2
		}
	}
	if !p.gram {
		at = max(at, p.last)
		p.last = at
	}
	p.f.q.at(at, func() { p.arrive(s) })
}

// arrive is the segment at the other host's door.
func (p *Pipe) arrive(s segment) {
	if p.broken {
		return
	}
	switch {
	case p.gram && p.path.block != 0:
		p.path.from.traffic.Lost++
		p.inflight -= s.size
	case p.path.block != 0 || len(p.held) > 0: // not past what waits
		p.held = append(p.held, s)
	default:
		p.enter(s)
	}
}

// enter hands the segment to the other host's downlink.
func (p *Pipe) enter(s segment) {
	if waited := p.path.to.receive(s.size, func() { p.deliver(s) }); waited > queueDelay {
		p.ease()
	}
}

// release lets what a fault held arrive after one latency, and holds what
// comes meanwhile behind it.
func (p *Pipe) release() {
	if len(p.held) == 0 {
		return
	}
	p.f.q.at(p.f.q.now+int64(p.path.link.Latency), func() {
		if p.path.block != 0 || p.broken {
			return // the next release
		}
		held := p.held
		p.held = nil
		for _, s := range held {
			p.enter(s)
		}
	})
}

func (p *Pipe) deliver(s segment) {
	if p.broken {
		return
	}
	switch {
	case p.gram:
		p.inflight -= s.size
	case p.path.link.Window < 0:
		p.inflight -= s.size
		p.pumpLater()
	default:
		p.f.q.at(p.f.q.now+int64(p.back.link.Latency), func() { p.acked(s.size) })
	}
	if s.fn != nil {
		s.fn(p.path.corrupt > 0 && p.rand().Float64() < p.path.corrupt)
	}
}

// pumpLater pumps where something waits: the sender of a pipe without a window
// hears of the reader's progress without delay.
func (p *Pipe) pumpLater() {
	if len(p.backlog) > 0 {
		p.pump()
	}
}

// acked opens the window: by what was acknowledged in slow start, by a segment
// a round trip after the first loss. A window that was not used does not grow.
func (p *Pipe) acked(size int) {
	if p.broken {
		return
	}
	if p.inflight >= p.cwnd/2 {
		if p.cwnd < p.ssthresh {
			p.cwnd += size
		} else {
			p.cwnd += max(1, maxSegment*size/p.cwnd)
		}
		p.cwnd = min(p.cwnd, maxWindow)
	}
	p.inflight -= size
	p.pump()
}

// ease cuts the window to 0.7 of itself, at most once a round trip.
func (p *Pipe) ease() {
	rtt := int64(p.path.link.Latency + p.back.link.Latency)
	if p.gram || p.path.link.Window < 0 || p.eased != 0 && p.f.q.now < p.eased+max(rtt, int64(time.Millisecond)) {
		return
	}
	p.eased = p.f.q.now + 1
	p.cwnd = max(p.cwnd*7/10, 2*maxSegment)
	p.ssthresh = p.cwnd
}

// arrived charges size bytes to the receiver's buffer until consumed gives
// them back.
func (p *Pipe) arrived(size int) { p.unread += size }

func (p *Pipe) consumed(size int) {
	p.unread -= size
	if p.broken || len(p.backlog) == 0 || p.ready || p.paced {
		return
	}
	// The news that there is room takes its time.
	p.f.q.at(p.f.q.now+int64(p.back.link.Latency), p.pump)
}

// rand is the pipe's own generator, so that what one connection draws changes
// nothing for the others.
func (p *Pipe) rand() *rand.Rand {
	if p.rng == nil {
		h := mix(mixAddr(mixAddr(fnvOffset, p.path.from.addr), p.path.to.addr), p.n)
		p.rng = rand.New(rand.NewPCG(p.f.cfg.Seed, h))
	}
	return p.rng
}

func mixAddr(h uint64, a netip.Addr) uint64 {
	for _, b := range a.As16() {
		h = (h ^ uint64(b)) * fnvPrime
	}
	return h
}
