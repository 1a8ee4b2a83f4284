package bed

import (
	"net/netip"
	"slices"
	"time"

	"github.com/starlingp2p/starling/env"
)

// Config is what a network is made of. The zero value is a network of instant
// links with a drawn seed.
type Config struct {
	Seed uint64 // 0: drawn (for a Sim's fabric: that of the run)
	Link Link   // between hosts for which LinkOf and SetLink say nothing
	// LinkOf, unless nil, gives the link for a direction, asked once for each
	// when it is first used. It must be pure.
	LinkOf func(from, to netip.Addr) Link
	Up     int64 // each host's uplink in bytes per second, shared by its links; 0: no limit
	Down   int64 // each host's downlink; 0: no limit
}

// Fabric is the pure model of a network: hosts with an uplink and a downlink,
// and between each two of them a link either way. It does nothing but add
// calls to its queue. It is not safe for concurrent use.
type Fabric struct {
	q      *Queue
	cfg    Config
	ends   map[netip.Addr]*endpoint
	paths  map[pair]*path
	all    []*path // paths in the order in which they came up: no map is walked
	groups map[netip.Addr]int
	parted Mode // how the groups' borders show; 0: no partition
}

type pair struct{ from, to netip.Addr }

// endpoint is a host's two ends: the uplink serves its links in turn, one
// segment each.
type endpoint struct {
	f        *Fabric
	addr     netip.Addr
	up, down int64
	ring     []*Pipe // with something to send
	sending  bool    // the uplink is busy with a segment
	serving  bool    // serve is on the stack
	downFree int64   // when the downlink is done with what has arrived
	cut      Mode
	traffic  Traffic
}

// path is one direction between two hosts.
type path struct {
	from, to *endpoint
	link     Link
	stalled  bool
	corrupt  float64 // share of segments of which a byte is flipped
	block    Mode    // what stall, cut and partition come to
	pipes    []*Pipe // that live, in order of their making
	opened   uint64  // pipes so far
	gram     *Pipe   // carries datagrams
}

func newFabric(q *Queue, cfg Config) *Fabric {
	if cfg.Seed == 0 {
		cfg.Seed = env.NewRand(0).Uint64()
	}
	return &Fabric{q: q, cfg: cfg, ends: map[netip.Addr]*endpoint{}, paths: map[pair]*path{}}
}

// SetRates sets the host's uplink and downlink in bytes per second; 0: no
// limit.
func (f *Fabric) SetRates(host netip.Addr, up, down int64) {
	e := f.end(host)
	e.up, e.down = max(up, 0), max(down, 0)
}

// Traffic tells what the host sent and received.
func (f *Fabric) Traffic(host netip.Addr) Traffic { return f.end(host).traffic }

// SetLink changes both directions between a and b, from the next segment on.
func (f *Fabric) SetLink(a, b netip.Addr, l Link) {
	f.SetLinkOneWay(a, b, l)
	f.SetLinkOneWay(b, a, l)
}

// SetLinkOneWay changes the direction from one host to another.
func (f *Fabric) SetLinkOneWay(from, to netip.Addr, l Link) {
	p := f.path(from, to)
	p.link = l.withDefaults()
	p.pump()
}

// LinkBetween is the link in the direction from one host to another, with its
// defaults filled in.
func (f *Fabric) LinkBetween(from, to netip.Addr) Link { return f.path(from, to).link }

// SetLoss changes the loss of every link, those that come up later included.
func (f *Fabric) SetLoss(loss float64) {
	old := f.cfg.LinkOf
	f.cfg.Link.Loss = loss
	if old != nil {
		f.cfg.LinkOf = func(from, to netip.Addr) Link {
			l := old(from, to)
			l.Loss = loss
			return l
		}
	}
	for _, p := range f.all {
		p.link.Loss = min(max(loss, 0), 1)
	}
}

func (f *Fabric) end(a netip.Addr) *endpoint {
	e := f.ends[a]
	if e == nil {
		e = &endpoint{f: f, addr: a, up: max(f.cfg.Up, 0), down: max(f.cfg.Down, 0)}
		f.ends[a] = e
	}
	return e
}

func (f *Fabric) path(from, to netip.Addr) *path {
	key := pair{from, to}
	p := f.paths[key]
	if p == nil {
		l := f.cfg.Link
		if f.cfg.LinkOf != nil {
			l = f.cfg.LinkOf(from, to)
		}
		p = &path{from: f.end(from), to: f.end(to), link: l.withDefaults()}
		f.paths[key] = p
		f.all = append(f.all, p)
		p.block = f.blockOf(p)
	}
	return p
}

// pump starts what a change of the link may let go.
func (p *path) pump() {
	for _, pipe := range slices.Clone(p.pipes) {
		pipe.pump()
	}
}

// serve gives the uplink to one link after the other while it is free.
func (e *endpoint) serve() {
	if e.serving {
		return
	}
	e.serving = true
	defer func() { e.serving = false }()
	for !e.sending && len(e.ring) > 0 {
		p := e.ring[0]
		e.ring[0] = nil
		e.ring = e.ring[1:]
		p.ready = false
		if p.broken {
			continue
		}
		s := p.take()
		wire := wireBytes(s.size)
		up := txTime(wire, e.up)
		p.linkFree = e.f.q.now + txTime(wire, p.path.link.Rate)
		out := max(e.f.q.now+up, p.linkFree) // when its last byte is on the wire
		e.traffic.Sent += uint64(s.size)
		e.traffic.WireSent += uint64(wire)
		if up > 0 {
			e.sending = true
			e.f.q.at(e.f.q.now+up, func() {
				e.sending = false
				p.launch(s, out)
				p.pump() // behind those that have waited
				e.serve()
			})
			return
		}
		p.launch(s, out)
		p.pump()
	}
}

// receive hands a segment to the downlink and calls done when it is through.
// It reports how long the segment waits for those before it.
func (e *endpoint) receive(size int, done func()) (waited time.Duration) {
	wire := wireBytes(size)
	finish := func() {
		e.traffic.Received += uint64(size)
		e.traffic.WireReceived += uint64(wire)
		done()
	}
	start := max(e.f.q.now, e.downFree)
	e.downFree = start + txTime(wire, e.down)
	if e.downFree == e.f.q.now {
		finish()
	} else {
		e.f.q.at(e.downFree, finish)
	}
	return time.Duration(start - e.f.q.now)
}
