package ontology

import (
	"context"
	"errors"
	"fmt"

	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/internal/framed"
	"github.com/starlingp2p/starling/wire/ontology/codec"
)

// Send implements wire.Session. A block is announced, never pushed; a
// transaction is sent in full, or announced one by one, since peers ask for
// the first of an inventory only; a consensus message takes the link for
// consensus where there is one.
func (s *session) Send(ctx context.Context, l wire.Lane, m wire.Message) error {
	select {
	case <-s.link.Done():
		return wire.ErrClosed
	default:
	}
	switch m := m.(type) {
	case wire.BlockAnnounce:
		inv := codec.Inv{Kind: codec.KindBlock, Hashes: []codec.Hash{codec.HashOf(m.Ref.Hash)}}
		return s.post(ctx, l, codec.CmdInv, inv.Append(nil))
	case wire.TxAnnounce:
		for _, t := range m.Txs {
			inv := codec.Inv{Kind: codec.KindTx, Hashes: []codec.Hash{codec.HashOf(t.Hash)}}
			if err := s.post(ctx, l, codec.CmdInv, inv.Append(nil)); err != nil {
				return err
			}
		}
		return nil
	case wire.Txs:
		for _, t := range m.Txs {
			if err := s.post(ctx, l, codec.CmdTx, t.Bytes); err != nil {
				return err
			}
		}
		return nil
	case wire.Consensus:
		if len(m.Bytes) == 0 {
			return errors.New("ontology: consensus message is empty")
		}
		return s.sendConsensus(ctx, m.Bytes)
	}
	return wire.ErrUnsupported
}

// post queues a message on a lane of the first link.
func (s *session) post(ctx context.Context, l wire.Lane, c codec.Command, payload []byte) error {
	return postOn(ctx, s.link, l, c, payload)
}

func postOn(ctx context.Context, link *framed.Link, l wire.Lane, c codec.Command, payload []byte) error {
	if most := c.MaxPayload(); len(payload) > most {
		return fmt.Errorf("ontology: %s: %w: %d bytes, at most %d", c, wire.ErrTooLarge, len(payload), most)
	}
	return link.Send(ctx, l, framed.Out{Code: uint64(c), Payload: payload})
}

// sendConsensus prefers the link for consensus, which nothing else delays.
func (s *session) sendConsensus(ctx context.Context, b []byte) error {
	s.mu.Lock()
	second := s.second
	s.mu.Unlock()
	if second != nil {
		err := postOn(ctx, second, wire.LaneConsensus, codec.CmdConsensus, b)
		if !errors.Is(err, wire.ErrClosed) {
			return err
		}
	}
	return s.post(ctx, wire.LaneConsensus, codec.CmdConsensus, b)
}
