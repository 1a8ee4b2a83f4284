package wiretest_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p"
	libpeer "github.com/libp2p/go-libp2p/core/peer"
	"go.uber.org/goleak"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/sim/bed"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/native"
	"github.com/starlingp2p/starling/wire/wiretest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// inBed makes worlds of native wires in virtual time. Upgraded ones have real
// Noise and yamux.
func inBed(upgraded bool) wiretest.Factory {
	return func(t *testing.T, run func(wiretest.World)) {
		synctest.Test(t, func(t *testing.T) {
			n := bed.NewNet(bed.Config{Link: bed.Link{Latency: 20 * time.Millisecond}})
			addr := func(i uint64) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}) }
			stranger, _ := libpeer.IDFromPrivateKey(bed.Key(777))
			w := wiretest.World{
				New: func(o wiretest.Options) (wire.Wire, error) {
					host := n.Host(addr(o.Number))
					return native.New(native.Config{
						Status:        func() chain.Status { return chain.Status{Network: o.Network, Genesis: o.Genesis} },
						Key:           bed.Key(o.Number),
						Listen:        []string{bed.Multiaddr(addr(o.Number), 0).String()},
						AllowPrivate:  true,
						Topics:        o.Topics,
						Libp2pOptions: []libp2p.Option{bed.Bubble(host, upgraded)},
					})
				},
				Patience: time.Minute,
				Stranger: fmt.Sprintf("%s/p2p/%s", bed.Multiaddr(addr(666), 0), stranger),
			}
			if upgraded {
				w.Raw = func(ctx context.Context, a peer.Addr) (net.Conn, error) {
					return n.Host(addr(500)).DialUnder(ctx, a.Text)
				}
			}
			run(w)
			n.Close()
		})
	}
}

func TestNativeConforms(t *testing.T) { wiretest.Run(t, inBed(false)) }

func TestNativeConformsOverNoiseAndYamux(t *testing.T) { wiretest.Run(t, inBed(true)) }
