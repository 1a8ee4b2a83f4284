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
// library likes best. Identify must have finished there. It takes the first of
// protos that the peer speaks; the negotiation travels with the first write,
// so a peer that did not mean it shows at the first read. It blocks until ctx
// ends.
func (h *Host) OpenStream(ctx context.Context, c network.Conn, protos ...protocol.ID) (network.Stream, error) {
	spoken, err := h.host.Peerstore().SupportsProtocols(c.RemotePeer(), protos...)
	if err != nil {
		return nil, fmt.Errorf("p2phost: protocols of the peer: %w", err)
	}
	if len(spoken) == 0 {
		return nil, fmt.Errorf("%w: %v", ErrNoProtocol, protos)
	}
	return h.OpenBlind(ctx, c, spoken[0])
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
