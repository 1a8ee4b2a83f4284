package opstack

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/internal/reqresp"
	"github.com/starlingp2p/starling/wire/opstack/codec"
)

// maxRange is how many blocks one request between Starlings asks for at most.
const maxRange = 256

// rangeProtocol is how Starlings of a chain ask each other: the requests of the
// native wire, of which a server here answers ranges of blocks by number only.
func rangeProtocol(chainID uint64) protocol.ID {
	return protocol.ID(fmt.Sprintf("/starling/opstack/%d/request/1", chainID))
}

// ranged reports whether a peer says by identify that it is a Starling.
func (n *node) ranged(c network.Conn) bool {
	if n.w.cfg.NoRanges {
		return false
	}
	protos, err := n.p2p.P2P().Peerstore().GetProtocols(c.RemotePeer())
	return err == nil && slices.Contains(protos, n.rangeProto)
}

// Batch implements wire.Batcher.
func (s *session) Batch() wire.Batch {
	b := s.node.w.Caps().MaxBatch
	if s.ranged {
		b.Blocks = maxRange
	}
	return b
}

// askRange asks a Starling for a range of blocks, and checks of each that it is
// the block that it says it is, and has the number that was asked for.
func (s *session) askRange(ctx context.Context, r wire.GetBlocks) (wire.Response, error) {
	r.Range.Count = min(r.Range.Count, maxRange)
	open := func(ctx context.Context) (reqresp.Stream, error) { return s.stream(ctx, s.node.rangeProto) }
	count := func(_ string, request, answer int) { s.node.countAsked(onRange, false, request, answer) }
	resp, err := s.requests.Ask(ctx, r, open, count, s.link.Conn.IsClosed)
	if err == nil {
		blocks := resp.(wire.Blocks).Blocks
		if len(blocks) == 0 { // an empty answer that ends well is no better than none
			return nil, &wire.Refusal{Code: wire.RefusedNotFound}
		}
		var good int
		var fault *wire.Fault
		good, err = codec.CheckRange(r.Range, blocks)
		if good > 0 && errors.As(err, &fault) && fault.Offense == peer.ShortAnswer {
			// What is before the hole is taken, and the rest asked for again.
			s.node.Fault(s.link.Conn, err)
			s.node.w.scores.rejected(s.info.ID)
			return wire.Blocks{Blocks: blocks[:good]}, nil
		}
	}
	if errors.Is(err, reqresp.ErrTimeout) {
		err = fmt.Errorf("opstack: a range: %w", context.DeadlineExceeded)
	}
	return resp, err
}

// acceptRange serves a range to a Starling with a session.
func (n *node) acceptRange(st network.Stream) {
	s, leave := n.asking(st)
	if s == nil {
		return
	}
	defer leave()
	count := func(_ string, request, answer int) { n.countAsked(onRange, true, request, answer) }
	err := s.requests.Serve(s.ctx, st, func(ctx context.Context, r wire.Request) (wire.Response, error) {
		return n.serveRange(ctx, s, r)
	}, count)
	if err != nil {
		n.Fault(st.Conn(), err)
	}
}

// serveRange has a range served: that the blocks have payloads, which a genesis
// that is an anchor has not.
func (n *node) serveRange(ctx context.Context, s *session, r wire.Request) (wire.Response, error) {
	q, ok := r.(wire.GetBlocks)
	if !ok || !q.Range.From.Hash.IsZero() {
		return nil, wire.ErrUnsupported
	}
	resp, err := n.host.Serve(ctx, s, q)
	blocks, ok := resp.(wire.Blocks)
	if err != nil || !ok {
		return resp, err
	}
	genesis := n.w.cfg.Rules.Config().GenesisNumber
	for i, b := range blocks.Blocks {
		if b.Header.Ref.Number != genesis {
			continue
		}
		if _, _, err := codec.ParseHeader(b.Header.Bytes); err == nil {
			continue
		}
		if i == 0 {
			return nil, &wire.Refusal{Code: wire.RefusedNotFound}
		}
		return wire.Blocks{Blocks: blocks.Blocks[:i]}, nil
	}
	return blocks, nil
}
