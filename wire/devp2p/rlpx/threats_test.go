package rlpx

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"runtime"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/crypto/ecies"
	"github.com/ethereum/go-ethereum/crypto/keccak"

	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/internal/framed"
	"github.com/starlingp2p/starling/wire/internal/intake"
)

// fixedSecrets are two ends of a connection without a handshake, with keys that
// are known.
func fixedSecrets() (a, b secrets) {
	block, _ := aes.NewCipher(make([]byte, 32))
	stream := func() cipher.Stream { return cipher.NewCTR(block, make([]byte, 16)) }
	m := func(s string) *mac {
		h := keccak.NewLegacyKeccak256()
		h.Write([]byte(s))
		return newMAC(block, h)
	}
	return secrets{enc: stream(), dec: stream(), out: m("a"), in: m("b")}, secrets{enc: stream(), dec: stream(), out: m("b"), in: m("a")}
}

// sender is a codec that sends, with keys that are known, and what it made.
type sender struct {
	*Codec
	buf []byte
}

func newSender(compressed bool) *sender {
	a, _ := fixedSecrets()
	s := &sender{Codec: newCodec(nil, a)}
	s.Establish(MaxMessage, compressed)
	return s
}

func (s *sender) send(t testing.TB, code uint64, payload []byte) {
	t.Helper()
	var err error
	if s.buf, err = s.Seal(s.buf, code, payload); err != nil {
		t.Fatal(err)
	}
}

// claim is a frame header that is authentic and claims some size.
func (s *sender) claim(size int) {
	head := make([]byte, 16)
	head[0], head[1], head[2] = byte(size>>16), byte(size>>8), byte(size)
	s.enc.XORKeyStream(head, head)
	s.buf = append(append(s.buf, head...), s.out.header(head)...)
}

// body is what follows a header.
func (s *sender) body(b []byte) {
	b = append(bytes.Clone(b), make([]byte, padded(len(b))-len(b))...)
	s.enc.XORKeyStream(b, b)
	s.out.absorb(b)
	s.buf = append(append(s.buf, b...), s.out.body()...)
}

// receiver reads what a sender made.
func receiver(in []byte) *conn { return receiverOf(&script{in: in}) }

func receiverOf(s *script) *conn {
	_, b := fixedSecrets()
	return newConn(s, newCodec(nil, b))
}

// isFault checks that an error is a fault of that kind.
func isFault(t *testing.T, err error, want peer.Offense) {
	t.Helper()
	var f *wire.Fault
	if !errors.As(err, &f) || f.Offense != want {
		t.Errorf("Read = %v, want the fault %s", err, want)
	}
}

// allocated is how many bytes f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// Threat M-03: the largest length before Hello, and after it, costs nothing
// until the bytes are there.
func TestClaimedLengthsCostNothing(t *testing.T) {
	s := newSender(false)
	s.claim(1<<24 - 1)
	c := receiver(s.buf)
	var err error
	if n := allocated(func() { _, err = c.read() }); n > 8<<10 {
		t.Errorf("a claim of 16 MiB before Hello allocated %d bytes", n)
	}
	isFault(t, err, peer.BadFrame)

	s = newSender(false)
	s.claim(10 << 20)
	c = receiver(s.buf)
	c.codec.Establish(10<<20, true)
	if n := allocated(func() { _, err = c.read() }); n > 128<<10 {
		t.Errorf("a claim of 10 MiB allocated %d bytes", n)
	}
	isFault(t, err, peer.TruncatedFrame)

	s = newSender(false)
	s.claim(13 << 20)
	c = receiver(s.buf)
	c.codec.Establish(10<<20, true)
	_, err = c.read()
	isFault(t, err, peer.BadFrame)
}

// Threat M-06: each bit that is flipped anywhere in a frame fails a MAC.
func TestFlippedBitsFailTheMAC(t *testing.T) {
	s := newSender(true)
	s.send(t, 3, bytes.Repeat([]byte("abc"), 20))
	for bit := range 8 * len(s.buf) {
		flipped := bytes.Clone(s.buf)
		flipped[bit/8] ^= 1 << (bit % 8)
		c := receiver(flipped)
		c.codec.Establish(MaxMessage, true)
		if _, err := c.read(); !errors.Is(err, ErrMAC) {
			t.Fatalf("bit %d flipped: Read = %v, want ErrMAC", bit, err)
		}
	}
}

// Threat M-02: a frame that ends early, at every length.
func TestTruncatedFramesAreFaults(t *testing.T) {
	s := newSender(false)
	s.send(t, 3, make([]byte, 100))
	for n := 1; n < len(s.buf); n++ {
		_, err := receiver(s.buf[:n:n]).read()
		isFault(t, err, peer.TruncatedFrame)
	}
	if _, err := receiver(nil).read(); err != io.EOF {
		t.Errorf("Read of nothing = %v", err)
	}
}

// Threat B-01: what a snappy payload claims is refused by its header.
func TestSnappyBombsAreRefusedUnopened(t *testing.T) {
	for _, n := range []uint64{1 << 32, 1<<32 - 1, 10<<20 + 1, 5000, 1 << 63} {
		s := newSender(false)
		s.send(t, 3, append(binary.AppendUvarint(nil, n), make([]byte, 200)...))
		c := receiver(s.buf)
		c.codec.Establish(10<<20, true)
		var err error
		if got := allocated(func() { _, err = c.read() }); got > 2<<10 {
			t.Errorf("a claim of %d bytes allocated %d", n, got)
		}
		if n > 1<<32-1 {
			isFault(t, err, peer.BadEncoding) // no length of snappy at all
		} else {
			isFault(t, err, peer.Bomb)
		}
	}
	// The most that snappy can do is not refused.
	s := newSender(true)
	s.send(t, 3, make([]byte, 10<<20))
	c := receiver(s.buf)
	c.codec.Establish(10<<20, true)
	if f, err := c.read(); err != nil || len(f.Payload) != 10<<20 {
		t.Errorf("10 MiB of zeros: %v", err)
	}
}

// A Disconnect of a side that has not come as far as compression is no bomb.
func TestGoodbyesMayComeUncompressed(t *testing.T) {
	for _, plain := range []string{"\xc1\x10", "\xc1\x04", "\xc1\x80", "\x04"} {
		for code, ok := range map[uint64]bool{disconnectMsg: true, 2: false} {
			s := newSender(false)
			s.send(t, code, []byte(plain))
			c := receiver(s.buf)
			c.codec.Establish(MaxMessage, true)
			if f, err := c.read(); (err == nil) != ok || ok && string(f.Payload) != plain {
				t.Errorf("message %d of %x = %x, %v", code, plain, f.Payload, err)
			}
		}
	}
}

func TestMessagesOverTheFormatAreNotSealed(t *testing.T) {
	s := newSender(false)
	s.send(t, 1, []byte("a"))
	before := len(s.buf)
	for _, compressed := range []bool{true, false} {
		s.Establish(MaxMessage, compressed)
		b, err := s.Seal(s.buf, 1, make([]byte, MaxMessage+1))
		if !errors.Is(err, wire.ErrTooLarge) || len(b) != before {
			t.Errorf("Seal of %d bytes = %d bytes, %v", MaxMessage+1, len(b), err)
		}
	}
	s.send(t, 2, []byte("b"))
	c := receiver(s.buf)
	for want := uint64(1); want <= 2; want++ {
		if f, err := c.read(); err != nil || f.Code != want {
			t.Errorf("message %d = %+v, %v", want, f, err)
		}
	}
}

// Threat H-03 (CVE-2025-24883, CVE-2026-22862, CVE-2026-26315): no auth with a
// bad point, key or length panics, all fail alike, and none is answered.
func TestHostileAuthsFailAlike(t *testing.T) {
	key, honest := newKey(t), newKey(t)
	to := ecies.ImportECDSAPublic(&key.PublicKey)
	good := func(change func(*auth)) []byte {
		m := auth{}
		copy(m.pub[:], exportKey(&honest.PublicKey))
		rand.Read(m.nonce[:])
		token, err := ecies.ImportECDSA(honest).GenerateShared(to, sharedLen, sharedLen)
		if err != nil {
			t.Fatal(err)
		}
		signed := make([]byte, 32)
		for i := range signed {
			signed[i] = token[i] ^ m.nonce[i]
		}
		sig, err := crypto.Sign(signed, newKey(t))
		if err != nil {
			t.Fatal(err)
		}
		copy(m.sig[:], sig)
		change(&m)
		b, err := seal(to, m.append(nil))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	raw := func(change func([]byte) []byte) []byte { return change(good(func(*auth) {})) }
	prime := crypto.S256().Params().P.Bytes()
	cases := map[string][]byte{
		"identity of zeros":    good(func(a *auth) { clear(a.pub[:]) }),
		"identity off curve":   good(func(a *auth) { a.pub[63] ^= 1 }),
		"identity over field":  good(func(a *auth) { copy(a.pub[:32], prime) }),
		"identity all ones":    good(func(a *auth) { copy(a.pub[:], bytes.Repeat([]byte{0xff}, 64)) }),
		"signature of zeros":   good(func(a *auth) { clear(a.sig[:]) }),
		"signature id 4":       good(func(a *auth) { a.sig[64] = 4 }),
		"signature id 255":     good(func(a *auth) { a.sig[64] = 255 }),
		"signature r over n":   good(func(a *auth) { copy(a.sig[:32], bytes.Repeat([]byte{0xff}, 32)) }),
		"point of zeros":       raw(func(b []byte) []byte { b[2] = 4; clear(b[3 : 3+64]); return b }),
		"point off curve":      raw(func(b []byte) []byte { b[66] ^= 1; return b }),
		"point over field":     raw(func(b []byte) []byte { copy(b[3:35], prime); return b }),
		"compressed point":     raw(func(b []byte) []byte { b[2] = 2; return b }),
		"format byte 0":        raw(func(b []byte) []byte { b[2] = 0; return b }),
		"tag flipped":          raw(func(b []byte) []byte { b[len(b)-1] ^= 1; return b }),
		"length of others":     raw(func(b []byte) []byte { binary.BigEndian.PutUint16(b, uint16(len(b)-3)); return b[:len(b)-1] }),
		"no length":            {0, 0},
		"too long":             append([]byte{8, 1}, make([]byte, 2049)...),
		"longest":              append([]byte{255, 255}, make([]byte, 65535)...),
		"list cut short":       sealed(t, to, []byte{0xf8, 0xff, 1}),
		"no list":              sealed(t, to, []byte{0x80}),
		"empty list":           sealed(t, to, []byte{0xc0}),
		"random bytes inside":  sealed(t, to, bytes.Repeat([]byte{0xb8}, 200)),
		"huge length inside":   sealed(t, to, append([]byte{0xff}, bytes.Repeat([]byte{0xff}, 20)...)),
		"ciphertext of the IV": short(t, to, 16),
		"empty ciphertext":     short(t, to, 0),
	}
	for n := range leastPacket { // short ECIES, at each length
		b := append([]byte{byte(n >> 8), byte(n)}, make([]byte, n)...)
		if n > 0 {
			b[2] = 4
		}
		cases[fmt.Sprintf("%d bytes", n)] = b
	}
	for name, packet := range cases {
		link := &script{in: packet}
		_, err := Respond(link, key)
		if err != ErrHandshake {
			t.Errorf("%s: Respond = %v, want ErrHandshake and no more", name, err)
		}
		if link.out.Len() > 0 {
			t.Errorf("%s: it was answered", name)
		}
	}
	if _, err := Respond(&script{in: good(func(*auth) {})}, key); err != nil {
		t.Errorf("the auth that the others were made of: %v", err)
	}
	// The same, of an answer.
	for name, change := range map[string]func(*ack){
		"zeros":     func(a *ack) { clear(a.pub[:]) },
		"off curve": func(a *ack) { a.pub[0] ^= 1 },
		"all ones":  func(a *ack) { copy(a.pub[:], bytes.Repeat([]byte{0xff}, 64)) },
	} {
		m := ack{}
		copy(m.pub[:], exportKey(&newKey(t).PublicKey))
		change(&m)
		if _, err := Initiate(&script{in: sealed(t, ecies.ImportECDSAPublic(&honest.PublicKey), m.append(nil))}, honest, &key.PublicKey); err != ErrHandshake {
			t.Errorf("ack with a key of %s: Initiate = %v, want ErrHandshake", name, err)
		}
	}
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Initiate(&script{}, honest, &other.PublicKey); err != ErrHandshake {
		t.Errorf("Initiate to a key of another curve = %v", err)
	}
}

func sealed(t *testing.T, to *ecies.PublicKey, plain []byte) []byte {
	t.Helper()
	b, err := seal(to, bytes.Clone(plain))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// short is a packet with a true point and n bytes between it and the tag's length.
func short(t *testing.T, to *ecies.PublicKey, n int) []byte {
	t.Helper()
	b := sealed(t, to, []byte{0xc0})[:2+65+n+32]
	binary.BigEndian.PutUint16(b, uint16(len(b)-2))
	return b
}

// Threat H-10: what one side said, said again, gets no further than the other's
// fresh keys.
func TestReplayedHandshakeFails(t *testing.T) {
	x, y := tcp(t)
	heard := &recorder{Conn: y}
	ka, kb := newKey(t), newKey(t)
	done := make(chan error, 1)
	go func() {
		c, err := Respond(heard, kb)
		if err == nil {
			_, err = newConn(heard, c).read()
		}
		done <- err
	}()
	a, err := Initiate(x, ka, &kb.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	if err := newConn(x, a).write(0, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	for range 50 {
		link := &script{in: bytes.Clone(heard.got.Bytes())}
		c, err := Respond(link, kb)
		if err != nil {
			t.Fatal(err) // the auth itself is valid
		}
		if _, err := newConn(link, c).read(); !errors.Is(err, ErrMAC) {
			t.Fatalf("Read of a replayed message = %v, want ErrMAC", err)
		}
	}
}

// A connection before Hello is small: "pre-auth memory per connection".
func TestConnectionsBeforeHelloAreSmall(t *testing.T) {
	const count = 100
	key, honest := newKey(t), newKey(t)
	packet := handshakePacket(t, honest, key)
	budget := intake.NewBudget(64 << 20)
	var conns []*framed.Conn
	heap := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	for range count {
		link := &script{in: packet}
		codec, err := Respond(link, key)
		if err != nil {
			t.Fatal(err)
		}
		c := framed.NewConn(link, codec, budget)
		c.Read(t.Context(), time.Second) // ends for want of bytes
		conns = append(conns, c)
	}
	after := heap()
	if each := (int64(after) - int64(before)) / count; each > 64<<10 {
		t.Errorf("a connection holds %d bytes before Hello, at most 64 KiB", each)
	}
	runtime.KeepAlive(conns)
	if n := allocated(func() {
		link := &script{in: packet}
		codec, err := Respond(link, key)
		if err == nil {
			framed.NewConn(link, codec, budget).Read(t.Context(), time.Second)
		}
	}); n > 64<<10 {
		t.Errorf("a handshake allocates %d bytes in all, at most 64 KiB", n)
	}
}
