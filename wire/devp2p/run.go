package devp2p

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ethereum/go-ethereum/crypto"

	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/internal/intake"
)

// node is one Run of a Wire.
type node struct {
	w        *Wire
	host     wire.Host
	key      *ecdsa.PrivateKey
	self     peer.ID
	listener net.Listener // nil: dial only
	finder   *finder
	budget   *intake.Budget
	paged    atomic.Int64  // bytes of it that receipts take which come page by page
	pending  chan struct{} // a place for each inbound handshake
	throttle *throttle
	outside  atomic.Pointer[outside] // nil: no router maps ports for us

	ctx  context.Context // ends when all goodbyes are said
	stop context.CancelFunc
	wg   sync.WaitGroup

	mu       sync.Mutex // a leaf
	stopping bool
	raw      map[net.Conn]struct{} // links in their handshake
	peers    map[peer.ID]*contact
}

// Run implements wire.Wire.
func (w *Wire) Run(ctx context.Context, h wire.Host) error {
	if w.ran.Swap(true) {
		return errors.New("devp2p: Run was called twice")
	}
	key, err := w.key()
	if err != nil {
		return err
	}
	n := &node{
		w: w, host: h, key: key, self: IDOf(&key.PublicKey), budget: intake.NewBudget(int64(w.cfg.DecodeBudget)),
		pending: make(chan struct{}, w.cfg.MaxPending), throttle: newThrottle(w.cfg.InboundPause), raw: map[net.Conn]struct{}{}, peers: map[peer.ID]*contact{},
	}
	n.budget.Share(h)
	n.ctx, n.stop = context.WithCancel(context.WithoutCancel(ctx))
	defer n.stop()
	if !w.cfg.NoListen {
		if n.listener, err = w.cfg.Net.Listen(ctx, "tcp", w.cfg.Listen); err != nil {
			return fmt.Errorf("devp2p: listen on %q: %w", w.cfg.Listen, err)
		}
	}
	if n.finder, err = n.startFinder(); err != nil {
		if n.listener != nil {
			n.listener.Close()
		}
		return err
	}
	defer n.finder.close()
	if n.listener != nil {
		n.wg.Go(n.accept)
	}
	n.wg.Go(n.tellRanges)
	if r := w.cfg.Router; r != nil {
		n.wg.Go(func() { n.mapPorts(r) })
	}
	w.node.Store(n)
	close(w.ready)
	w.cfg.Logger.Info("devp2p wire is listening", "peer", string(n.self), "addr", w.Addrs())

	<-ctx.Done()
	n.farewell()
	w.node.Store(nil)
	n.wg.Wait()
	return nil
}

func (w *Wire) key() (*ecdsa.PrivateKey, error) {
	switch {
	case w.cfg.Key != nil:
		return w.cfg.Key, nil
	case w.cfg.KeyFile != "":
		return LoadOrCreateKey(w.cfg.KeyFile)
	}
	return crypto.GenerateKey()
}

// farewell tells every peer that we are quitting, and ends all that runs.
func (n *node) farewell() {
	if n.listener != nil {
		n.listener.Close()
	}
	n.mu.Lock()
	n.stopping = true
	var open []*session
	for _, c := range n.peers { // each is told alone: the order has no effect
		if c.claim != nil && c.claim.session != nil {
			open = append(open, c.claim.session)
		}
	}
	for c := range n.raw {
		c.Close()
	}
	n.mu.Unlock()
	for _, s := range open {
		s.Close(peer.Stopping)
	}
	late := time.NewTimer(stopTime)
	defer late.Stop()
	for _, s := range open {
		select {
		case <-s.gone:
		case <-late.C:
			n.stop()
			return
		}
	}
	n.stop()
}

// goes starts a goroutine that Run waits for, unless the node is stopping.
func (n *node) goes(f func()) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.stopping {
		return false
	}
	n.wg.Go(f)
	return true
}

// acceptPause is how long to wait after an accept that failed, for want of
// file descriptors (threat C-02).
const acceptPause = 100 * time.Millisecond

// accept takes links in while there is a place for their handshake. What waits
// beyond that is the kernel's to hold.
func (n *node) accept() {
	for {
		select {
		case n.pending <- struct{}{}:
		case <-n.ctx.Done():
			return
		}
		c, err := n.listener.Accept()
		if err != nil {
			<-n.pending
			if errors.Is(err, net.ErrClosed) {
				return
			}
			t := time.NewTimer(acceptPause)
			select {
			case <-t.C:
				continue
			case <-n.ctx.Done():
				t.Stop()
				return
			}
		}
		if !n.goes(func() {
			place := sync.OnceFunc(func() { <-n.pending })
			defer place()
			n.welcome(c, place)
		}) {
			c.Close()
			<-n.pending
		}
	}
}

// endpointOf is the remote end of a link.
func endpointOf(c net.Conn) netip.AddrPort { return addrPortOf(c.RemoteAddr()) }

func addrPortOf(a net.Addr) netip.AddrPort {
	if at, err := netip.ParseAddrPort(a.String()); err == nil {
		return netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
	}
	return netip.AddrPort{}
}

// hold notes a link in its handshake, to be closed when the node stops.
func (n *node) hold(c net.Conn) (letGo func(), ok bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.stopping {
		return nil, false
	}
	n.raw[c] = struct{}{}
	return func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		delete(n.raw, c)
	}, true
}
