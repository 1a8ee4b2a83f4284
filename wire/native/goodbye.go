package native

import (
	"bufio"
	"context"
	"errors"
	"io"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/internal/codec"
)

// sayGoodbye tells the remote why, waits until it has read that, at most
// farewellTime in all, and closes the connection.
func (n *node) sayGoodbye(l *link, why peer.Reason, detail string) {
	defer l.conn.CloseWithError(closeCode(why))
	ctx, cancel := context.WithTimeout(n.ctx, farewellTime)
	defer cancel()
	s, err := n.p2p.OpenBlind(ctx, l.conn, codec.GoodbyeProtocol)
	if err != nil {
		return
	}
	defer s.Reset()
	stop := context.AfterFunc(ctx, func() { s.Reset() })
	defer stop()
	msg := codec.AppendGoodbye(nil, codec.Goodbye{Reason: why, Detail: detail})
	if _, err := s.Write(codec.AppendFrame(nil, msg)); err != nil {
		return
	}
	n.count(onGoodbye, false, len(msg))
	s.CloseWrite()
	io.Copy(io.Discard, io.LimitReader(s, 1)) // ends when the remote has closed the stream
}

// acceptGoodbye notes what the remote says. It is obeyed in nothing.
func (n *node) acceptGoodbye(s network.Stream) {
	defer s.Close()
	l := n.link(s.Conn())
	if l == nil || !n.enter(&l.goodbyes, 1) {
		s.Reset()
		return
	}
	s.SetReadDeadline(time.Now().Add(sessionTime))
	raw, err := codec.ReadFrame(bufio.NewReaderSize(s, 512), codec.MaxGoodbye)
	if err != nil {
		s.Reset()
		n.fault(l.conn, err)
		return
	}
	n.count(onGoodbye, true, len(raw))
	g, err := codec.DecodeGoodbye(raw)
	if err != nil {
		s.Reset()
		n.fault(l.conn, err)
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	select {
	case <-l.said:
	default:
		l.word = g
		close(l.said)
	}
}

// enter counts one more of what a link has, unless that would be over most.
func (n *node) enter(count *int, most int) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if *count >= most {
		return false
	}
	*count++
	return true
}

func (n *node) leave(count *int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	*count--
}

// whyFailed says why a handshake failed. Where it is not our own judgement,
// what the remote said is the best account, so it gets a moment to arrive.
func (n *node) whyFailed(ctx context.Context, l *link, err error) *peer.RefusedError {
	var fault *wire.Fault
	var own *peer.RefusedError
	switch {
	case errors.As(err, &own):
		return own
	case errors.As(err, &fault):
		return &peer.RefusedError{Reason: peer.HandshakeFailed, Detail: peer.Clean(fault.Error())}
	}
	late := time.NewTimer(farewellTime)
	defer late.Stop()
	select {
	case <-l.said:
	case <-l.gone:
	case <-late.C:
	case <-ctx.Done():
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	var conn *network.ConnError
	switch {
	case l.lastWord() != peer.LinkLost:
		return &peer.RefusedError{Reason: l.word.Reason, Remote: true, Detail: l.word.Detail}
	case errors.As(err, &conn) && conn.Remote && conn.ErrorCode == network.ConnGated:
		return &peer.RefusedError{Reason: peer.ByRemote, Remote: true, Detail: "its gater refused the connection"}
	case errors.As(err, &conn) && conn.Remote && conn.ErrorCode == network.ConnSupplanted:
		return &peer.RefusedError{Reason: peer.Duplicate, Remote: true}
	case ctx.Err() != nil && errors.Is(context.Cause(ctx), context.DeadlineExceeded):
		return &peer.RefusedError{Reason: peer.HandshakeSlow, Detail: "no session within " + sessionTime.String()}
	case ctx.Err() != nil:
		return &peer.RefusedError{Reason: peer.HandshakeFailed, Detail: "given up"}
	}
	return &peer.RefusedError{Reason: peer.HandshakeFailed, Detail: peer.Clean(err.Error())}
}
