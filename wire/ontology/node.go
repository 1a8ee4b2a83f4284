package ontology

import (
	"context"
	crand "crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/starlingp2p/starling/internal/meter"
	"github.com/starlingp2p/starling/internal/pause"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/internal/intake"
	"github.com/starlingp2p/starling/wire/ontology/codec"
)

// node is a Wire that runs.
type node struct {
	cfg      Config
	host     wire.Host
	log      *slog.Logger
	budget   *intake.Budget
	listen   netip.AddrPort // zero: we do not
	second   netip.AddrPort // for consensus; zero: none
	identity atomic.Pointer[identity]
	shaking  chan struct{} // a place for each inbound handshake
	tips     tips
	rounds   atomic.Uint64 // of discovery among the newer peers
	reserved *reserved     // nil: not restricted
	traffic  *meter.Traffic

	ctx  context.Context // ends when the wire stops, after sessions were told
	stop context.CancelFunc
	wg   sync.WaitGroup

	mu       sync.Mutex // a leaf
	stopping bool
	nonces   [2]uint64 // ours: the first, and that of the node key
	sessions map[claim]*session
	names    map[peer.ID]struct{} // of the sessions, each its own
	dialling map[string]struct{}
}

// Run implements wire.Wire.
func (w *Wire) Run(ctx context.Context, h wire.Host) error {
	if w.ran.Swap(true) {
		return errors.New("ontology: Run was called before")
	}
	n := &node{
		cfg: w.cfg, host: h, log: w.cfg.Logger, traffic: w.traffic, budget: intake.NewBudget(int64(w.cfg.DecodeBudget)),
		shaking: make(chan struct{}, maxShaking), sessions: map[claim]*session{}, names: map[peer.ID]struct{}{}, dialling: map[string]struct{}{},
	}
	n.budget.Share(h)
	n.ctx, n.stop = context.WithCancel(context.WithoutCancel(ctx))
	defer n.stop()
	id, computed, err := n.who()
	if err != nil {
		return err
	}
	n.become(id)
	first, err := n.open(ctx, w.cfg.Listen, &n.listen)
	if err != nil {
		return err
	}
	second, err := n.open(ctx, w.cfg.ConsensusListen, &n.second)
	if err != nil {
		if first != nil {
			first.Close()
		}
		return err
	}
	if w.cfg.ReservedOnly {
		n.reserved = newReserved(w.cfg.Reserved, w.cfg.Resolve)
		n.wg.Go(func() {
			n.reserved.run(n.ctx, func(name string, err error) {
				n.log.Warn("a reserved peer's name is not found", "name", name, "err", err)
			})
		})
	}
	if w.cfg.RecentFile != "" {
		n.wg.Go(func() { n.keepRecent(n.ctx) })
	}
	if !computed && w.cfg.NodeKeyFile != "" {
		n.wg.Go(func() { n.findKey(n.ctx) })
	}
	if first != nil {
		n.wg.Go(func() { n.accept(first, false) })
	}
	if second != nil {
		n.wg.Go(func() { n.accept(second, true) })
	}
	w.node.Store(n)
	close(w.ready)
	n.log.Info("ontology wire is listening", "peer", string(w.Self()), "addr", n.listens())
	<-ctx.Done()
	w.node.Store(nil)
	for _, l := range []net.Listener{first, second} {
		if l != nil {
			l.Close()
		}
	}
	n.mu.Lock()
	n.stopping = true
	var all []*session
	for _, s := range n.sessions { // each is told alone: the order has no effect
		all = append(all, s)
	}
	n.mu.Unlock()
	for _, s := range all {
		s.Close(peer.Stopping)
	}
	n.stop()
	n.wg.Wait()
	return nil
}

// who says who we are, and whether that includes a node key.
func (n *node) who() (*identity, bool, error) {
	key := n.cfg.NodeKey
	if key == nil && n.cfg.NodeKeyFile != "" {
		var err error
		if key, err = readKey(n.cfg.NodeKeyFile); err != nil {
			return nil, false, err
		}
	}
	if key != nil {
		id, err := withKey(key, n.cfg.Soft)
		if err != nil {
			return nil, false, fmt.Errorf("ontology: node key: %w", err)
		}
		return id, true, nil
	}
	var b [8]byte
	crand.Read(b[:]) // never fails: see its documentation
	id := &identity{nonce: binary.LittleEndian.Uint64(b[:]), soft: n.cfg.Soft}
	if codec.ParseSoft(id.soft).Kad() {
		id.soft = keylessSoft
	}
	return id, false, nil
}

// become changes who we are, for the handshakes to come.
func (n *node) become(id *identity) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.identity.Load() == nil {
		n.nonces[0] = id.nonce
	}
	n.nonces[1] = id.nonce
	n.identity.Store(id)
}

// isUs reports whether a nonce is, or was, ours.
func (n *node) isUs(nonce uint64) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return nonce == n.nonces[0] || nonce == n.nonces[1]
}

// listens are the addresses at which we do: that for peers, and that for
// consensus.
func (n *node) listens() (at []string) {
	for _, a := range []netip.AddrPort{n.listen, n.second} {
		if a.IsValid() {
			at = append(at, a.String())
		}
	}
	return at
}

// open listens at an address; nil for none.
func (n *node) open(ctx context.Context, at string, where *netip.AddrPort) (net.Listener, error) {
	if at == "" {
		return nil, nil
	}
	l, err := n.cfg.Network.Listen(ctx, "tcp", at)
	if err != nil {
		return nil, fmt.Errorf("ontology: listen on %s: %w", at, err)
	}
	if *where, err = netip.ParseAddrPort(l.Addr().String()); err != nil {
		l.Close()
		return nil, fmt.Errorf("ontology: listen on %s: %w", at, err)
	}
	return l, nil
}

// accept takes connections until the listener is closed.
func (n *node) accept(l net.Listener, consensus bool) {
	wait := time.Duration(0)
	for {
		c, err := l.Accept()
		if errors.Is(err, net.ErrClosed) || n.ctx.Err() != nil {
			if c != nil {
				c.Close()
			}
			return
		}
		if err != nil { // out of descriptors, as a rule (threat C-02)
			wait = min(max(2*wait, 20*time.Millisecond), time.Second)
			if pause.For(n.ctx, wait) != nil {
				return
			}
			continue
		}
		wait = 0
		n.welcome(c, consensus)
	}
}

// welcome begins the handshake of an inbound connection, if the Host lets it in.
func (n *node) welcome(c net.Conn, consensus bool) {
	at := endpoint(c.RemoteAddr())
	link := wire.Link{Direction: peer.Inbound, Addr: addrOf(at), Endpoint: at}
	if err := n.bars(at.Addr()); err != nil {
		c.Close()
		n.refused(link, err)
		return
	}
	why := n.host.Admit(link)
	if why == peer.OK {
		select {
		case n.shaking <- struct{}{}:
		default:
			why = peer.HandshakesFull
		}
	}
	if why != peer.OK {
		c.Close()
		n.host.Report(wire.Refused{Link: link, Reason: why})
		return
	}
	ok := n.goes(func() {
		free := sync.OnceFunc(func() { <-n.shaking })
		defer free()
		var err error
		if consensus {
			err = n.inboundConsensus(c, link, free)
		} else {
			err = n.inbound(c, link, free)
		}
		if err != nil {
			n.refused(link, err)
		}
	})
	if !ok {
		<-n.shaking
		c.Close()
	}
}

// goes starts a goroutine that the wire waits for. False: it is stopping.
func (n *node) goes(f func()) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.stopping {
		return false
	}
	n.wg.Go(f)
	return true
}

// refused reports an inbound handshake that failed.
func (n *node) refused(link wire.Link, err error) {
	why := failure(err)
	n.host.Report(wire.Refused{Link: link, Reason: why.Reason, Remote: why.Remote, Detail: why.Detail})
	var fault *wire.Fault
	if errors.As(err, &fault) && fault.Offense != peer.UnknownMessage {
		n.log.Debug("handshake failed", "addr", link.Addr.Text, "err", err)
	}
}

// endpoint is the IP address and port of a remote.
func endpoint(a net.Addr) netip.AddrPort {
	ap, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}
