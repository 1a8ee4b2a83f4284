package p2phost

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	libpeer "github.com/libp2p/go-libp2p/core/peer"

	"github.com/starlingp2p/starling/peer"
)

// Find gives the whole address of whoever listens at HOST:PORT, a TCP port. No
// identity is named there: whoever it is tells who it is by refusing one that
// is nobody's, of which no error speaks. It blocks until ctx ends.
func (h *Host) Find(ctx context.Context, hostPort string) (peer.Addr, error) {
	at, port, err := net.SplitHostPort(hostPort)
	if err != nil {
		return peer.Addr{}, fmt.Errorf("p2phost: address %.80q: write it as 203.0.113.7:4001", hostPort)
	}
	kind := "dns"
	if ip := net.ParseIP(at); ip != nil {
		if kind = "ip4"; ip.To4() == nil {
			kind = "ip6"
		}
	}
	place := fmt.Sprintf("/%s/%s/tcp/%s", kind, at, port)
	key, err := NewKey()
	if err != nil {
		return peer.Addr{}, err
	}
	nobody, err := libpeer.IDFromPrivateKey(key)
	if err != nil {
		return peer.Addr{}, fmt.Errorf("p2phost: %w", err)
	}
	addr, err := ParseAddr(place + "/p2p/" + nobody.String())
	if err != nil {
		return peer.Addr{}, fmt.Errorf("p2phost: address %.80q: write it as 203.0.113.7:4001", hostPort)
	}
	_, release, err := h.Connect(ctx, addr)
	if err == nil {
		release()
		return peer.Addr{}, errors.New("p2phost: the peer took an identity that is not its own")
	}
	found, ok := Mistaken(err)
	if !ok {
		var refused *peer.RefusedError
		if errors.As(err, &refused) {
			detail := strings.ReplaceAll(refused.Detail, nobody.String(), hostPort)
			return peer.Addr{}, &peer.RefusedError{Reason: refused.Reason, Remote: refused.Remote, Detail: detail}
		}
		return peer.Addr{}, err
	}
	return ParseAddr(place + "/p2p/" + found)
}

// Reach reads an address, or finds who is at HOST:PORT. It blocks until ctx ends.
func (h *Host) Reach(ctx context.Context, address string) (peer.Addr, error) {
	if _, _, err := net.SplitHostPort(address); strings.HasPrefix(address, "/") || err != nil {
		return ParseAddr(address)
	}
	return h.Find(ctx, address)
}
