package devp2p

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/devp2p/base"
	"github.com/starlingp2p/starling/wire/devp2p/eth"
	"github.com/starlingp2p/starling/wire/internal/framed"
)

// Classes of a session's inbox.
const (
	classServe = iota
	classGossip
)

// session is our relation to one peer over one link.
type session struct {
	node    *node
	info    peer.Info
	where   wire.Link
	local   netip.AddrPort // our end of the link
	version eth.Version
	share   base.Share // of eth
	theirs  eth.Status // as it was in the handshake
	claim   *claim
	taken   bool // the Host took it; set before start

	link     *framed.Link
	keeper   *framed.Keeper
	inbox    *framed.Inbox
	requests *framed.Requests[question, framed.Frame]
	asked    atomic.Uint64 // the last request's id
	streams  []*Stream     // by their shares' order
	unknown  framed.Tally
	unasked  framed.Tally
	ranges   framed.Tally                         // block ranges that came
	told     atomic.Pointer[chain.Ref]            // the head that the peer was last told of, in Status at first
	served   atomic.Pointer[eth.BlockRangeUpdate] // the peer's last; nil: none came
	news     chan struct{}                        // of capacity 1: there is a new one in served

	ctx  context.Context // ends with the session
	stop context.CancelFunc
	gone chan struct{} // closed when nothing of it is left
}

var (
	_ wire.Session = (*session)(nil)
	_ wire.Pinger  = (*session)(nil)
)

func newSession(k *knock, cl *claim, v eth.Version) *session {
	n := k.n
	s := &session{
		node: n, where: k.link, local: addrPortOf(k.raw.LocalAddr()), version: v, share: k.eth, claim: cl,
		keeper: framed.NewKeeper(), requests: framed.NewRequests[question, framed.Frame](maxInFlight),
		news: make(chan struct{}, 1), gone: make(chan struct{}),
	}
	s.ctx, s.stop = context.WithCancel(n.ctx)
	s.info = peer.Info{
		ID: k.link.ID, Wire: Name, Addr: k.link.Addr, Endpoint: k.link.Endpoint, Direction: k.link.Direction,
		Proven: true, Agent: k.hello.Agent, Opened: n.w.cfg.Wall.Now(),
	}
	for _, share := range k.shares {
		s.info.Protocols = append(s.info.Protocols, share.Cap.String())
		if share.Name != eth.Name {
			s.streams = append(s.streams, newStream(s, share))
		}
	}
	if p := k.hello.Port; p > 0 && p < 1<<16 && k.link.Endpoint.IsValid() {
		at := netip.AddrPortFrom(k.link.Endpoint.Addr(), uint16(p))
		s.info.Listen = []peer.Addr{addrOf(s.info.ID, at.Addr().String(), int(at.Port()), 0)}
	}
	if k.outbound {
		s.info.Listen = []peer.Addr{k.link.Addr} // it works
	}
	s.inbox = framed.NewInbox(
		s.fault,
		framed.Class{Name: "request", Queue: framed.Bound{Messages: 64, Bytes: 1 << 20}},
		framed.Class{Name: "gossip", Queue: framed.Bound{Messages: 64, Bytes: 12 << 20}},
	)
	s.link = framed.NewLink(k.conn, framed.Config{Handle: s.handle, Fault: s.fault, Dropped: s.dropped, Idle: idleTime})
	for _, f := range k.early {
		s.deliver(f)
	}
	k.early = nil
	return s
}

// start runs the session until its link ends.
func (s *session) start() {
	n := s.node
	n.w.cfg.Logger.Debug("session", "peer", s.info.ID.Short(), "addr", s.info.Endpoint.String(), "dir", s.info.Direction.String(), "msg", s.version.String())
	n.wg.Go(s.run) // Run waits for it: the caller is among those that it waits for
}

func (s *session) run() {
	defer close(s.gone)
	var wg sync.WaitGroup
	wg.Go(func() { // what must not wait for the goodbye
		<-s.link.Done()
		s.ended()
	})
	wg.Go(func() {
		s.keeper.Run(s.ctx, pingEvery, func() { s.write(s.ctx, wire.LaneHousekeeping, base.Share{}, base.PingMsg, []byte{0xc0}, 0) })
	})
	if s.version.HasDifficulty() && !s.node.w.cfg.TargetOnly {
		wg.Go(s.findHead)
	}
	if !s.version.HasDifficulty() && !s.node.w.cfg.TargetOnly {
		wg.Go(s.hearRanges)
	}
	for _, st := range s.streams {
		for _, p := range s.node.w.cfg.Protocols {
			if p.Name == st.share.Name && p.Version == st.share.Version {
				wg.Go(func() { st.run(s.ctx, p) })
			}
		}
	}
	s.link.Run(s.node.ctx)
	wg.Wait()
	s.inbox.Close()
	for _, st := range s.streams {
		st.end()
	}
}

// ended takes the session down, as soon as its end is decided.
func (s *session) ended() {
	s.stop()
	s.requests.Close()
	s.node.give(s.info.ID, s.claim)
	e, _ := s.link.End()
	s.node.host.Report(wire.Closed{Session: s, Reason: e.Reason, ByRemote: e.ByRemote})
	s.node.w.cfg.Logger.Debug("session ended", "peer", s.info.ID.Short(), "reason", string(e.Reason), "err", e.Detail)
}

// abandon ends a session that the Host did not take. The link stays with the
// knock.
func (s *session) abandon(why peer.Reason) {
	s.link.Close(why) // what is queued goes nowhere
	s.stop()
	s.requests.Close()
	s.inbox.Close()
	for _, st := range s.streams {
		st.end()
	}
	close(s.gone)
}

// Peer implements wire.Session.
func (s *session) Peer() peer.Info { return s.info }

// Done implements wire.Session.
func (s *session) Done() <-chan struct{} { return s.link.Done() }

// Close implements wire.Session.
func (s *session) Close(why peer.Reason) { s.close(why, base.ReasonFor(why)) }

func (s *session) close(why peer.Reason, tell base.Reason) { s.link.CloseWith(why, goodbye(tell)) }

// Ping implements wire.Pinger.
func (s *session) Ping(ctx context.Context) (time.Duration, error) {
	return s.keeper.Ping(ctx, s.Done(), func() error {
		return s.write(ctx, wire.LaneHousekeeping, base.Share{}, base.PingMsg, []byte{0xc0}, 0)
	})
}

// write queues a message of a share.
func (s *session) write(ctx context.Context, l wire.Lane, share base.Share, code uint64, payload []byte, key uint64) error {
	return s.send(ctx, l, share, framed.Out{Code: code, Payload: payload, Key: key})
}

// send is write for a message whose code is relative to the share.
func (s *session) send(ctx context.Context, l wire.Lane, share base.Share, m framed.Out) error {
	code, size := m.Code, len(m.Payload) // what is spare may be another's once it is queued
	m.Code += share.Offset
	err := s.link.Send(ctx, l, m)
	if err == nil {
		s.node.w.traffic.note(share, code, size, false)
	}
	return err
}

// fault charges the peer for an error that it caused.
func (s *session) fault(err error) {
	var f *wire.Fault
	if errors.As(err, &f) {
		s.charge(f.Offense, peer.None, f.Err.Error())
	}
}

func (s *session) charge(o peer.Offense, sev peer.Severity, detail string) {
	s.node.host.Report(wire.Offended{Session: s, Link: s.where, Offense: o, Severity: sev, Detail: peer.Clean(detail)})
}

// dropped reports messages that found no room on a lane.
func (s *session) dropped(l wire.Lane, n int) {
	s.node.host.Report(wire.Dropped{ID: s.info.ID, Queue: l.String(), Count: n})
}

// How often in a minute what is charged mildly may be met.
const (
	unknownMost = 100 // unknown messages, before the session is closed (threat M-09)
	unaskedMild = 20  // answers to nothing, before they cost more (threat L-08)
)

func (s *session) unknownMessage(code uint64) error {
	s.charge(peer.UnknownMessage, peer.None, fmt.Sprintf("message %d", code))
	if s.unknown.Add() > unknownMost {
		s.close(peer.BadScore, base.ProtocolBreach)
	}
	return nil
}

func (s *session) unaskedAnswer(what string) {
	sev := peer.None
	if s.unasked.Add() > unaskedMild {
		sev = peer.High
	}
	s.charge(peer.Unasked, sev, what)
}

// findHead asks an eth/68 peer for the header of its head, whose number Status
// does not tell, and reports the claim that is whole then.
func (s *session) findHead() {
	st := chain.Status{Network: fmt.Sprint(s.theirs.Network), Genesis: s.theirs.Genesis, Weight: s.theirs.Difficulty}
	own := s.node.w.cfg.Status()
	switch st.Head.Hash = s.theirs.Head; s.theirs.Head {
	case own.Genesis: // number 0, as far as forks of ours go
	case own.Head.Hash:
		st.Head = own.Head
	default:
		got, err := s.askHeaders(s.ctx, chain.Range{From: chain.Ref{Hash: s.theirs.Head}, Count: 1})
		if err != nil {
			return // it says so itself, or has moved on
		}
		h := got.(wire.Headers).Headers[0]
		if h.Ref.Hash != s.theirs.Head {
			s.charge(peer.WrongBlock, peer.None, "another header than that of its head")
			s.close(peer.BadScore, base.SubprotocolError)
			return
		}
		st.Head = h.Ref
	}
	s.claims(st)
}

// claims reports what the peer now says of its chain, where that counts.
func (s *session) claims(st chain.Status) {
	if !s.node.w.cfg.TargetOnly {
		s.node.host.Report(wire.Claimed{Session: s, Status: st})
	}
}
