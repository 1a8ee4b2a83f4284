package native

import (
	"context"
	"fmt"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/internal/codec"
	"github.com/starlingp2p/starling/wire/internal/reqresp"
)

// Request implements wire.Session. It waits for one of the places that bound
// what is under way with the peer, and for the pace that the peer serves at.
func (s *session) Request(ctx context.Context, r wire.Request) (wire.Response, error) {
	if _, ok := r.(wire.GetReceipts); ok || r == nil {
		return nil, wire.ErrUnsupported
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := context.AfterFunc(s.ctx, func() { cancel(wire.ErrClosed) })
	defer stop()
	open := func(ctx context.Context) (reqresp.Stream, error) {
		st, err := s.node.p2p.OpenStream(ctx, s.link.Conn, codec.RequestProtocol)
		if err != nil {
			return nil, fmt.Errorf("native: %s request: %w", wire.KindOf(r), err)
		}
		return st, nil
	}
	count := func(kind string, request, answer int) { s.node.countAsked(kind, false, request, answer) }
	return s.requests.Ask(ctx, r, open, count, s.link.Conn.IsClosed)
}

// acceptRequest serves one request of a peer with a session.
func (n *node) acceptRequest(st network.Stream) {
	l := n.book.Link(st.Conn())
	if l == nil {
		st.Reset()
		return
	}
	if !n.book.Enter(&l.Own.requests, maxStreams) {
		st.ResetWithError(network.StreamResourceLimitExceeded)
		n.Charge(st.Conn(), peer.StreamFlood, fmt.Sprintf("more than %d request streams", maxStreams))
		return
	}
	defer n.book.Leave(&l.Own.requests)
	s := n.await(l)
	if s == nil {
		st.Reset()
		return
	}
	count := func(kind string, request, answer int) { n.countAsked(kind, true, request, answer) }
	err := s.requests.Serve(s.ctx, st, func(ctx context.Context, r wire.Request) (wire.Response, error) {
		return n.host.Serve(ctx, s, r)
	}, count)
	if err != nil {
		n.Fault(st.Conn(), err)
	}
}
