package p2phost

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
	msmux "github.com/multiformats/go-multistream"
)

// ErrNoProtocol: the peer speaks none of the protocols.
var ErrNoProtocol = errors.New("p2phost: peer speaks none of the protocols")

// OpenStream opens a stream on one connection, and not on whichever the
// library likes best. It takes the first of protos that the peer speaks, as
// identify told; the negotiation travels with the first write, so a peer that
// did not mean it shows at the first read. What identify told may be older than
// the peer's last handler, so where it names none of protos the peer is asked,
// which costs a round trip. It blocks until ctx ends.
func (h *Host) OpenStream(ctx context.Context, c network.Conn, protos ...protocol.ID) (network.Stream, error) {
	spoken, err := h.host.Peerstore().SupportsProtocols(c.RemotePeer(), protos...)
	if err != nil {
		return nil, fmt.Errorf("p2phost: protocols of the peer: %w", err)
	}
	if len(spoken) == 0 {
		return negotiate(ctx, c, protos)
	}
	return h.OpenBlind(ctx, c, spoken[0])
}

// negotiate opens a stream and asks the peer which of protos it speaks.
func negotiate(ctx context.Context, c network.Conn, protos []protocol.ID) (network.Stream, error) {
	s, err := c.NewStream(ctx)
	if err != nil {
		return nil, fmt.Errorf("p2phost: open a stream: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, HandshakeTimeout)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { s.Reset() })
	selected, err := msmux.SelectOneOf(protos, s)
	if err == nil && !stop() {
		err = context.Cause(ctx)
	}
	if err == nil {
		err = s.SetProtocol(selected)
	}
	if err != nil {
		stop()
		s.Reset()
		var no msmux.ErrNotSupported[protocol.ID]
		if errors.As(err, &no) {
			return nil, fmt.Errorf("%w: %v", ErrNoProtocol, protos)
		}
		return nil, fmt.Errorf("p2phost: negotiate %v: %w", protos, err)
	}
	return s, nil
}

// OpenBlind is OpenStream before identify has told what the peer speaks.
func (h *Host) OpenBlind(ctx context.Context, c network.Conn, proto protocol.ID) (network.Stream, error) {
	s, err := c.NewStream(ctx)
	if err != nil {
		return nil, fmt.Errorf("p2phost: open %s: %w", proto, err)
	}
	if err := s.SetProtocol(proto); err != nil {
		s.ResetWithError(network.StreamResourceLimitExceeded)
		return nil, fmt.Errorf("p2phost: open %s: %w", proto, err)
	}
	return &lazyStream{Stream: s, rw: msmux.NewMSSelect(s, proto)}, nil
}

// lazyStream negotiates its protocol with the first bytes.
type lazyStream struct {
	network.Stream
	rw io.ReadWriteCloser
}

func (s *lazyStream) Read(b []byte) (int, error)  { return s.rw.Read(b) }
func (s *lazyStream) Write(b []byte) (int, error) { return s.rw.Write(b) }

// Close waits for the end of the negotiation, but not for ever.
func (s *lazyStream) Close() error {
	s.Stream.SetReadDeadline(time.Now().Add(HandshakeTimeout))
	return s.rw.Close()
}

// CloseWrite ends our half. Its error means nothing: QUIC gives one where the
// answer is there.
func (s *lazyStream) CloseWrite() error {
	if f, ok := s.rw.(interface{ Flush() error }); ok {
		f.Flush()
	}
	return s.Stream.CloseWrite()
}
