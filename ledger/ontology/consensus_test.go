package ontology

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"testing"
	"testing/synctest"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/ledger"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire/ontology/codec"
)

func openLedger(t testing.TB, f *Family) *ledger.Ledger {
	t.Helper()
	l, err := ledger.Open("chain", ledger.Options{Family: f, FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	if err := f.Attach(t.Context(), l); err != nil {
		t.Fatal(err)
	}
	return l
}

// said is a message of the consensus for the block above prev.
func said(t testing.TB, k *ecdsa.PrivateKey, prev chain.Ref, data string) []byte {
	t.Helper()
	m := codec.Consensus{Prev: codec.HashOf(prev.Hash), Height: uint32(prev.Number) + 1, Data: []byte(data), Owner: elliptic.MarshalCompressed(elliptic.P256(), k.X, k.Y)}
	sum := sha256.Sum256(m.AppendUnsigned(nil))
	r, s, err := ecdsa.Sign(rand.Reader, k, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	m.Sig = make([]byte, 64)
	r.FillBytes(m.Sig[:32])
	s.FillBytes(m.Sig[32:])
	return m.Append(nil)
}

func hears(t testing.TB, c *Consensus, what string, msg []byte, want chain.Verdict) {
	t.Helper()
	if got := c.Handle(t.Context(), "somebody", msg); got != want {
		t.Errorf("%s: %+v, want %+v", what, got, want)
	}
}

// Only those whom the chain names are heard, and whoever signs for another is
// charged.
func TestOnlyBookkeepersAreHeard(t *testing.T) {
	ring, others := newRing(t, 4), newRing(t, 1)
	f := family(t, dbft(ring))
	l := openLedger(t, f)
	c := NewConsensus(f, l)
	head := l.Status().Head
	ahead := chain.Ref{Number: 7, Hash: chain.Hash{7}}
	good := said(t, ring[0], head, "prepare")
	forged := bytes.Clone(good)
	forged[len(forged)-1] ^= 1
	hears(t, c, "a bookkeeper", good, chain.Accepted())
	hears(t, c, "again", good, chain.Ignored("known"))
	hears(t, c, "forged", forged, chain.Rejected("bad-signature"))
	hears(t, c, "of a block that we do not have", said(t, ring[1], ahead, "prepare"), chain.Accepted())
	hears(t, c, "a stranger", said(t, others[0], head, "prepare"), chain.RejectedAt(peer.Low, "not-a-validator"))
	hears(t, c, "a stranger of another block", said(t, others[0], ahead, "prepare"), chain.Ignored("not-a-validator"))
	hears(t, c, "cut", good[:20], chain.Rejected("bad-encoding"))
	if got := c.Validators(t.Context()); len(got) != 4 {
		t.Errorf("validators %v", got)
	}
	// A block names others, by their address: who they are is not known until
	// they sign one.
	s := newSealer(t, f, ring)
	g := f.genesis.Header.Chain()
	one := s.child(g, 1, nil, func(h *codec.Header) { h.NextBookkeeper = others.address(t) })
	if _, err := l.Import(t.Context(), []chain.Block{one}); err != nil {
		t.Fatal(err)
	}
	if got := c.Validators(t.Context()); len(got) != 0 {
		t.Errorf("validators %v", got)
	}
	hears(t, c, "anybody", said(t, others[0], one.Ref(), "a"), chain.Accepted())
	s.ring = others
	two := s.child(one.Header, 1, nil, nil)
	if _, err := l.Import(t.Context(), []chain.Block{two}); err != nil {
		t.Fatal(err)
	}
	hears(t, c, "the new one", said(t, others[0], two.Ref(), "b"), chain.Accepted())
	hears(t, c, "an old one", said(t, ring[0], two.Ref(), "b"), chain.RejectedAt(peer.Low, "not-a-validator"))
	if got := c.Dropped()["not-a-validator"]; got != 3 {
		t.Errorf("dropped %v", c.Dropped())
	}
}

// In a VBFT network those are heard who are in the configuration in force.
func TestOnlyMembersAreHeard(t *testing.T) {
	ring, others := newRing(t, 7), newRing(t, 7)
	f := family(t, vbft(ring))
	l := openLedger(t, f)
	c := NewConsensus(f, l)
	nowhere := chain.Ref{Number: 1<<32 - 1} // VBFT leaves parent and height zero
	hears(t, c, "a member", said(t, ring[6], nowhere, "endorse"), chain.Accepted())
	hears(t, c, "a stranger", said(t, others[0], nowhere, "endorse"), chain.Ignored("not-a-validator"))
	s := newSealer(t, f, ring)
	one := s.child(f.genesis.Header.Chain(), 1, nil, func(h *codec.Header) { h.Payload = payloadOf(t, 0, others) })
	if n, err := f.VerifyHeaders(f.genesis.Header.Chain(), []chain.Header{one.Header}); n != 1 {
		t.Fatal(err)
	}
	if _, err := l.Import(t.Context(), []chain.Block{one}); err != nil {
		t.Fatal(err)
	}
	hears(t, c, "a new member", said(t, others[0], nowhere, "commit"), chain.Accepted())
	hears(t, c, "an old one", said(t, ring[6], nowhere, "commit"), chain.Ignored("not-a-validator"))
}

func TestConsensusIsHandedOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ring := newRing(t, 4)
		f := family(t, dbft(ring))
		l := openLedger(t, f)
		c := NewConsensus(f, l)
		ctx, stop := context.WithCancel(t.Context())
		ear := c.Subscribe(ctx)
		msg := said(t, ring[0], l.Status().Head, "prepare")
		hears(t, c, "a bookkeeper", msg, chain.Accepted())
		got := <-ear
		if got.From != "somebody" || !got.Member || !bytes.Equal(got.Bytes, msg) || string(got.Message.Data) != "prepare" {
			t.Errorf("got %+v", got)
		}
		for i := range consensusQueue + 3 {
			hears(t, c, "more", said(t, ring[0], l.Status().Head, string(rune(i))), chain.Accepted())
		}
		stop()
		synctest.Wait()
		n := 0
		for range ear {
			n++
		}
		if n != consensusQueue || c.Dropped()["subscriber-lags"] != 3 {
			t.Errorf("got %d, dropped %v", n, c.Dropped())
		}
	})
}

// FuzzConsensus checks that no bytes break it.
func FuzzConsensus(f *testing.F) {
	ring := newRing(f, 4)
	fam := family(f, dbft(ring))
	l := openLedger(f, fam)
	f.Add(said(f, ring[0], l.Status().Head, "x"))
	c := NewConsensus(fam, l)
	f.Fuzz(func(t *testing.T, in []byte) { c.Handle(t.Context(), "x", in) })
}
