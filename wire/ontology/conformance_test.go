package ontology

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/sim/bed"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/ontology/codec"
	"github.com/starlingp2p/starling/wire/wiretest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// blockOf makes the block of number n of a chain for tests.
func blockOf(n byte, size int) codec.Block {
	var parent codec.Hash
	if n > 0 {
		parent = blockOf(n-1, size).Header.Hash
	}
	var txs []codec.Tx
	if size > 0 {
		txs = []codec.Tx{txOf(uint32(n), size)}
	}
	var hashes []codec.Hash
	for _, t := range txs {
		hashes = append(hashes, t.Hash)
	}
	h := codec.Header{Prev: parent, TxRoot: codec.TxRoot(hashes), Height: uint32(n), Time: 1530403200 + uint32(n)}.Seal()
	return codec.Block{Header: h, Txs: txs, Body: codec.AppendBody(nil, txs)}
}

func txOf(nonce uint32, size int) codec.Tx {
	return codec.Tx{Type: codec.TxInvoke, Nonce: nonce, Code: make([]byte, size)}.Seal()
}

const bodySize = 100

// signer signs consensus messages.
type signer struct{ key *ecdsa.PrivateKey }

func newSigner() signer {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return signer{k}
}

func (s signer) sign(data string) []byte {
	c := codec.Consensus{Data: []byte(data), Owner: elliptic.MarshalCompressed(elliptic.P256(), s.key.X, s.key.Y)}
	sum := sha256.Sum256(c.AppendUnsigned(nil))
	r, v, err := ecdsa.Sign(rand.Reader, s.key, sum[:])
	if err != nil {
		panic(err)
	}
	c.Sig = make([]byte, 64)
	r.FillBytes(c.Sig[:32])
	v.FillBytes(c.Sig[32:])
	return c.Append(nil)
}

// kept signs each text once, so that it is the same each time.
func (s signer) kept() func(string) []byte {
	all := map[string][]byte{}
	return func(text string) []byte {
		if all[text] == nil {
			all[text] = s.sign(text)
		}
		return all[text]
	}
}

func ipOf(i uint64) netip.Addr { return netip.AddrFrom4([4]byte{203, 0, byte(113 + i>>8), byte(i)}) }

func portOf(i uint64) string { return netip.AddrPortFrom(ipOf(i), 20338).String() }

// configOf is a node on a host of the bed.
func configOf(n *bed.Net, i uint64) Config {
	return Config{
		Magic: 299, Listen: portOf(i), Network: n.Host(ipOf(i)),
		Status: func() chain.Status { return chain.Status{Head: chain.Ref{Number: 3}} },
		Header: func(_ context.Context, r chain.Ref) (chain.Header, error) {
			for k := range byte(4) {
				if h := blockOf(k, bodySize).Header.Chain(); h.Ref.Hash == r.Hash {
					return h, nil
				}
			}
			return chain.Header{}, chain.ErrNotFound
		},
	}
}

func asks() []wiretest.Ask {
	b1, b2, b3 := blockOf(1, bodySize), blockOf(2, bodySize), blockOf(3, bodySize)
	h := func(bs ...codec.Block) (all wire.Headers) {
		for _, b := range bs {
			all.Headers = append(all.Headers, b.Header.Chain())
		}
		return all
	}
	hash := b1.Ref().Hash
	tx := txOf(7, 10)
	block := wire.GetBlocksByHash{Hashes: []chain.Hash{b2.Ref().Hash}}
	blocks := wire.Blocks{Blocks: []chain.Block{b2.Chain()}}
	txs := wire.GetTxs{Hashes: []chain.Hash{tx.Hash.Chain()}}
	one := wire.GetHeaders{Range: chain.Range{From: chain.Ref{Hash: b2.Ref().Hash}, Count: 1}}
	return []wiretest.Ask{
		{Request: block, Served: block, Gives: blocks, Gets: blocks},
		{
			Request: wire.GetHeaders{Range: chain.Range{From: chain.Ref{Hash: hash}, Count: 3}},
			Served:  wire.GetHeaders{Range: chain.Range{From: chain.Ref{Hash: hash}, Count: 501}},
			Gives:   h(b1, b2, b3), Gets: h(b1, b2, b3),
		},
		{Request: one, Served: block, Gives: blocks, Gets: h(b2)},
		{Request: txs, Served: txs, Gives: wire.TxList{Txs: []chain.Tx{{Bytes: tx.Raw}}}, Gets: wire.TxList{Txs: []chain.Tx{tx.Chain()}}},
	}
}

// world is a place for nodes of one kind.
func world(t *testing.T, change func(*Config)) wiretest.Factory {
	return func(t *testing.T, run func(wiretest.World)) {
		synctest.Test(t, func(t *testing.T) {
			n := bed.NewNet(bed.Config{Link: bed.Link{Latency: 20 * time.Millisecond}})
			defer n.Close()
			run(wiretest.World{
				New: func(o wiretest.Options) (wire.Wire, error) {
					c := configOf(n, o.Number)
					if change != nil {
						change(&c)
					}
					return New(c)
				},
				Raw: func(ctx context.Context, a peer.Addr) (net.Conn, error) {
					return n.Host(ipOf(500)).Dial(ctx, "tcp", a.Text)
				},
				Patience: time.Minute,
				Stranger: portOf(666),
				NoStatus: true,
				Asks:     asks(),
				Block:    func(n byte, _ int) chain.Block { return blockOf(n, bodySize).Chain() },

				Consensus: newSigner().kept(),
			})
		})
	}
}

func TestOntologyConforms(t *testing.T) { wiretest.Run(t, world(t, nil)) }

// With a second port consensus has a link of its own.
func TestOntologyConformsWithTwoPorts(t *testing.T) {
	wiretest.Run(t, world(t, func(c *Config) {
		at := netip.MustParseAddrPort(c.Listen)
		c.ConsensusListen = netip.AddrPortFrom(at.Addr(), 20339).String()
		c.Soft = "v1.6.0"
	}))
}
