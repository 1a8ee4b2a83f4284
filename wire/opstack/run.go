package opstack

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p"
	mplex "github.com/libp2p/go-libp2p-mplex"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	libtls "github.com/libp2p/go-libp2p/p2p/security/tls"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"

	"golang.org/x/sync/semaphore"
	"golang.org/x/time/rate"

	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/internal/book"
	"github.com/starlingp2p/starling/wire/internal/discv"
	"github.com/starlingp2p/starling/wire/internal/p2phost"
	"github.com/starlingp2p/starling/wire/internal/reqresp"
	"github.com/starlingp2p/starling/wire/opstack/codec"
)

// node is one Run of a Wire.
type node struct {
	w          *Wire
	host       wire.Host
	p2p        *p2phost.Host
	gossip     *p2phost.Gossip
	budget     *p2phost.Budget
	shared     *reqresp.Shared     // by requests of and to Starlings
	discv      *discv.V5           // nil: off
	held       *semaphore.Weighted // by answers to our requests
	copies     *Copies
	doubt      doubt
	protos     []protocol.ID // of payload_by_number, in our order
	rangeProto protocol.ID
	checks     map[string]chan struct{}

	book.Charger
	tasks *book.Tasks
	book  *book.Book[session, streams]

	mu       sync.Mutex           // a leaf
	prefixes *prefixes            // what the peers of a prefix are served
	meshless map[string]time.Time // topics of ours with members and no mesh, and since when
}

// Run implements wire.Wire.
func (w *Wire) Run(ctx context.Context, h wire.Host) error {
	if w.ran.Swap(true) {
		return errRanTwice
	}
	key, err := w.key()
	if err != nil {
		return err
	}
	shared := reqresp.NewShared(int64(w.cfg.DecodeBudget))
	n := &node{
		w: w, host: h, budget: shared.Budget(), shared: shared, rangeProto: rangeProtocol(w.chainID), copies: NewCopies(), held: newHeld(),
		checks: map[string]chan struct{}{}, doubt: doubt{began: time.Now()}, tasks: book.NewTasks(ctx),
		meshless: map[string]time.Time{}, prefixes: newPrefixes(rate.Limit(w.cfg.ServeRate), w.cfg.ServeBurst),
	}
	for _, p := range codec.Protocols(w.chainID) {
		n.protos = append(n.protos, protocol.ID(p))
	}
	for topic := range w.topics {
		n.checks[topic] = make(chan struct{}, validators)
	}
	n.Charger = book.NewCharger(h.Report, n.payer)
	defer n.tasks.End()
	if err := n.start(key); err != nil {
		return err
	}
	w.node.Store(n)
	close(w.ready)
	w.cfg.Logger.Info("opstack wire is listening", "peer", n.p2p.ID().String(), "addr", w.Addrs(), "chain", w.chainID)

	<-ctx.Done()
	n.farewell()
	w.node.Store(nil)
	return nil
}

// key is the identity that the config asks for.
func (w *Wire) key() (crypto.PrivKey, error) {
	switch {
	case w.cfg.Key != nil:
		return w.cfg.Key, nil
	case w.cfg.KeyFile != "":
		return p2phost.LoadOrCreateHexKey(w.cfg.KeyFile)
	}
	return p2phost.NewSecp256k1Key()
}

// options are what op-node's host is made of: TCP, Noise, yamux (which every
// host has) and mplex.
func (c Config) options() []libp2p.Option {
	opts := c.Libp2pOptions
	if len(opts) == 0 {
		opts = []libp2p.Option{libp2p.Transport(tcp.NewTCPTransport, tcp.DisableReuseport())} // or two nodes could listen on one port
		switch {
		case c.Plaintext:
			opts = append(opts, libp2p.NoSecurity)
		case c.TLS:
			opts = append(opts, libp2p.Security(noise.ID, noise.New), libp2p.Security(libtls.ID, libtls.New))
		default:
			opts = append(opts, libp2p.Security(noise.ID, noise.New))
		}
	}
	return append(opts[:len(opts):len(opts)], libp2p.Muxer(mplex.ID, mplex.DefaultTransport))
}

// start brings up the parts. Whether there was an error or not, what is up goes
// down when the tasks end.
func (n *node) start(key crypto.PrivKey) error {
	cfg := n.w.cfg
	listen, advertise, err := cfg.addrs()
	if err != nil {
		return err
	}
	_, odd := reach(listen, advertise)
	for _, text := range odd {
		cfg.Logger.Warn("opstack: " + text)
	}
	n.p2p, err = p2phost.New(p2phost.Config{
		Key: key, Judge: judge{n}, Listen: listen, Advertise: advertise, Agent: cfg.Agent,
		NoQUIC: true, NoTransports: true, AllowPrivate: cfg.AllowPrivate, Resolver: cfg.Resolver,
		Options: cfg.options(), Logger: cfg.Logger, Libraries: cfg.Libraries, Flood: n.Charge,
	})
	if err != nil {
		return fmt.Errorf("opstack: %w", err)
	}
	n.tasks.AtEnd(func() { n.p2p.Close() })
	n.book = book.New(n.tasks.Ctx, n.p2p.ID(), (*session).tie, func() (none streams) { return none })
	n.gossip, err = n.p2p.StartGossip(n.gossipConfig())
	if err != nil {
		return fmt.Errorf("opstack: %w", err)
	}
	n.tasks.AtEnd(n.gossip.Close)
	for _, v := range codec.Versions {
		if err := n.gossip.Join(codec.Topic(n.w.chainID, v)); err != nil {
			return fmt.Errorf("opstack: %w", err)
		}
	}
	host := n.p2p.P2P()
	host.Network().Notify(&network.NotifyBundle{
		ConnectedF: func(_ network.Network, c network.Conn) {
			if c.Stat().Direction == network.DirInbound {
				n.tasks.Go(func() { n.accept(c) })
			}
		},
		DisconnectedF: func(_ network.Network, c network.Conn) { n.disconnected(c) },
	})
	for _, p := range n.protos {
		host.SetStreamHandler(p, n.tasks.Handle(n.acceptRequest, n.Charge))
	}
	if !cfg.NoRanges {
		host.SetStreamHandler(n.rangeProto, n.tasks.Handle(n.acceptRange, n.Charge))
	}
	if err := n.p2p.Listen(); err != nil {
		return fmt.Errorf("opstack: %w", err)
	}
	if cfg.DiscoverOn != "" {
		if n.discv, err = n.startDiscovery(key); err != nil {
			return fmt.Errorf("opstack: %w", err)
		}
		n.tasks.AtEnd(n.discv.Close)
		n.tasks.Go(n.bootstrap)
	}
	n.tasks.Go(n.keepPinging)
	n.tasks.Go(n.endUnused)
	n.tasks.Go(func() { n.w.scores.decay(n.tasks.Ctx) })
	return nil
}

// farewell closes every session. The protocol has no word for it: peers see the
// connection end.
func (n *node) farewell() {
	n.book.Farewell(func(s *session) { s.Close(peer.Stopping) }, time.Second)
}

// payer is sessionOn as a wire.Session, which is nil where there is none.
func (n *node) payer(c network.Conn) wire.Session {
	if s := n.sessionOn(c); s != nil {
		return s
	}
	return nil
}

// judge passes on what the host asks and reports, and notes who is a member of
// which topics.
type judge struct{ n *node }

// Admit implements p2phost.Judge. Where nothing is encrypted, nobody is met but
// on loopback.
func (j judge) Admit(l wire.Link) peer.Reason {
	if ip := l.Endpoint.Addr(); j.n.w.cfg.Plaintext && !ip.Unmap().IsLoopback() {
		return peer.AddrUnwanted
	}
	return j.n.host.Admit(l)
}

// Report implements p2phost.Judge.
func (j judge) Report(r wire.Report) {
	if t, ok := r.(wire.TopicChanged); ok {
		j.n.member(t.ID, t.Joined)
	}
	j.n.host.Report(r)
}
