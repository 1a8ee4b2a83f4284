package starling

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/internal/relay"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// buildRelay makes the relay, on wires that gossip by session.
func (n *Node) buildRelay() error {
	caps := n.wire.Caps()
	if caps.Gossip != wire.GossipSessions {
		return nil
	}
	policy, err := n.cfg.relayPolicy()
	if err != nil {
		return fmt.Errorf("starling: Relay: %w", err)
	}
	if !caps.TxAnnounce {
		policy = relay.Flood()
	}
	cfg := relay.Config{
		Core: relay.CoreConfig{
			Policy: policy, OnlyAnnounced: caps.OnlyAnnounced, AnnounceTxs: caps.TxAnnounce,
			PushBlocks: caps.BlockPush, AnnounceBlocks: caps.BlockAnnounce, MayBeSilent: caps.SilentRefusal,
			OwnBlocksOnly: n.cfg.OwnBlocksOnly,
			FetchTxs:      caps.MaxBatch.Txs,
		},
		Pool: n.pool, TellsSent: caps.TellsSent,
		Take: func(ctx context.Context, s wire.Session, txs []chain.Tx) bool {
			return settles(n.host.Check(ctx, s, wire.Txs{Txs: txs}))
		},
		Charge: func(s wire.Session, o peer.Offense, detail string) { n.charge(s, o, peer.None, detail) },
		Logger: n.log.With("part", "relay"),
	}
	if caps.BlockAnnounce && caps.Skeleton && caps.BodiesApart && caps.ByHash {
		cfg.Blocks = fetched{n}
	}
	if n.cfg.Seed != 0 {
		cfg.Core.Rand = rand.New(rand.NewPCG(n.cfg.Seed, 'r'))
	}
	n.relay, err = relay.New(cfg)
	return err
}

// settles reports whether a verdict on transactions is that of a pool that has
// looked at all of them and found no fault. A fault may lie in what their
// hashes do not cover, and others may have them whole.
func settles(v chain.Verdict) bool {
	if v.Action == chain.Ignore {
		return v.Reason != chain.Unchecked && v.Reason != quotaReason && v.Reason != timeoutReason
	}
	return v.Action == chain.Accept
}

// hint takes a block for what it says of its sender's chain, while our own is
// not in sync: it cannot be judged yet.
func (h *host) hint(id peer.ID, b chain.Block) chain.Verdict {
	h.node.sync.Announced(id, b.Ref(), chain.Weight{})
	return chain.Ignored("not-synced")
}

// announced has a block fetched that a peer says it has, or takes it for what it
// says of the peer's chain: where the relay fetches none, where we have it, and
// where it is too far from our head to be fetched by itself.
func (h *host) announced(ctx context.Context, id peer.ID, m wire.BlockAnnounce) {
	n := h.node
	if n.relay != nil {
		head, missing := n.chain.Status().Head.Number, true
		if relay.Near(m.Ref.Number, head) { // a look into the ledger is for no others
			_, err := n.chain.Header(ctx, m.Ref)
			missing = err != nil
		}
		if missing && n.relay.BlockAnnounced(id, m.Ref, m.Weight, head) {
			return
		}
	}
	n.sync.Announced(id, m.Ref, m.Weight)
}

// fetched takes in announced blocks that the relay fetches.
type fetched struct{ node *Node }

// Place implements relay.BlockTaker.
func (f fetched) Place(ctx context.Context, h chain.Header) (known, linked bool, head uint64) {
	n := f.node
	_, missing := n.chain.Header(ctx, h.Ref)
	_, loose := n.weigh(ctx, h)
	return missing == nil, loose == nil, n.chain.Status().Head.Number
}

// Take implements relay.BlockTaker: a block takes the way of one that was pushed.
func (f fetched) Take(ctx context.Context, s wire.Session, b chain.Block) chain.Verdict {
	return f.node.host.Check(ctx, s, wire.Block{Block: b})
}

// Hint implements relay.BlockTaker.
func (f fetched) Hint(id peer.ID, ref chain.Ref, w chain.Weight) { f.node.sync.Announced(id, ref, w) }

// relayBlock passes a block on that was accepted, if its parent is known.
func (n *Node) relayBlock(ctx context.Context, from peer.ID, b chain.Block) {
	w, err := n.weigh(ctx, b.Header)
	if err == nil {
		n.relay.Checked(from, b, w)
	} else if !errors.Is(err, chain.ErrUnknownParent) && !errors.Is(err, chain.ErrNotFound) && ctx.Err() == nil {
		n.warn("a block could not be weighed", "ref", b.Ref(), "err", err)
	}
}

// weigh gives the weight of the branch up to a block whose parent is known.
func (n *Node) weigh(ctx context.Context, h chain.Header) (chain.Weight, error) {
	if w, ok := n.chain.(chain.Weigher); ok {
		return w.Weigh(ctx, h)
	}
	if h.Ref.Number == 0 {
		return chain.Weight{}, chain.ErrUnknownParent
	}
	_, err := n.chain.Header(ctx, chain.Ref{Number: h.Ref.Number - 1, Hash: h.Parent})
	return chain.WeightOf(h.Ref.Number), err
}

// sessionPublisher publishes over sessions. The relay decides who is told; of
// transactions it hears from the pool.
type sessionPublisher struct{ node *Node }

// Publish implements wire.Publisher for the node's outboxes.
func (p sessionPublisher) Publish(ctx context.Context, m wire.Message) (wire.Receipt, error) {
	peers := p.node.host.count()
	if peers == 0 {
		return wire.Receipt{}, wire.ErrUnheard
	}
	switch m := m.(type) {
	case wire.Block:
		p.node.relay.Open() // whoever makes blocks is in sync
		p.node.relayBlock(ctx, "", m.Block)
		p.node.relay.Imported([]chain.Ref{m.Block.Ref()})
	case wire.Txs:
	default:
		return wire.Receipt{}, wire.ErrUnsupported
	}
	return wire.Receipt{MeshPeers: peers, Queued: peers}, nil
}
