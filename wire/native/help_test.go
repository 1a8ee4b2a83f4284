package native

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	libpeer "github.com/libp2p/go-libp2p/core/peer"
	madns "github.com/multiformats/go-multiaddr-dns"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/env"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/sim/bed"
)

type statusOf = chain.Status

func skewed(by time.Duration) env.Wall {
	w := &env.SkewedWall{}
	w.SetSkew(by)
	return w
}

func idText(n uint64) string {
	id, err := libpeer.IDFromPrivateKey(bed.Key(n))
	if err != nil {
		panic(err)
	}
	return id.String()
}

func isReason(err error, r peer.Reason) bool { return errors.Is(err, peer.Refuse(r)) }

// names answers DNS questions from a map.
type names map[string][]string

func (n names) LookupIPAddr(_ context.Context, name string) ([]net.IPAddr, error) {
	var out []net.IPAddr
	for _, a := range n[strings.TrimSuffix(name, ".")] {
		out = append(out, net.IPAddr{IP: net.ParseIP(a)})
	}
	if len(out) == 0 {
		return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
	}
	return out, nil
}

func (n names) LookupTXT(context.Context, string) ([]string, error) { return nil, nil }

func resolverOf(t *testing.T, name string, addrs ...string) *madns.Resolver {
	t.Helper()
	r, err := madns.NewResolver(madns.WithDefaultResolver(names{name: addrs}))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func protodelimReader(r io.Reader) *bufio.Reader { return bufio.NewReader(r) }
