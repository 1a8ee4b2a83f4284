package devp2p

import (
	"context"
	"errors"
	"fmt"

	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/devp2p/base"
	"github.com/starlingp2p/starling/wire/devp2p/eth"
	"github.com/starlingp2p/starling/wire/internal/framed"
)

// pongKey makes pongs coalesce on their lane.
const pongKey = 1

// handle takes each frame, on the goroutine that reads.
func (s *session) handle(f framed.Frame) error {
	switch {
	case f.Code < base.Offset:
		return s.handleBase(f)
	case f.Code >= s.share.Offset && f.Code < s.share.Offset+s.share.Length:
		return s.handleEth(f, f.Code-s.share.Offset)
	}
	return s.deliver(f)
}

// deliver hands a frame to the embedder's protocol that it is for.
func (s *session) deliver(f framed.Frame) error {
	for _, st := range s.streams {
		if f.Code >= st.share.Offset && f.Code < st.share.Offset+st.share.Length {
			s.node.w.traffic.note(st.share, 0, len(f.Payload), true)
			if !st.put(f) {
				f.Release()
				s.node.w.cfg.Logger.Warn("a protocol does not read, its session is closed", "peer", s.info.ID.Short(), "msg", st.share.Name)
				s.Close(peer.Internal)
			}
			return nil
		}
	}
	f.Release()
	return s.unknownMessage(f.Code)
}

func (s *session) handleBase(f framed.Frame) error {
	defer f.Release()
	s.node.w.traffic.note(base.Share{}, f.Code, len(f.Payload), true)
	switch f.Code {
	case base.PingMsg:
		if !s.keeper.Pinged() {
			s.charge(peer.PingFlood, peer.None, "more than a ping a second")
			return nil
		}
		s.link.Send(s.ctx, wire.LaneHousekeeping, framed.Out{Code: base.PongMsg, Payload: []byte{0xc0}, Key: pongKey})
	case base.PongMsg:
		s.keeper.Ponged() // one too many is harmless
	case base.DisconnectMsg:
		r, err := base.DecodeDisconnect(f.Payload)
		if err != nil {
			return err
		}
		s.link.CloseByRemote(r.Why(false), r.String())
	default:
		return s.unknownMessage(f.Code)
	}
	return nil
}

// handleEth sorts eth's messages: answers go to whoever asked, requests and
// gossip to the inbox.
func (s *session) handleEth(f framed.Frame, code uint64) error {
	s.node.w.traffic.note(s.share, code, len(f.Payload), true)
	switch code {
	case eth.BlockHeadersMsg, eth.BlockBodiesMsg, eth.PooledTransactionsMsg, eth.ReceiptsMsg:
		id, err := eth.RequestID(f.Payload)
		if err != nil {
			f.Release()
			return err
		}
		switch s.requests.Answer(question{code, id}, f, nil) {
		case framed.Taken:
			return nil
		case framed.Unasked:
			s.unaskedAnswer(fmt.Sprintf("%s of request %d", ethTypes[code], id))
		}
		f.Release()
	case eth.GetBlockHeadersMsg, eth.GetBlockBodiesMsg, eth.GetPooledTransactionsMsg, eth.GetReceiptsMsg:
		if !s.inbox.Put(classServe, f, func(f framed.Frame) { s.finish(s.serve(f, code)) }) {
			s.charge(peer.RequestFlood, peer.None, "more than 64 requests wait")
		}
	case eth.TransactionsMsg, eth.NewPooledTransactionHashesMsg:
		s.gossip(f, code)
	case eth.NewBlockHashesMsg, eth.NewBlockMsg:
		if !s.version.HasDifficulty() {
			f.Release()
			return s.unknownMessage(f.Code)
		}
		s.gossip(f, code)
	case eth.BlockRangeUpdateMsg:
		defer f.Release()
		if s.version.HasDifficulty() {
			return s.unknownMessage(f.Code)
		}
		return s.onRange(f.Payload)
	default:
		f.Release()
		return s.unknownMessage(f.Code)
	}
	return nil
}

// gossip queues what the peer tells unasked. What finds no room is let go:
// others tell it too.
func (s *session) gossip(f framed.Frame, code uint64) {
	if !s.inbox.Put(classGossip, f, func(f framed.Frame) { s.finish(s.hear(f, code)) }) {
		s.node.host.Report(wire.Dropped{ID: s.info.ID, Queue: "inbox", Count: 1})
	}
}

// finish ends the session if work of the inbox found a fault in the message.
func (s *session) finish(err error) {
	var f *wire.Fault
	switch {
	case err == nil, errors.Is(err, wire.ErrClosed), errors.Is(err, context.Canceled):
	case errors.As(err, &f):
		s.fault(err)
		s.close(peer.BadScore, base.SubprotocolError)
	default:
		s.node.w.cfg.Logger.Debug("a message was not handled", "peer", s.info.ID.Short(), "err", peer.Clean(err.Error()))
	}
}
