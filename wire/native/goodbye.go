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
	"github.com/starlingp2p/starling/wire/internal/book"
	"github.com/starlingp2p/starling/wire/internal/codec"
)

// sayGoodbye tells the remote why, waits until it has read that, at most
// farewellTime in all, and closes the connection.
func (n *node) sayGoodbye(l *link, why peer.Reason, detail string) {
	defer l.Conn.CloseWithError(book.CloseCode(why))
	ctx, cancel := context.WithTimeout(n.tasks.Ctx, farewellTime)
	defer cancel()
	s, err := n.p2p.OpenBlind(ctx, l.Conn, codec.GoodbyeProtocol)
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
	l := n.book.Link(s.Conn())
	if l == nil || !n.book.Enter(&l.Own.goodbyes, 1) {
		s.Reset()
		return
	}
	s.SetReadDeadline(time.Now().Add(sessionTime))
	raw, err := codec.ReadFrame(bufio.NewReaderSize(s, 512), codec.MaxGoodbye)
	if err != nil {
		s.Reset()
		n.Fault(l.Conn, err)
		return
	}
	n.count(onGoodbye, true, len(raw))
	g, err := codec.DecodeGoodbye(raw)
	if err != nil {
		s.Reset()
		n.Fault(l.Conn, err)
		return
	}
	l.Own.word = g // there is one goodbye a connection
	close(l.Own.said)
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
	case <-l.Own.said:
	case <-l.Gone:
	case <-late.C:
	case <-ctx.Done():
	}
	code := book.ByRemote(err)
	switch {
	case n.lastWord(l) != peer.LinkLost:
		return &peer.RefusedError{Reason: l.Own.word.Reason, Remote: true, Detail: l.Own.word.Detail}
	case code != nil:
		return code
	case ctx.Err() != nil && errors.Is(context.Cause(ctx), context.DeadlineExceeded):
		return &peer.RefusedError{Reason: peer.HandshakeSlow, Detail: "no session within " + sessionTime.String()}
	case ctx.Err() != nil:
		return &peer.RefusedError{Reason: peer.HandshakeFailed, Detail: "given up"}
	}
	return &peer.RefusedError{Reason: peer.HandshakeFailed, Detail: peer.Clean(err.Error())}
}
