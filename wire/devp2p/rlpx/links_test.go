package rlpx

import (
	"bytes"
	"crypto/ecdsa"
	"io"
	"net"
	"testing"
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

// handshakePacket is an auth as one key sends it to another.
func handshakePacket(t testing.TB, from, to *ecdsa.PrivateKey) []byte {
	t.Helper()
	link := &script{}
	if _, err := Initiate(link, from, &to.PublicKey); err != io.EOF {
		t.Fatalf("Initiate = %v", err)
	}
	return link.out.Bytes()
}
