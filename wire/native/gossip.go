package native

import (
	"context"
	"errors"
	"fmt"

	"github.com/klauspost/compress/snappy"
	"github.com/libp2p/go-libp2p/core/network"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/internal/codec"
	"github.com/starlingp2p/starling/wire/internal/p2phost"
)

func (n *node) gossipConfig() p2phost.GossipConfig {
	cfg := p2phost.GossipConfig{
		MaxMessage: max(codec.MaxCompressed(n.w.cfg.MaxBlockBytes), codec.MaxApp),
		Budget:     n.budget,
		MessageID:  codec.MessageID,
		Validate:   n.validate,
		Charge:     n.Charge,
		Count:      n.countGossip,
	}
	if s, ok := n.host.(wire.Scorer); ok {
		cfg.Score = s.Score
	}
	return cfg
}

// maxUnknown is how many bytes of fields that we do not know a gossiped block
// may have: nothing signs them, so anybody could make it ten megabytes long.
const maxUnknown = 4 << 10

// validate judges a message of gossip: size, decoded length, decoding, and
// then the Host.
func (n *node) validate(ctx context.Context, from network.Conn, topic string, data []byte) chain.Action {
	s := n.book.On(from)
	if s == nil {
		return chain.Ignore
	}
	m, release, err := n.decode(ctx, topic, data)
	if err != nil {
		n.Fault(from, err)
		var fault *wire.Fault
		if errors.As(err, &fault) {
			return chain.Reject
		}
		return chain.Ignore // we had no memory, or no time
	}
	defer release()
	return n.host.Check(ctx, s, m).Action
}

func (n *node) decode(ctx context.Context, topic string, data []byte) (m wire.Message, release func(), err error) {
	release = func() {}
	cfg, names := n.w.cfg, n.w.names
	switch topic {
	case names.Block:
		return n.decodeBlock(ctx, data)
	case names.Tx:
		if err := atMost(data, cfg.MaxTxBundleBytes, "transaction bundle"); err != nil {
			return nil, release, err
		}
		txs, err := codec.DecodeTxBundle(data)
		return wire.Txs{Txs: txs}, release, err
	case names.Consensus:
		return wire.Consensus{Bytes: data}, release, atMost(data, cfg.MaxConsensusBytes, "consensus message")
	}
	name, ok := names.AppName(topic)
	if !ok {
		return nil, release, &wire.Fault{Offense: peer.UnknownMessage, Err: errors.New("native: gossip on a topic that is not ours")}
	}
	return wire.App{Topic: name, Bytes: data}, release, atMost(data, codec.MaxApp, "application message")
}

func (n *node) decodeBlock(ctx context.Context, data []byte) (wire.Message, func(), error) {
	none := func() {}
	most := n.w.cfg.MaxBlockBytes
	if err := atMost(data, codec.MaxCompressed(most), "block"); err != nil {
		return nil, none, err
	}
	size, err := snappy.DecodedLen(data)
	if err != nil || size > most {
		size = 0 // Decompress says what is wrong, and takes no memory
	}
	release, err := n.budget.Take(ctx, size)
	if err != nil {
		return nil, none, err
	}
	raw, err := codec.Decompress(data, most)
	if err != nil {
		release()
		return nil, none, err
	}
	b, err := codec.DecodeBlock(raw)
	if err != nil {
		release()
		return nil, none, err
	}
	if extra := len(raw) - codec.SizeBlock(b); extra > maxUnknown {
		release()
		return nil, none, fmt.Errorf("native: block with %d bytes of unknown fields, at most %d", extra, maxUnknown)
	}
	return wire.Block{Block: b}, release, nil
}

func atMost(data []byte, most int, what string) error {
	if len(data) > most {
		return &wire.Fault{Offense: peer.BadFrame, Err: fmt.Errorf("native: %s of %d bytes, at most %d", what, len(data), most)}
	}
	return nil
}

// Publish implements wire.Publisher. Transactions travel in bundles.
func (w *Wire) Publish(ctx context.Context, m wire.Message) (wire.Receipt, error) {
	n := w.node.Load()
	if n == nil {
		return wire.Receipt{}, wire.ErrClosed
	}
	switch m := m.(type) {
	case wire.Block:
		if size := codec.SizeBlock(m.Block); size > w.cfg.MaxBlockBytes {
			return wire.Receipt{}, fmt.Errorf("native: publish block %s: %w: %d bytes, at most %d", m.Block.Ref(), wire.ErrTooLarge, size, w.cfg.MaxBlockBytes)
		}
		return n.publish(ctx, w.names.Block, codec.AppendGossipBlock(nil, m.Block))
	case wire.Txs:
		return n.publishTxs(ctx, m.Txs)
	case wire.Consensus:
		if len(m.Bytes) > w.cfg.MaxConsensusBytes {
			return wire.Receipt{}, fmt.Errorf("native: publish consensus message: %w: %d bytes, at most %d", wire.ErrTooLarge, len(m.Bytes), w.cfg.MaxConsensusBytes)
		}
		return n.publish(ctx, w.names.Consensus, append([]byte(nil), m.Bytes...))
	case wire.App:
		topic, err := w.names.App(m.Topic)
		if err != nil {
			return wire.Receipt{}, fmt.Errorf("native: topic %q: %w", m.Topic, err)
		}
		if len(m.Bytes) > codec.MaxApp {
			return wire.Receipt{}, fmt.Errorf("native: publish on %q: %w: %d bytes, at most %d", m.Topic, wire.ErrTooLarge, len(m.Bytes), codec.MaxApp)
		}
		return n.publish(ctx, topic, append([]byte(nil), m.Bytes...))
	}
	return wire.Receipt{}, wire.ErrUnsupported
}

// publishTxs sends bundle after bundle; the receipt sums up.
func (n *node) publishTxs(ctx context.Context, txs []chain.Tx) (wire.Receipt, error) {
	var sum wire.Receipt
	for len(txs) > 0 {
		k := codec.NextBundle(txs, n.w.cfg.MaxTxBundleBytes)
		if k == 0 {
			return sum, fmt.Errorf("native: publish transaction %s: %w: %d bytes, at most %d", txs[0].Hash.Short(), wire.ErrTooLarge, len(txs[0].Bytes), n.w.cfg.MaxTxBundleBytes)
		}
		r, err := n.publish(ctx, n.w.names.Tx, codec.AppendTxBundle(nil, txs[:k]))
		sum.MeshPeers = max(sum.MeshPeers, r.MeshPeers)
		sum.Queued += r.Queued
		sum.Dropped += r.Dropped
		if err != nil {
			return sum, err
		}
		txs = txs[k:]
	}
	return sum, nil
}

func (n *node) publish(ctx context.Context, topic string, data []byte) (wire.Receipt, error) {
	if n.gossip.Peers(topic) == 0 {
		return wire.Receipt{}, wire.ErrUnheard
	}
	return n.gossip.Publish(ctx, topic, data)
}
