package opstack

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/internal/pause"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/internal/reqresp"
	"github.com/starlingp2p/starling/wire/opstack/codec"
)

// Times of one request of a peer, as op-node's server has them.
const (
	readTime   = 10 * time.Second
	serveTime  = 20 * time.Second // for its turn and for the block
	answerTime = 10 * time.Second // to write it
)

// earlyTime is how early a request may come and still wait for its turn: what
// is earlier is refused. Nobody waits for it but its own peer.
const earlyTime = 4 * time.Second

// asking gives the session of whoever opened a stream for a request, and what
// ends the stream's count; nil where it is not to be served, and was reset.
func (n *node) asking(st network.Stream) (s *session, leave func()) {
	c := st.Conn()
	l := n.book.Link(c)
	if l == nil {
		st.Reset()
		return nil, nil
	}
	if !n.book.Enter(&l.Own.requests, maxStreams) {
		st.ResetWithError(network.StreamResourceLimitExceeded)
		n.Charge(c, peer.StreamFlood, fmt.Sprintf("more than %d request streams", maxStreams))
		return nil, nil
	}
	leave = func() { n.book.Leave(&l.Own.requests) }
	if s = n.await(l); s == nil {
		st.Reset()
		leave()
		return nil, nil
	}
	s.use()
	return s, leave
}

// acceptRequest serves one request of a peer with a session.
func (n *node) acceptRequest(st network.Stream) {
	s, leave := n.asking(st)
	if s == nil {
		return
	}
	defer leave()
	ctx, cancel := context.WithTimeout(s.ctx, serveTime)
	defer cancel()
	st.SetReadDeadline(time.Now().Add(readTime))
	number, err := codec.ReadRequest(st)
	if err != nil {
		st.Reset()
		n.Fault(st.Conn(), err)
		return
	}
	free, e, res := s.answer(ctx, number)
	if res == codec.ResultOther {
		n.w.refusals.Add(1)
	}
	defer free()
	out := &reqresp.Counted{Stream: st}
	st.SetWriteDeadline(time.Now().Add(answerTime))
	if res == codec.ResultOK {
		err = codec.WriteAnswer(out, e)
	} else {
		err = codec.WriteRefusal(out, res)
	}
	n.countAsked(onNumber, true, codec.RequestSize, out.Out)
	if err != nil {
		st.Reset()
		return
	}
	st.Close()
}

// answer finds the block of a number, within the peer's rate and the node's
// budgets. The func gives back what the answer holds.
func (s *session) answer(ctx context.Context, number uint64) (func(), *codec.Envelope, codec.Result) {
	none := func() {}
	if !s.turn(ctx) {
		return none, nil, codec.ResultOther
	}
	n := s.node
	rc := n.w.cfg.Rules.Config()
	if last, ok := rc.Target(rc.Wall.Now()); !ok || number < rc.GenesisNumber || number > last {
		return none, nil, codec.ResultInvalid
	}
	select {
	case s.answers <- struct{}{}:
	case <-ctx.Done():
		return none, nil, codec.ResultOther
	}
	leave := func() { <-s.answers }
	handed := false
	defer func() { // a panic gives the place back too
		if !handed {
			leave()
		}
	}()
	resp, err := n.host.Serve(ctx, s, wire.GetBlocks{Range: chain.Range{From: chain.Ref{Number: number}, Count: 1}})
	if err != nil {
		return none, nil, resultOf(err)
	}
	blocks, ok := resp.(wire.Blocks)
	if !ok || len(blocks.Blocks) == 0 {
		return none, nil, codec.ResultNotFound
	}
	// Of a genesis that is an anchor there is no payload.
	e, err := codec.EnvelopeOf(blocks.Blocks[0])
	if err != nil || e.Size() > codec.MaxMessage {
		return none, nil, codec.ResultNotFound
	}
	giveBack, err := n.budget.Take(ctx, 2*e.Size()) // the block, and its encoding
	if err != nil {
		return none, nil, codec.ResultOther
	}
	handed = true
	return func() { giveBack(); leave() }, e, codec.ResultOK
}

// turn waits until the peer's rate allows one more request. One that comes far
// too early is refused; what the peer sends after that is a flood. The wait is
// the peer's own. What its prefix has used up is refused too, and is not its
// fault.
func (s *session) turn(ctx context.Context) bool {
	r := s.served.Reserve()
	d := r.Delay()
	own := d
	if s.prefix != nil && d <= earlyTime {
		all := s.prefix.Reserve()
		if d = max(d, all.Delay()); d > earlyTime {
			all.Cancel()
		}
	}
	if d == 0 {
		return true
	}
	if d > earlyTime {
		r.Cancel()
		if own <= earlyTime {
			return false
		}
		s.mu.Lock()
		again := s.warned
		s.warned = true
		s.mu.Unlock()
		if again {
			cfg := s.node.w.cfg
			s.node.Charge(s.link.Conn, peer.RequestFlood, fmt.Sprintf("more than %d requests a second after a burst of %d, and after a refusal", cfg.ServeRate, cfg.ServeBurst))
		}
		return false
	}
	return pause.For(ctx, d) == nil
}

// resultOf maps a refusal of the Host to the nearest code.
func resultOf(err error) codec.Result {
	var r *wire.Refusal
	switch {
	case errors.As(err, &r) && r.Code == wire.RefusedNotFound, errors.Is(err, chain.ErrNotFound):
		return codec.ResultNotFound
	case errors.As(err, &r) && r.Code == wire.RefusedBadRequest:
		return codec.ResultInvalid
	}
	return codec.ResultOther
}

// Protocols of requests as they are counted.
const (
	onNumber = "payload-by-number"
	onRange  = "starling-range"
)

// countAsked counts a request and its answer. Nothing is counted of a stream
// that carried nothing.
func (n *node) countAsked(protocol string, byRemote bool, request, answer int) {
	if request > 0 {
		n.w.traffic.Count(protocol, "request", byRemote, request)
	}
	if answer > 0 {
		n.w.traffic.Count(protocol, "answer", !byRemote, answer)
	}
}
