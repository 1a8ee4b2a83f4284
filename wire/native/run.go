package native

import (
	"context"
	"errors"
	"fmt"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"

	"github.com/starlingp2p/starling/internal/pause"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/internal/book"
	"github.com/starlingp2p/starling/wire/internal/codec"
	"github.com/starlingp2p/starling/wire/internal/p2phost"
	"github.com/starlingp2p/starling/wire/internal/reqresp"
)

// node is one Run of a Wire.
type node struct {
	w      *Wire
	host   wire.Host
	p2p    *p2phost.Host
	gossip *p2phost.Gossip
	kad    *p2phost.Kad // nil: off
	budget *p2phost.Budget
	shared *reqresp.Shared // by the requests of all peers

	book.Charger
	tasks *book.Tasks // end when the node has said goodbye
	book  *book.Book[session, streams]
}

// Run implements wire.Wire.
func (w *Wire) Run(ctx context.Context, h wire.Host) error {
	if w.ran.Swap(true) {
		return errors.New("native: Run was called twice")
	}
	key, err := w.key()
	if err != nil {
		return err
	}
	shared := reqresp.NewShared(int64(w.cfg.DecodeBudget))
	n := &node{w: w, host: h, budget: shared.Budget(), shared: shared, tasks: book.NewTasks(ctx)}
	n.Charger = book.NewCharger(h.Report, n.payer)
	defer n.tasks.End()
	if err := n.start(key); err != nil {
		return err
	}
	w.node.Store(n)
	close(w.ready)
	w.cfg.Logger.Info("native wire is listening", "peer", n.p2p.ID().String(), "addr", w.Addrs())

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
		return p2phost.LoadOrCreateKey(w.cfg.KeyFile)
	}
	return p2phost.NewKey()
}

// start brings up the parts. Whether there was an error or not, what is up goes
// down when the tasks end.
func (n *node) start(key crypto.PrivKey) error {
	cfg := n.w.cfg
	listen, advertise, err := cfg.addrs()
	if err != nil {
		return err
	}
	n.p2p, err = p2phost.New(p2phost.Config{
		Key: key, Judge: judge{n}, Listen: listen, Advertise: advertise, Agent: cfg.Agent,
		NoQUIC: cfg.NoQUIC, AllowPrivate: cfg.AllowPrivate, Resolver: cfg.Resolver,
		Options: cfg.Libp2pOptions, NoTransports: len(cfg.Libp2pOptions) > 0,
		Logger: cfg.Logger, Libraries: cfg.Libraries, Flood: n.Charge,
	})
	if err != nil {
		return fmt.Errorf("native: %w", err)
	}
	n.tasks.AtEnd(func() { n.p2p.Close() })
	n.book = book.New(n.tasks.Ctx, n.p2p.ID(), (*session).tie, func() streams { return streams{said: make(chan struct{})} })
	n.gossip, err = n.p2p.StartGossip(n.gossipConfig())
	if err != nil {
		return fmt.Errorf("native: %w", err)
	}
	n.tasks.AtEnd(n.gossip.Close)
	topics := []string{n.w.names.Block, n.w.names.Tx, n.w.names.Consensus}
	for _, name := range cfg.Topics {
		t, err := n.w.names.App(name)
		if err != nil {
			return fmt.Errorf("native: topic %q: %w", name, err)
		}
		topics = append(topics, t)
	}
	for _, t := range topics {
		if err := n.gossip.Join(t); err != nil {
			return fmt.Errorf("native: %w", err)
		}
	}
	host := n.p2p.P2P()
	host.Network().Notify(&network.NotifyBundle{DisconnectedF: func(_ network.Network, c network.Conn) { n.disconnected(c) }})
	host.SetStreamHandler(codec.StatusProtocol, n.tasks.Handle(n.acceptStatus, n.Charge))
	host.SetStreamHandler(codec.RequestProtocol, n.tasks.Handle(n.acceptRequest, n.Charge))
	host.SetStreamHandler(codec.ConsensusProtocol, n.tasks.Handle(n.acceptConsensus, n.Charge))
	host.SetStreamHandler(codec.GoodbyeProtocol, n.tasks.Handle(n.acceptGoodbye, n.Charge))
	if !cfg.NoDHT {
		if n.kad, err = n.p2p.StartKademlia(n.w.names.Prefix); err != nil {
			return fmt.Errorf("native: %w", err)
		}
		n.tasks.Go(n.bootstrap)
	}
	if err := n.p2p.Listen(); err != nil {
		return fmt.Errorf("native: %w", err)
	}
	if cfg.MDNS {
		end, err := n.p2p.StartMDNS("_starling-" + n.w.names.Prefix[len("/starling/"):] + "._udp")
		if err != nil {
			return fmt.Errorf("native: %w", err)
		}
		n.tasks.AtEnd(func() { end() })
	}
	return nil
}

// bootstrap does the first round of discovery; the node paces the others.
func (n *node) bootstrap() {
	if pause.For(n.tasks.Ctx, firstDiscover) == nil {
		n.kad.Discover(n.tasks.Ctx)
	}
}

// farewell tells every peer that we are quitting.
func (n *node) farewell() {
	n.book.Farewell(func(s *session) { s.Close(peer.Stopping) }, stopTime)
}

// payer is the open session on a connection, or that was on it a moment ago;
// nil: none.
func (n *node) payer(c network.Conn) wire.Session {
	if s := n.book.On(c); s != nil {
		return s
	}
	return nil
}

// judge passes on what the host asks and reports, with our names of topics.
type judge struct{ n *node }

// Admit implements p2phost.Judge.
func (j judge) Admit(l wire.Link) peer.Reason { return j.n.host.Admit(l) }

// Report implements p2phost.Judge.
func (j judge) Report(r wire.Report) {
	if t, ok := r.(wire.TopicChanged); ok {
		if name, ok := j.n.w.names.AppName(t.Topic); ok {
			t.Topic = name
			r = t
		}
	}
	j.n.host.Report(r)
}
