package devp2p

import (
	"context"
	"crypto/ecdsa"
	"fmt"
	"hash/crc32"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/rlp"
	"go.uber.org/goleak"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/sim/bed"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/devp2p/eth"
	"github.com/starlingp2p/starling/wire/wiretest"
)

// The pool of discovery's node database ends some seconds after its Close.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/syndtr/goleveldb/leveldb.(*DB).mpoolDrain"))
}

// keyFor is the identity of the i-th peer of a test.
func keyFor(i uint64) *ecdsa.PrivateKey {
	key, err := crypto.ToECDSA(crypto.Keccak256(fmt.Appendf(nil, "devp2p test key %d", i)))
	if err != nil {
		panic(err)
	}
	return key
}

func hostAddr(i uint64) netip.Addr { return netip.AddrFrom4([4]byte{8, 8, byte(i >> 8), byte(i)}) }

func enodeAt(i uint64, ip string, port int) string {
	return addrOf(IDOf(&keyFor(i).PublicKey), ip, port, 0).Text
}

var testGenesis = chain.Hash{0xaa, 1, 2, 3}

// headerOf is a header of the form of Ethereum's, and child of the one before.
func headerOf(n uint64) chain.Header {
	raw, err := rlp.EncodeToBytes(headerFields(n))
	if err != nil {
		panic(err)
	}
	h, err := eth.ParseHeader(raw)
	if err != nil {
		panic(err)
	}
	return h
}

func headerFields(n uint64) []any {
	parent := testGenesis
	if n > 1 {
		parent = headerOf(n - 1).Ref.Hash
	}
	h32, a20, bloom := make([]byte, 32), make([]byte, 20), make([]byte, 256)
	return []any{parent[:], h32, a20, h32, h32, h32, bloom, uint64(2), n, uint64(30_000_000), uint64(0), 1_700_000_000 + n, []byte("extra"), h32, make([]byte, 8)}
}

func txOf(n byte) chain.Tx {
	b := []byte{2, 0xc9, n, 1, 2, 3, 4, 5, 6, 7, 8}
	return chain.Tx{Hash: chain.Hash(crypto.Keccak256Hash(b)), Kind: 2, Bytes: b}
}

// bodyOf is a body with n transactions.
func bodyOf(n byte) []byte {
	var txs [][]byte
	for i := range n {
		txs = append(txs, txOf(i).Bytes)
	}
	b, err := rlp.EncodeToBytes([]any{txs, []any{}})
	if err != nil {
		panic(err)
	}
	return b
}

// receiptsFor are the receipts of a block with n transactions.
func receiptsFor(n int) []byte {
	list := make([]any, n)
	for i := range list {
		list[i] = []any{uint64(2), uint64(1), uint64(21000 * (i + 1)), []any{}}
	}
	b, err := rlp.EncodeToBytes(list)
	if err != nil {
		panic(err)
	}
	return b
}

// kinds are requests of this wire with true answers.
func kinds(wire.Caps) ([]wire.Request, []wire.Response) {
	h1, h2 := headerOf(1), headerOf(2)
	tx := txOf(7)
	return []wire.Request{
			wire.GetHeaders{Range: chain.Range{From: chain.Ref{Number: 1}, Count: 2}},
			wire.GetHeaders{Range: chain.Range{From: chain.Ref{Hash: h1.Ref.Hash}, Count: 1, Reverse: true}},
			wire.GetBodies{Hashes: []chain.Hash{h2.Ref.Hash, h1.Ref.Hash}},
			wire.GetTxs{Hashes: []chain.Hash{tx.Hash}},
			wire.GetReceipts{Hashes: []chain.Hash{h2.Ref.Hash}},
		}, []wire.Response{
			wire.Headers{Headers: []chain.Header{h1, h2}},
			wire.Headers{Headers: []chain.Header{h1}},
			wire.Bodies{Hashes: []chain.Hash{h2.Ref.Hash, h1.Ref.Hash}, Bodies: []wire.Body{{Body: bodyOf(3)}, {Body: bodyOf(0)}}},
			wire.TxList{Txs: []chain.Tx{tx}},
			wire.Receipts{Hashes: []chain.Hash{h2.Ref.Hash}, Receipts: [][]byte{receiptsFor(3)}},
		}
}

// configFor is that of the i-th peer, on a simulated network.
func configFor(n *bed.Net, i uint64, network string, genesis chain.Hash) Config {
	return Config{
		NetworkID: networkID(network), Network: network, Key: keyFor(i), Listen: ":30303", Net: n.Host(hostAddr(i)),
		Status: func() chain.Status {
			return chain.Status{Network: network, Genesis: genesis, Head: chain.Ref{Number: 5, Hash: chain.Hash{5}}, Weight: chain.WeightOf(500)}
		},
		Forks:        eth.NewForks(genesis, 0, nil, nil),
		InboundPause: -1, // tests come again and again
	}
}

func networkID(name string) uint64 { return uint64(crc32.ChecksumIEEE([]byte(name))) }

// inBed makes worlds in virtual time, of wires that offer these versions.
func inBed(versions ...eth.Version) wiretest.Factory {
	return func(t *testing.T, run func(wiretest.World)) {
		synctest.Test(t, func(t *testing.T) {
			n := bed.NewNet(bed.Config{Link: bed.Link{Latency: 20 * time.Millisecond}})
			run(wiretest.World{
				New: func(o wiretest.Options) (wire.Wire, error) {
					cfg := configFor(n, o.Number, o.Network, o.Genesis)
					cfg.Listen = net.JoinHostPort(hostAddr(o.Number).String(), "30303")
					cfg.Versions = versions
					return New(cfg)
				},
				Raw: func(ctx context.Context, a peer.Addr) (net.Conn, error) {
					_, host, port, _ := parts(a)
					return n.Host(hostAddr(500)).Dial(ctx, "tcp", net.JoinHostPort(host, fmt.Sprint(port)))
				},
				Patience:      time.Minute,
				Stranger:      enodeAt(777, hostAddr(666).String(), 30303),
				Kinds:         kinds,
				Carried:       func(wire.Refusal) wire.Refusal { return wire.Refusal{Code: wire.RefusedNotFound} },
				NetworkText:   func(name string) string { return fmt.Sprint(networkID(name)) },
				BlindIdentity: true,
			})
			n.Close()
		})
	}
}

// TestConforms runs the shared checks. Among them are threats M-01 and H-01
// (random bytes and silence before the handshake), H-05 (another network or
// genesis), H-06 (another identity than was dialled), H-07 (ourselves), H-08
// (dials of both sides at once) and Z-07 (a peer that only keeps alive).
func TestConforms(t *testing.T) {
	for _, v := range eth.Versions() {
		t.Run(v.String(), func(t *testing.T) { wiretest.Run(t, inBed(v)) })
	}
}

// idleNet is a network where nothing runs.
func idleNet(t *testing.T) *bed.Net {
	n := bed.NewNet(bed.Config{})
	t.Cleanup(func() { n.Close() })
	return n
}
