package p2phost

import (
	"context"

	"github.com/libp2p/go-libp2p/core/network"
	libpeer "github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	madns "github.com/multiformats/go-multiaddr-dns"
)

// resolver gives the library our DNS resolver, bounded.
type resolver struct{ dns *madns.Resolver }

var _ network.MultiaddrDNSResolver = resolver{}

// ResolveDNSAddr follows dnsaddr records that end in the wanted identity.
func (r resolver) ResolveDNSAddr(ctx context.Context, want libpeer.ID, m ma.Multiaddr, depth, limit int) ([]ma.Multiaddr, error) {
	if limit <= 0 {
		return nil, nil
	}
	if depth <= 0 || !madns.Matches(m) {
		return []ma.Multiaddr{m}, nil
	}
	found, err := r.dns.Resolve(ctx, m)
	if err != nil {
		return nil, err
	}
	var out []ma.Multiaddr
	for _, f := range found {
		if len(out) >= limit {
			break
		}
		if place, id := libpeer.SplitAddr(f); place == nil || id != want {
			continue
		}
		if f[0].Protocol().Code != ma.P_DNSADDR {
			out = append(out, f)
			continue
		}
		more, err := r.ResolveDNSAddr(ctx, want, f, depth-1, limit-len(out))
		if err == nil {
			out = append(out, more...)
		}
	}
	return out, nil
}

// ResolveDNSComponent resolves a name at the start of an address.
func (r resolver) ResolveDNSComponent(ctx context.Context, m ma.Multiaddr, limit int) ([]ma.Multiaddr, error) {
	found, err := r.dns.Resolve(ctx, m)
	if len(found) > limit {
		found = found[:limit]
	}
	return found, err
}

func (r resolver) resolveAll(ctx context.Context, in []ma.Multiaddr) ([]ma.Multiaddr, error) {
	var out []ma.Multiaddr
	for _, m := range in {
		found, err := r.ResolveDNSComponent(ctx, m, maxResolved-len(out))
		if err != nil {
			return nil, err
		}
		out = append(out, found...)
		if len(out) >= maxResolved {
			break
		}
	}
	return out, nil
}
