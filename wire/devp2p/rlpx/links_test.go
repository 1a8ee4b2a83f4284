package rlpx

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"net"
	"net/netip"
	"testing"

	"github.com/starlingp2p/starling/sim/bed"
)

// recorder keeps what is read from a link.
type recorder struct {
	net.Conn
	got bytes.Buffer
}

func (r *recorder) Read(b []byte) (int, error) {
	n, err := r.Conn.Read(b)
	r.got.Write(b[:n])
	return n, err
}

// bedPair gives two connections of ours over a simulated network.
func bedPair(t *testing.T, n *bed.Net) (a, b *Conn) {
	t.Helper()
	ha, hb := n.Host(netip.MustParseAddr("8.8.0.1")), n.Host(netip.MustParseAddr("8.8.0.2"))
	l, err := hb.Listen(context.Background(), "tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	x, err := ha.Dial(context.Background(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	y, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	ka, kb := newKey(t), newKey(t)
	done := make(chan error, 1)
	go func() {
		var err error
		b, err = Respond(y, kb)
		done <- err
	}()
	if a, err = Initiate(x, ka, &kb.PublicKey); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	return a, b
}

// handshakePacket is an auth as one key sends it to another.
func handshakePacket(t *testing.T, from, to *ecdsa.PrivateKey) []byte {
	t.Helper()
	link := &script{}
	if _, err := Initiate(link, from, &to.PublicKey); err != errEOF {
		t.Fatalf("Initiate = %v", err)
	}
	return link.out.Bytes()
}
