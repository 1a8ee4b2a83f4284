package rlpx

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"encoding/hex"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/crypto"
	"go.uber.org/goleak"

	"github.com/starlingp2p/starling/wire/internal/framed"
	"github.com/starlingp2p/starling/wire/internal/intake"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func testKey(t testing.TB, digits string) *ecdsa.PrivateKey {
	t.Helper()
	k, err := crypto.HexToECDSA(digits)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	k, err := crypto.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func golden(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return unhex(t, string(b))
}

// tcp gives the two ends of a link over loopback.
func tcp(t testing.TB) (a, b net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	type accepted struct {
		c   net.Conn
		err error
	}
	got := make(chan accepted, 1)
	go func() { c, err := l.Accept(); got <- accepted{c, err} }()
	if a, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	r := <-got
	if r.err != nil {
		t.Fatal(r.err)
	}
	late := time.Now().Add(time.Minute)
	a.SetDeadline(late)
	r.c.SetDeadline(late)
	t.Cleanup(func() { a.Close(); r.c.Close() })
	return a, r.c
}

// conn is a connection of ours: a link, its codec, and framed over both.
type conn struct {
	*framed.Conn
	codec *Codec
}

func newConn(nc net.Conn, c *Codec) *conn {
	return &conn{framed.NewConn(nc, c, intake.NewBudget(64<<20)), c}
}

func (c *conn) read() (framed.Frame, error) { return c.Read(context.Background(), time.Minute) }

func (c *conn) write(code uint64, payload []byte) error {
	return c.Write(context.Background(), code, payload)
}

// pair gives two connections of ours behind their handshake.
func pair(t testing.TB) (a, b *conn) {
	t.Helper()
	x, y := tcp(t)
	return shake(t, x, y)
}

// shake runs a handshake of ours over a link.
func shake(t testing.TB, x, y net.Conn) (a, b *conn) {
	t.Helper()
	ka, kb := newKey(t), newKey(t)
	type result struct {
		c   *Codec
		err error
	}
	got := make(chan result, 1)
	go func() { c, err := Respond(y, kb); got <- result{c, err} }()
	c, err := Initiate(x, ka, &kb.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	r := <-got
	if r.err != nil {
		t.Fatal(r.err)
	}
	if !r.c.Remote().Equal(&ka.PublicKey) || !c.Remote().Equal(&kb.PublicKey) {
		t.Fatal("the sides disagree about who they are")
	}
	return newConn(x, c), newConn(y, r.c)
}

// script is a link that gives out some bytes, in pieces of at most piece bytes
// (0: all at once), and takes what is written.
type script struct {
	in    []byte
	piece int
	out   bytes.Buffer
	reads int
}

func (s *script) Read(b []byte) (int, error) {
	if len(s.in) == 0 {
		return 0, io.EOF
	}
	if s.piece > 0 && len(b) > s.piece {
		b = b[:s.piece]
	}
	s.reads++
	n := copy(b, s.in)
	s.in = s.in[n:]
	return n, nil
}

func (s *script) Write(b []byte) (int, error)      { return s.out.Write(b) }
func (s *script) Close() error                     { return nil }
func (s *script) LocalAddr() net.Addr              { return nil }
func (s *script) RemoteAddr() net.Addr             { return nil }
func (s *script) SetDeadline(time.Time) error      { return nil }
func (s *script) SetReadDeadline(time.Time) error  { return nil }
func (s *script) SetWriteDeadline(time.Time) error { return nil }
