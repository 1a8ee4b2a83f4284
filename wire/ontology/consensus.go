package ontology

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/internal/framed"
	"github.com/starlingp2p/starling/wire/ontology/codec"
)

// secondIdle is how long a link for consensus may rest: its session is kept
// alive on the first link.
const secondIdle = 10 * time.Minute

// onConsensus takes in a consensus message, from either link. Its signature is
// checked before the Host sees it; whether the key may speak is the chain's
// business.
func (s *session) onConsensus(f framed.Frame, d codec.Dialect) error {
	m, err := codec.DecodeConsensus(f.Payload, d)
	if err != nil {
		f.Release()
		return err
	}
	ok := s.inbox.Put(workConsensus, f, func(f framed.Frame) {
		if err := m.Verify(); err != nil {
			s.charge(&wire.Fault{Offense: peer.InvalidGossip, Err: err})
			return
		}
		s.node.host.Check(s.ctx, s, wire.Consensus{Bytes: f.Payload})
	})
	if !ok {
		s.node.host.Report(wire.Dropped{ID: s.info.ID, Queue: "inbox", Count: 1})
	}
	return nil
}

// openConsensus dials the peer's second port. Without that link consensus
// takes the first one.
func (s *session) openConsensus() {
	n := s.node
	at := netip.AddrPortFrom(s.info.Endpoint.Addr(), s.theirs.ConsensusPort)
	if !s.info.Endpoint.IsValid() {
		return
	}
	c, err := n.connect(s.ctx, at.String())
	if err != nil {
		n.log.Debug("no consensus link", "peer", s.info.ID, "err", err)
		return
	}
	conn, f := n.wrap(c)
	hs, err := n.greet(s.ctx, conn, true, true)
	if err == nil && hs.theirs.Nonce != s.nonce {
		conn.Close()
		err = &peer.RefusedError{Reason: peer.WrongIdentity, Detail: "another node answers at the consensus port"}
	}
	if err != nil {
		n.log.Debug("no consensus link", "peer", s.info.ID, "err", err)
		return
	}
	s.runConsensus(conn, f)
}

// inboundConsensus takes a link for consensus, if address and nonce are those
// of a session.
func (n *node) inboundConsensus(c net.Conn, link wire.Link, free func()) error {
	conn, f := n.wrap(c)
	hs, err := n.greet(n.ctx, conn, false, true)
	if err != nil {
		return err
	}
	n.mu.Lock()
	s := n.sessions[claim{hs.theirs.Nonce, link.Endpoint.Addr()}]
	n.mu.Unlock()
	if s == nil || !hs.theirs.Consensus {
		conn.Close()
		return &peer.RefusedError{Reason: peer.NoCommonProto, Detail: "a consensus link without a session of its nonce and address"}
	}
	ctx, cancel := context.WithTimeout(s.ctx, shakeTime)
	err = conn.Write(ctx, uint64(codec.CmdVerAck), codec.VerAck{Consensus: true}.Append(nil))
	cancel()
	if err != nil {
		conn.Close()
		return err
	}
	free()
	s.runConsensus(conn, f)
	return nil
}

// runConsensus attaches a second link to the session until one of them ends. A
// newer one takes the place of an older.
func (s *session) runConsensus(c *framed.Conn, f *frames) {
	f.shaking, f.unknown = false, s.unheardOf
	var l *framed.Link
	l = framed.NewLink(c, framed.Config{
		Handle: func(f framed.Frame) error { return s.handleSecond(l, f) },
		Fault:  s.charge, Dropped: s.dropped, Idle: secondIdle,
		Queue: [wire.NumLanes]framed.Bound{wire.LaneConsensus: {Bytes: 2 << 20}, wire.LaneHousekeeping: {Messages: 8}},
	})
	s.mu.Lock()
	old := s.second
	s.second = l
	s.mu.Unlock()
	if old != nil {
		old.Close(peer.Duplicate)
	}
	end := l.Run(s.ctx)
	s.mu.Lock()
	if s.second == l {
		s.second = nil
	}
	s.mu.Unlock()
	s.node.log.Debug("consensus link ended", "peer", s.info.ID, "reason", end.Reason)
}

// handleSecond takes in a message on the link for consensus: that, and
// keep-alive.
func (s *session) handleSecond(l *framed.Link, f framed.Frame) error {
	d := s.soft.Dialect()
	switch cmd := codec.Command(f.Code); cmd {
	case codec.CmdConsensus:
		return s.onConsensus(f, d)
	case codec.CmdPing:
		p, err := codec.DecodePing(f.Payload, d)
		f.Release()
		if err != nil {
			return err
		}
		return s.onPing(l, p)
	case codec.CmdPong:
		f.Release()
		return nil
	default:
		f.Release()
		return s.outOfTurn(cmd)
	}
}

// ConsensusLinks are the peers that have a second link, in the order of their
// identities. It never blocks.
func (w *Wire) ConsensusLinks() []peer.ID {
	n := w.node.Load()
	if n == nil {
		return nil
	}
	var ids []peer.ID
	for _, s := range n.others(nil) {
		s.mu.Lock()
		if s.second != nil {
			ids = append(ids, s.info.ID)
		}
		s.mu.Unlock()
	}
	return ids
}

// String names the session in logs.
func (s *session) String() string { return fmt.Sprintf("%s at %s", s.info.ID, s.info.Addr) }
