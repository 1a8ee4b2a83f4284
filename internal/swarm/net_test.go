package swarm

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	// Longer runs than rapid's own; the command line has the last word.
	for name, value := range map[string]string{"rapid.steps": "150", "rapid.checks": "200"} {
		if err := flag.Set(name, value); err != nil {
			panic(err)
		}
	}
	goleak.VerifyTestMain(m)
}

// at is an address of the test wire: "id@ip:port", or "ip:port".
func at(s string) peer.Addr { return peer.Addr{Scheme: "t", Text: s} }

// endpointOfAddr reads the addresses of the test wire.
func endpointOfAddr(a peer.Addr) (netip.AddrPort, peer.ID, bool) {
	id, host, ok := strings.Cut(a.Text, "@")
	if !ok {
		id, host = "", a.Text
	}
	ep, err := netip.ParseAddrPort(host)
	return ep, peer.ID(id), err == nil
}

// net is an in-memory network of nodes with a delay on every link.
type network struct {
	delay time.Duration
	mu    sync.Mutex
	nodes map[netip.AddrPort]*node
	port  uint16
}

// node is a swarm on the network, with what it was told.
type node struct {
	*Swarm
	id   peer.ID
	ep   netip.AddrPort
	net  *network
	addr peer.Addr

	mu     sync.Mutex
	events []Event
	open   map[*link]bool
	down   bool
	stop   context.CancelFunc
	ended  chan error
}

func newNetwork(delay time.Duration) *network {
	return &network{delay: delay, nodes: map[netip.AddrPort]*node{}, port: 40000}
}

// link is one side of a session.
type link struct {
	own   *node
	info  peer.Info
	other *link
	done  chan struct{}
	once  sync.Once
	taken bool // Open took it
	mu    sync.Mutex
}

func (l *link) Peer() peer.Info { return l.info }
func (l *link) Send(context.Context, wire.Lane, wire.Message) error {
	return wire.ErrUnsupported
}

func (l *link) Request(context.Context, wire.Request) (wire.Response, error) {
	return nil, wire.ErrUnsupported
}
func (l *link) Done() <-chan struct{} { return l.done }
func (l *link) Close(why peer.Reason) { l.end(why, false) }

func (l *link) end(why peer.Reason, byRemote bool) {
	l.once.Do(func() {
		close(l.done)
		l.mu.Lock()
		taken := l.taken
		l.mu.Unlock()
		l.own.mu.Lock()
		delete(l.own.open, l)
		l.own.mu.Unlock()
		if taken {
			l.own.Report(wire.Closed{Session: l, Reason: why, ByRemote: byRemote})
		}
		if !byRemote {
			time.AfterFunc(l.own.net.delay, func() { l.other.end(why, true) })
		}
	})
}

// join starts a node. Its config's Dial, Self and Endpoint are the network's.
func (n *network) join(t *testing.T, id peer.ID, host string, cfg Config) *node {
	t.Helper()
	ep := netip.MustParseAddrPort(host)
	nd := &node{id: id, ep: ep, net: n, open: map[*link]bool{}, addr: at(string(id) + "@" + host)}
	cfg.ProvenIdentity = true
	cfg.Self = func() peer.ID { return id }
	cfg.Endpoint = endpointOfAddr
	cfg.Dial = func(ctx context.Context, a peer.Addr) error { return n.dial(ctx, nd, a) }
	if cfg.Seed == 0 {
		cfg.Seed = 1 + uint64(len(id)) + uint64(ep.Port())
	}
	user := cfg.OnEvent
	cfg.OnEvent = func(e Event) {
		nd.mu.Lock()
		nd.events = append(nd.events, e)
		nd.mu.Unlock()
		if user != nil {
			user(e)
		}
	}
	sw, err := New(cfg)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	nd.Swarm = sw
	n.mu.Lock()
	n.nodes[ep] = nd
	n.mu.Unlock()
	ctx, cancel := context.WithCancel(context.Background())
	nd.stop, nd.ended = cancel, make(chan error, 1)
	go func() { nd.ended <- sw.Run(ctx) }()
	t.Cleanup(func() { nd.leave() })
	return nd
}

// leave stops a node and closes its links, as its wire would.
func (nd *node) leave() {
	nd.mu.Lock()
	if nd.down {
		nd.mu.Unlock()
		return
	}
	nd.down = true
	links := make([]*link, 0, len(nd.open))
	for l := range nd.open {
		links = append(links, l)
	}
	nd.mu.Unlock()
	nd.stop()
	<-nd.ended
	for _, l := range links {
		l.Close(peer.Stopping)
	}
	nd.net.mu.Lock()
	if nd.net.nodes[nd.ep] == nd {
		delete(nd.net.nodes, nd.ep)
	}
	nd.net.mu.Unlock()
}

var errUnreachable = errors.New("connection refused")

// dial makes a session between two nodes: both sides' Open decide.
func (n *network) dial(ctx context.Context, from *node, a peer.Addr) error {
	ep, want, _ := endpointOfAddr(a)
	select {
	case <-time.After(n.delay):
	case <-ctx.Done():
		return ctx.Err()
	}
	n.mu.Lock()
	to := n.nodes[ep]
	n.port++
	port := n.port
	n.mu.Unlock()
	if to == nil {
		return errUnreachable
	}
	source := netip.AddrPortFrom(from.ep.Addr(), port)
	if why := to.Admit(wire.Link{Direction: peer.Inbound, Endpoint: source}); why != peer.OK {
		return &peer.RefusedError{Reason: peer.HandshakeFailed, Remote: true}
	}
	if want != "" && want != to.id {
		to.Report(wire.Refused{Link: wire.Link{Endpoint: source}, Reason: peer.LinkLost, Remote: true})
		return peer.Refuse(peer.WrongIdentity)
	}
	if why := to.Admit(wire.Link{Direction: peer.Inbound, Endpoint: source, ID: from.id}); why != peer.OK {
		return &peer.RefusedError{Reason: why, Remote: true}
	}
	out := &link{own: from, done: make(chan struct{}), info: peer.Info{ID: to.id, Addr: a, Endpoint: ep, Direction: peer.Outbound, Proven: true, Opened: time.Now()}}
	in := &link{own: to, done: make(chan struct{}), other: out, info: peer.Info{ID: from.id, Addr: at(source.String()), Endpoint: source, Direction: peer.Inbound, Proven: true, Opened: time.Now(), Listen: []peer.Addr{from.addr}}}
	out.other = in
	time.Sleep(n.delay)
	if err := in.offer(); err != nil {
		var r *peer.RefusedError
		errors.As(err, &r)
		out.end(peer.ByRemote, true)
		return &peer.RefusedError{Reason: r.Reason, Remote: true}
	}
	time.Sleep(n.delay)
	if err := out.offer(); err != nil {
		var r *peer.RefusedError
		if errors.As(err, &r) {
			out.Close(r.Reason)
		}
		return err
	}
	return nil
}

func (l *link) offer() error {
	l.own.mu.Lock()
	l.own.open[l] = true
	l.own.mu.Unlock()
	l.mu.Lock()
	l.taken = true // so that an end that comes at once is reported
	l.mu.Unlock()
	err := l.own.Open(context.Background(), l, chain.Status{})
	if err != nil {
		l.mu.Lock()
		l.taken = false
		l.mu.Unlock()
	}
	return err
}

// ids lists the peers of a node, in order.
func (nd *node) ids() []peer.ID {
	var out []peer.ID
	for _, p := range nd.Peers() {
		out = append(out, p.Info.ID)
	}
	slices.Sort(out)
	return out
}

func (nd *node) told() []Event {
	nd.mu.Lock()
	defer nd.mu.Unlock()
	return slices.Clone(nd.events)
}

// count counts the events of one type.
func count[E Event](nd *node) (n int) {
	for _, e := range nd.told() {
		if _, ok := e.(E); ok {
			n++
		}
	}
	return n
}

// session finds the open link to a peer.
func (nd *node) session(id peer.ID) *link {
	nd.mu.Lock()
	defer nd.mu.Unlock()
	for l := range nd.open {
		if l.info.ID == id {
			return l
		}
	}
	return nil
}

func host(a, b, c, d int) string { return fmt.Sprintf("%d.%d.%d.%d:30303", a, b, c, d) }
