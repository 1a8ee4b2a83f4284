package starling

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/internal/swarm"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// Client is a handle on a Node, for any goroutine. Every method that waits
// ends with its context. Before Run has started the node, and after it has
// ended, verbs fail with ErrNotRunning; views give what is known.
type Client struct {
	node *Node
	open atomic.Bool
}

func (c *Client) ready() error {
	if !c.open.Load() {
		return ErrNotRunning
	}
	return nil
}

// Request asks a peer the application's own question and blocks for the
// answer, until ctx or the wire's request timeout ends. protocol is empty for
// the peer's Handler, or names a service's protocol. A *wire.Refusal says why
// the peer would not answer.
func (c *Client) Request(ctx context.Context, to peer.ID, protocol string, req []byte) ([]byte, error) {
	s, err := c.session(to)
	if err != nil {
		return nil, err
	}
	res, err := c.node.request(ctx, s, wire.AppRequest{Protocol: protocol, Bytes: req})
	if err != nil {
		return nil, fmt.Errorf("starling: request to %s: %w", to.Short(), err)
	}
	app, ok := res.(wire.AppResponse)
	if !ok {
		return nil, fmt.Errorf("starling: request to %s was answered by a %T", to.Short(), res)
	}
	return app.Bytes, nil
}

// Broadcast publishes on a topic of the application, which the node must have
// joined. It fails with wire.ErrUnheard if no peer listens now.
func (c *Client) Broadcast(ctx context.Context, topic string, msg []byte) (wire.Receipt, error) {
	if err := c.ready(); err != nil {
		return wire.Receipt{}, err
	}
	p, ok := c.node.wire.(wire.Publisher)
	if !ok {
		return wire.Receipt{}, wire.ErrUnsupported
	}
	return p.Publish(ctx, wire.App{Topic: topic, Bytes: msg})
}

// JoinTopic listens to a topic of the application: the Handler judges what
// comes on it, and Broadcast can publish there.
func (c *Client) JoinTopic(ctx context.Context, topic string) error {
	return c.topical(func(t wire.Topical) error { return t.JoinTopic(ctx, topic) })
}

// LeaveTopic leaves a topic of the application.
func (c *Client) LeaveTopic(ctx context.Context, topic string) error {
	return c.topical(func(t wire.Topical) error { return t.LeaveTopic(ctx, topic) })
}

func (c *Client) topical(do func(wire.Topical) error) error {
	if err := c.ready(); err != nil {
		return err
	}
	t, ok := c.node.wire.(wire.Topical)
	if !ok {
		return wire.ErrUnsupported
	}
	return do(t)
}

// ImportBlock imports a block of ours and tells nobody; SubmitBlock may follow.
// It blocks until the block is durable. It must build on the head's chain.
func (c *Client) ImportBlock(ctx context.Context, b chain.Block) error {
	if err := c.ready(); err != nil {
		return err
	}
	if err := c.node.sync.ImportLocal(ctx, b); err != nil {
		return fmt.Errorf("starling: import of our block %v: %w", b.Ref(), err)
	}
	return nil
}

// SubmitBlock imports a block of ours and queues it for publishing. It blocks
// until the block is durable and never waits for the network; what became of
// the publication is a Published event. The block must build on the head's
// chain, or be as PublishBlock says of somebody else's.
func (c *Client) SubmitBlock(ctx context.Context, b chain.Block) error {
	_, err := c.submit(ctx, b)
	return err
}

// PublishBlock is SubmitBlock, and waits for the receipt: until peers were
// told, or for Config.HoldBlocks at most, when it fails with ErrExpired. The
// block is imported all the same.
//
// The block may be somebody else's, whose parent is not here: if the chain's
// Check accepts it, it is published, and goes to the sync as if it had come by
// gossip.
func (c *Client) PublishBlock(ctx context.Context, b chain.Block) (wire.Receipt, error) {
	reply, err := c.submit(ctx, b)
	if err != nil {
		return wire.Receipt{}, err
	}
	select {
	case out := <-reply:
		return out.receipt, out.err
	case <-ctx.Done():
		return wire.Receipt{}, ctx.Err()
	case <-c.node.stopped:
		return wire.Receipt{}, ErrNotRunning
	}
}

func (c *Client) submit(ctx context.Context, b chain.Block) (<-chan outcome, error) {
	err := c.ImportBlock(ctx, b)
	ahead := errors.Is(err, chain.ErrUnknownParent)
	if err != nil && !ahead {
		return nil, err
	}
	n := c.node
	// Peers would charge us for what their check rejects: a block that had to
	// wait for the disk, say, and is stale by now. They can still ask for it.
	v := n.chain.Check(b)
	switch {
	case ahead && v.Action != chain.Accept:
		return nil, fmt.Errorf("%w (its check: %v)", err, v)
	case ahead:
		n.sync.Offer(nil, b)
	case v.Action == chain.Reject:
		return n.blocks.refuse("block", b.Ref(), fmt.Errorf("%w: block %v: %v", ErrRejected, b.Ref(), v)), nil
	}
	return n.blocks.put("block", b.Ref(), wire.Block{Block: b}, n.cfg.HoldBlocks), nil
}

// TrustBlock takes in a block that the caller vouches for, and tells nobody. It
// blocks until the block is durable, where its parent is here; if not, it waits
// in the sync, which fetches what is below it.
func (c *Client) TrustBlock(ctx context.Context, b chain.Block) error {
	err := c.ImportBlock(ctx, b)
	if errors.Is(err, chain.ErrUnknownParent) {
		c.node.sync.Offer(nil, b)
		return nil
	}
	return err
}

// PublishTxs adds transactions of ours to the pool and gossips those that it
// takes, in bundles. It gives the pool's verdict on each.
func (c *Client) PublishTxs(ctx context.Context, txs []chain.Tx) ([]chain.Verdict, error) {
	if err := c.ready(); err != nil {
		return nil, err
	}
	n := c.node
	if n.pool == nil {
		return nil, ErrNoPool
	}
	var verdicts []chain.Verdict
	if local, ok := n.pool.(chain.LocalTxPool); ok {
		verdicts = local.AddLocal(ctx, txs)
	} else {
		verdicts = n.pool.Add(txs)
	}
	var fresh []chain.Tx
	for i, v := range verdicts {
		if v.Action == chain.Accept {
			fresh = append(fresh, txs[i])
		}
	}
	if len(fresh) == 0 {
		return verdicts, nil
	}
	return verdicts, n.bundler.put(ctx, fresh)
}

// SendConsensus sends a message on the consensus lane: to one peer, or to
// every session where to is empty. It waits briefly for a full lane and then
// errs; with several peers the error names each that could not be told.
func (c *Client) SendConsensus(ctx context.Context, to peer.ID, msg []byte) error {
	if to != "" {
		s, err := c.session(to)
		if err != nil {
			return err
		}
		return tell(ctx, s, msg)
	}
	if err := c.ready(); err != nil {
		return err
	}
	sessions := c.node.host.all()
	errs := make(chan error, len(sessions))
	for _, s := range sessions {
		go func() { errs <- tell(ctx, s, msg) }()
	}
	var all error
	for range sessions {
		all = errors.Join(all, <-errs)
	}
	return all
}

// tell sends one peer a consensus message.
func tell(ctx context.Context, s wire.Session, msg []byte) error {
	if err := s.Send(ctx, wire.LaneConsensus, wire.Consensus{Bytes: msg}); err != nil {
		return fmt.Errorf("starling: consensus to %s: %w", s.Peer().ID.Short(), err)
	}
	return nil
}

// SetTarget gives the sync a block that is trusted and to be reached.
func (c *Client) SetTarget(ctx context.Context, target chain.Ref) error {
	if err := c.ready(); err != nil {
		return err
	}
	return c.node.sync.SetTarget(ctx, target)
}

// WaitForPeers blocks until at least n sessions are open. It may be called
// before the node runs; it fails with ErrNotRunning when the node has ended.
func (c *Client) WaitForPeers(ctx context.Context, n int) error {
	sub := c.node.bus.subscribe(ctx, 64)
	defer c.node.bus.unsubscribe(sub)
	for {
		have := c.node.host.count()
		switch {
		case have >= n:
			return nil
		case ctx.Err() != nil:
			return fmt.Errorf("starling: %d of %d peers: %w", have, n, ctx.Err())
		}
		select {
		case _, ok := <-sub.C():
			if !ok && ctx.Err() == nil {
				return ErrNotRunning
			}
		case <-time.After(time.Second): // the buffer may have been full
		case <-ctx.Done():
		}
	}
}

// Subscribe gives the node's events from now on, until ctx ends. The reader
// may lag by up to buffer events (0: 256; at most 65536); it then loses the
// newest, and Dropped counts them.
func (c *Client) Subscribe(ctx context.Context, buffer int) *Subscription {
	if buffer <= 0 {
		buffer = 256
	}
	return c.node.bus.subscribe(ctx, min(buffer, 65536))
}

// Connect dials an address now and blocks until a session is open or the
// attempt has failed; the *peer.RefusedError says why. The address is then
// known, but not static.
func (c *Client) Connect(ctx context.Context, address string) error {
	if err := c.ready(); err != nil {
		return err
	}
	a, err := c.node.wire.ParseAddr(address)
	if err != nil {
		return err
	}
	return c.node.swarm.Connect(ctx, a)
}

// Disconnect ends the session with a peer.
func (c *Client) Disconnect(ctx context.Context, id peer.ID) error {
	if _, err := c.session(id); err != nil {
		return err
	}
	return c.node.swarm.Disconnect(ctx, id, peer.Requested)
}

// Protect puts a peer under protection, or ends it: it is neither trimmed nor
// banned. It never blocks; a node that has not started takes note.
func (c *Client) Protect(id peer.ID, on bool) { c.node.swarm.Protect(id, on) }

// Ban keeps a peer away for d (0: the next step of the ladder of 1 h, 4 h and
// 24 h) and ends its session; Unban lifts it. A static, trusted or protected
// peer cannot be banned.
func (c *Client) Ban(ctx context.Context, id peer.ID, d time.Duration, reason string) error {
	if err := c.ready(); err != nil {
		return err
	}
	return c.node.swarm.Ban(ctx, swarm.ByID(id), d, reason)
}

// Unban lifts a ban.
func (c *Client) Unban(ctx context.Context, id peer.ID) error {
	if err := c.ready(); err != nil {
		return err
	}
	return c.node.swarm.Unban(ctx, swarm.ByID(id))
}

// Ping measures the round trip to a peer with a session, and blocks until the
// answer or the end of ctx. It fails with wire.ErrUnsupported where the wire
// has no pings.
func (c *Client) Ping(ctx context.Context, id peer.ID) (time.Duration, error) {
	s, err := c.session(id)
	if err != nil {
		return 0, err
	}
	p, ok := s.(wire.Pinger)
	if !ok {
		return 0, fmt.Errorf("starling: ping of %s: %w", id.Short(), wire.ErrUnsupported)
	}
	return p.Ping(ctx)
}

func (c *Client) session(id peer.ID) (wire.Session, error) {
	if err := c.ready(); err != nil {
		return nil, err
	}
	s, ok := c.node.host.session(id)
	if !ok {
		return nil, fmt.Errorf("%w: %s", ErrNoPeer, peer.Clean(string(id)))
	}
	return s, nil
}
