package bed

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// errTimeout is what a dial into a black hole ends with.
var errTimeout = errors.New("bed: connection timed out")

// Net is a network of hosts whose links take their time in package time:
// virtual in a bubble of testing/synctest, real elsewhere. It is safe for
// concurrent use, starts no goroutine (but what time.AfterFunc runs), and
// holds its lock while it waits for nothing. Make it inside the bubble that
// uses it.
type Net struct {
	mu     sync.Mutex
	start  time.Time
	q      Queue
	fabric *Fabric
	timer  *time.Timer
	armed  int64 // instant the timer is set for; -1: none
	closed bool
	hosts  map[netip.Addr]*Host
	order  []*Host // in order of making: no map is walked
	names  map[string][]netip.Addr
	dials  []*dialling // under way
}

// NewNet makes a network. Close it.
func NewNet(cfg Config) *Net {
	raced()
	n := &Net{
		start: time.Now(),
		armed: -1,
		hosts: map[netip.Addr]*Host{},
		names: map[string][]netip.Addr{},
	}
	n.q.base = n.start
	n.fabric = newFabric(&n.q, cfg)
	return n
}

// Close closes every connection and listener and stops the timer. It is
// idempotent.
func (n *Net) Close() error {
	n.lock()
	defer n.unlock()
	for _, h := range n.order {
		h.shut(Silent)
	}
	for len(n.dials) > 0 {
		n.dials[0].finish(net.ErrClosed)
	}
	n.closed = true
	n.q.heap = nil
	if n.timer != nil {
		n.timer.Stop()
	}
	return nil
}

// Host returns the host of that address, and makes it if there is none. Any
// address will do.
func (n *Net) Host(a netip.Addr) *Host {
	n.lock()
	defer n.unlock()
	return n.host(a.Unmap())
}

func (n *Net) host(a netip.Addr) *Host {
	h := n.hosts[a]
	if h == nil {
		h = &Host{
			net: n, addr: a, end: n.fabric.end(a), port: firstPort - 1,
			listeners: map[uint16]*Listener{}, packets: map[uint16]*PacketConn{},
			conns: map[*Conn]struct{}{}, mux: map[*muxConn]struct{}{},
		}
		n.hosts[a] = h
		n.order = append(n.order, h)
	}
	return h
}

// SetName makes Dial find a name: the addresses are tried in order. None
// removes the name.
func (n *Net) SetName(name string, addrs ...netip.Addr) {
	n.lock()
	defer n.unlock()
	n.names[name] = slices.Clone(addrs)
}

// SetLink changes both directions between a and b at run time.
func (n *Net) SetLink(a, b netip.Addr, l Link) { n.do(func(f *Fabric) { f.SetLink(a, b, l) }) }

// SetLinkOneWay changes one direction at run time.
func (n *Net) SetLinkOneWay(from, to netip.Addr, l Link) {
	n.do(func(f *Fabric) { f.SetLinkOneWay(from, to, l) })
}

// SetLoss changes the loss of every link at run time.
func (n *Net) SetLoss(loss float64) { n.do(func(f *Fabric) { f.SetLoss(loss) }) }

// Partition splits the hosts into groups, as Fabric.Partition does.
func (n *Net) Partition(mode Mode, groups ...[]netip.Addr) {
	n.do(func(f *Fabric) { f.Partition(mode, groups...) })
}

// Heal ends the partition.
func (n *Net) Heal() { n.do((*Fabric).Heal) }

// Stall stops the bytes between two hosts without an error.
func (n *Net) Stall(a, b netip.Addr) { n.do(func(f *Fabric) { f.Stall(a, b) }) }

// Unstall ends a Stall.
func (n *Net) Unstall(a, b netip.Addr) { n.do(func(f *Fabric) { f.Unstall(a, b) }) }

// Corrupt flips a byte in that share of the segments from one host to another.
func (n *Net) Corrupt(from, to netip.Addr, share float64) {
	n.do(func(f *Fabric) { f.Corrupt(from, to, share) })
}

func (n *Net) do(fn func(*Fabric)) {
	n.lock()
	defer n.unlock()
	fn(n.fabric)
}

// lock takes the lock and brings the model up to the present.
func (n *Net) lock() {
	n.mu.Lock()
	if !n.closed {
		n.q.run(int64(time.Since(n.start)))
	}
}

// unlock sets the timer for what comes next and lets go of the lock.
func (n *Net) unlock() {
	defer n.mu.Unlock()
	if n.closed || len(n.q.heap) == 0 {
		return
	}
	next := n.q.heap[0].at
	if n.armed >= 0 && n.armed <= next {
		return // it fires early enough, and sets itself anew
	}
	n.armed = next
	wait := time.Duration(next) - time.Since(n.start)
	if n.timer == nil {
		n.timer = time.AfterFunc(wait, n.tick)
	} else {
		n.timer.Reset(wait)
	}
}

func (n *Net) tick() {
	n.mu.Lock()
	n.armed = -1
	if !n.closed {
		n.q.run(int64(time.Since(n.start)))
	}
	n.unlock()
}

// signal wakes those who wait for a change. Its fields are under the net's
// lock; what wait returns is not.
type signal struct{ ch chan struct{} }

// wait returns a channel that the next wake closes.
func (s *signal) wait() <-chan struct{} {
	if s.ch == nil {
		s.ch = make(chan struct{})
	}
	return s.ch
}

func (s *signal) wake() {
	if s.ch != nil {
		close(s.ch)
		s.ch = nil
	}
}

// waiting is what a call waits for: ch is closed, or the deadline has passed;
// zero: none. Without a channel there is nothing to wait for.
type waiting struct {
	ch       <-chan struct{}
	deadline time.Time
}

// await blocks, with no lock held.
func (w waiting) await() {
	if w.deadline.IsZero() {
		<-w.ch
		return
	}
	t := time.NewTimer(time.Until(w.deadline))
	defer t.Stop()
	select {
	case <-w.ch:
	case <-t.C:
	}
}

// passed tells whether a deadline has; the zero time never does.
func passed(deadline time.Time) bool {
	return !deadline.IsZero() && !time.Now().Before(deadline)
}
