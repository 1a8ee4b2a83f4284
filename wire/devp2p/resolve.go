package devp2p

import (
	"context"
	"errors"
	"net/netip"

	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// maxResolved bounds the addresses of one name.
const maxResolved = 8

var _ wire.Resolver = (*Wire)(nil)

// Resolve implements wire.Resolver.
func (w *Wire) Resolve(ctx context.Context, a peer.Addr) ([]peer.Addr, error) {
	id, host, port, ok := parts(a)
	if !ok {
		return nil, &peer.RefusedError{Reason: peer.BadAddr, Detail: peer.Clean(a.Text)}
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return []peer.Addr{a}, nil
	}
	ips, err := w.cfg.LookupIP(ctx, host)
	if err == nil && len(ips) == 0 {
		err = errors.New("it has no address")
	}
	if err != nil {
		return nil, &peer.RefusedError{Reason: peer.NameUnresolved, Detail: peer.Clean(host + ": " + err.Error())}
	}
	var out []peer.Addr
	for _, ip := range ips[:min(len(ips), maxResolved)] {
		out = append(out, addrOf(id, ip.Unmap().String(), int(port), 0))
	}
	return out, nil
}
