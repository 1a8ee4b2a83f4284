package opstack

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
	"github.com/starlingp2p/starling/wire/opstack/codec"
	"github.com/starlingp2p/starling/wire/opstack/codec/rules"
	"github.com/starlingp2p/starling/wire/wiretest"
)

// The pool of discovery's node database ends some seconds after its Close.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/syndtr/goleveldb/leveldb.(*DB).mpoolDrain"))
}

const (
	chainID = 901
	epoch   = 946_684_800 // when a bubble of synctest begins
)

func keyOf(n int) codec.Key {
	k, err := codec.ParseKey(fmt.Sprintf("%064x", n))
	if err != nil {
		panic(err)
	}
	return k
}

// blockOf is a signed block for tests: number n of a network that began some
// minutes ago.
func blockOf(n uint64, size int) chain.Block {
	tx := make([]byte, size+1)
	for i := range tx {
		tx[i] = byte(i) ^ byte(n)
	}
	e, err := codec.Draft{Version: codec.V4, Parent: chain.Ref{Number: n - 1, Hash: chain.Hash{byte(n)}}, Time: genesisTime + 2*n, Txs: [][]byte{tx}}.Envelope()
	if err != nil {
		panic(err)
	}
	return signedBy(keyOf(1), e)
}

const genesisTime = epoch - 400

func signedBy(k codec.Key, e *codec.Envelope) chain.Block {
	sig, err := k.SignEnvelope(chainID, e)
	if err != nil {
		panic(err)
	}
	b, err := e.Block(sig)
	if err != nil {
		panic(err)
	}
	return b
}

func rulesOf(t testing.TB, change ...func(*rules.Config)) *rules.Rules {
	t.Helper()
	c := rules.Config{ChainID: chainID, BlockTime: 2 * time.Second, GenesisTime: genesisTime, Signer: keyOf(1).Address(), MaxAge: 10 * time.Minute}
	for _, f := range change {
		f(&c)
	}
	r, err := rules.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// inBed makes worlds of OP Stack wires in virtual time. Upgraded ones have real
// Noise and yamux, and ask each other as op-nodes do.
func inBed(upgraded bool) wiretest.Factory {
	return func(t *testing.T, run func(wiretest.World)) {
		synctest.Test(t, func(t *testing.T) {
			n := bed.NewNet(bed.Config{Link: bed.Link{Latency: 20 * time.Millisecond}})
			addr := func(i uint64) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}) }
			stranger, _ := libpeer.IDFromPrivateKey(bed.Key(777))
			w := wiretest.World{
				New: func(o wiretest.Options) (wire.Wire, error) {
					return New(Config{
						Rules:         rulesOf(t),
						Status:        func() chain.Status { return chain.Status{Network: o.Network, Genesis: o.Genesis} },
						Key:           bed.Key(o.Number),
						Listen:        []string{bed.Multiaddr(addr(o.Number), 0).String()},
						AllowPrivate:  true,
						NoRanges:      upgraded,
						Libp2pOptions: []libp2p.Option{bed.Bubble(n.Host(addr(o.Number)), upgraded)},
					})
				},
				Patience: time.Minute,
				Stranger: fmt.Sprintf("%s/p2p/%s", bed.Multiaddr(addr(666), 0), stranger),
				Block:    func(n byte, size int) chain.Block { return blockOf(uint64(n), size) },
				Carried: func(r wire.Refusal) wire.Refusal {
					if !upgraded {
						return r
					}
					if r.Code != wire.RefusedNotFound && r.Code != wire.RefusedBadRequest {
						r.Code = wire.RefusedBusy
					}
					return wire.Refusal{Code: r.Code}
				},
				NoStatus: true,
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

// Threats H-05, H-06, H-07, H-08 and Z-07 are rules of the suite.
func TestConforms(t *testing.T) { wiretest.Run(t, inBed(false)) }

// Threats M-01 and H-01 are rules of the suite that need a real handshake.
func TestConformsOverNoiseAndYamux(t *testing.T) { wiretest.Run(t, inBed(true)) }
