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
	"testing/synctest"
	"time"

	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/crypto/ecies"
	"github.com/ethereum/go-ethereum/crypto/keccak"
	"github.com/golang/snappy"

	"github.com/starlingp2p/starling/sim/bed"
)

var errEOF = io.EOF

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

// frames gives what a sender makes of some writes, and a receiver of them.
func frames(t testing.TB, snappy bool, write func(*writer)) (*script, *Conn) {
	t.Helper()
	a, b := fixedSecrets()
	var out script
	w := writer{nc: &out, stream: a.enc, mac: a.out, snappy: snappy}
	write(&w)
	if err := w.flush(); err != nil {
		t.Fatal(err)
	}
	in := &script{in: out.out.Bytes()}
	c := newConn(in, nil, b)
	return in, c
}

// claim is a frame header that is authentic and claims some size.
func claim(w *writer, size int) {
	w.buf = append(w.buf, header(w, size)...)
}

// header is claim, apart.
func header(w *writer, size int) []byte {
	head := make([]byte, 16)
	head[0], head[1], head[2] = byte(size>>16), byte(size>>8), byte(size)
	w.stream.XORKeyStream(head, head)
	return append(head, w.mac.header(head)...)
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
	_, c := frames(t, false, func(w *writer) { claim(w, 1<<24-1) })
	var err error
	if n := allocated(func() { _, err = c.Read() }); n > 8<<10 {
		t.Errorf("a claim of 16 MiB before Hello allocated %d bytes", n)
	}
	if !errors.Is(err, ErrTooLarge) {
		t.Errorf("Read = %v, want ErrTooLarge", err)
	}
	_, c = frames(t, false, func(w *writer) { claim(w, 10<<20) })
	c.Establish(10<<20, true)
	if n := allocated(func() { _, err = c.Read() }); n > 128<<10 {
		t.Errorf("a claim of 10 MiB allocated %d bytes", n)
	}
	var cut *TruncatedError
	if !errors.As(err, &cut) {
		t.Errorf("Read = %v, want a TruncatedError", err)
	}
	_, c = frames(t, false, func(w *writer) { claim(w, 13<<20) })
	c.Establish(10<<20, true)
	if _, err := c.Read(); !errors.Is(err, ErrTooLarge) {
		t.Errorf("Read = %v, want ErrTooLarge", err)
	}
}

// Threat M-06: each bit that is flipped anywhere in a frame fails a MAC.
func TestFlippedBitsFailTheMAC(t *testing.T) {
	in, _ := frames(t, true, func(w *writer) { w.append(3, bytes.Repeat([]byte("abc"), 20)) })
	wire := in.in
	for bit := range 8 * len(wire) {
		_, b := fixedSecrets()
		flipped := bytes.Clone(wire)
		flipped[bit/8] ^= 1 << (bit % 8)
		c := newConn(&script{in: flipped}, nil, b)
		c.Establish(MaxMessage, true)
		if _, err := c.Read(); !errors.Is(err, ErrMAC) {
			t.Fatalf("bit %d flipped: Read = %v, want ErrMAC", bit, err)
		}
	}
}

// Threat M-06: the same for a frame that does not fit the buffer.
func TestFlippedBitsFailTheMACOfLargeFrames(t *testing.T) {
	in, _ := frames(t, false, func(w *writer) { w.append(3, make([]byte, 200<<10)) })
	wire := in.in
	for at := headLen; at < len(wire); at += 997 {
		_, b := fixedSecrets()
		flipped := bytes.Clone(wire)
		flipped[at] ^= 0x10
		c := newConn(&script{in: flipped}, nil, b)
		c.Establish(MaxMessage, false)
		if _, err := c.Read(); !errors.Is(err, ErrMAC) {
			t.Fatalf("byte %d flipped: Read = %v, want ErrMAC", at, err)
		}
	}
}

// Threat M-02: a frame that ends early, at every length.
func TestTruncatedFramesAreTold(t *testing.T) {
	in, _ := frames(t, false, func(w *writer) { w.append(3, make([]byte, 100)) })
	wire := in.in
	for n := range len(wire) {
		_, b := fixedSecrets()
		c := newConn(&script{in: wire[:n:n]}, nil, b)
		_, err := c.Read()
		var cut *TruncatedError
		if n == 0 && err != io.EOF || n > 0 && !errors.As(err, &cut) {
			t.Fatalf("%d of %d bytes: Read = %v", n, len(wire), err)
		}
	}
}

// Threat B-01: what a snappy payload claims is refused by its header.
func TestSnappyBombsAreRefusedUnopened(t *testing.T) {
	for _, n := range []uint64{1 << 32, 1<<32 - 1, 10<<20 + 1, 5000, 1 << 63} {
		bomb := append(binary.AppendUvarint(nil, n), make([]byte, 200)...)
		_, c := frames(t, false, func(w *writer) { w.append(3, bomb) })
		c.Establish(10<<20, true)
		var err error
		if got := allocated(func() { _, err = c.Read() }); got > 1<<10 {
			t.Errorf("a claim of %d bytes allocated %d", n, got)
		}
		if !errors.Is(err, ErrBomb) && !errors.Is(err, ErrEncoding) {
			t.Errorf("Read = %v for a claim of %d bytes", err, n)
		}
	}
	// The most that snappy can do is not refused.
	_, c := frames(t, false, func(w *writer) { w.append(3, snappy.Encode(nil, make([]byte, 10<<20))) })
	c.Establish(10<<20, true)
	if m, err := c.Read(); err != nil || len(m.Payload) != 10<<20 {
		t.Errorf("10 MiB of zeros: %v", err)
	}
}

// Threat B-06: large buffers do not outlive their use.
func TestLargeBuffersAreLetGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := fixedSecrets()
		var out script
		w := writer{nc: &out, stream: a.enc, mac: a.out, snappy: true}
		noise := make([]byte, 3<<20)
		rand.Read(noise)
		w.append(3, noise)
		w.flush()
		in := &script{in: bytes.Clone(out.out.Bytes())}
		c := newConn(in, nil, b)
		c.Establish(10<<20, true)
		if _, err := c.Read(); err != nil {
			t.Fatal(err)
		}
		out.out.Reset()
		time.Sleep(2 * keepLarge)
		w.append(3, []byte("ping"))
		w.flush()
		in.in = out.out.Bytes()
		if _, err := c.Read(); err != nil {
			t.Fatal(err)
		}
		if n := cap(c.in.frame) + cap(c.in.plain) + cap(c.in.buf); n > 64<<10 {
			t.Errorf("an idle reader holds %d bytes", n)
		}
		if cap(w.buf) > 64<<10 {
			t.Errorf("an idle writer holds %d bytes", cap(w.buf))
		}
	})
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
	ka, kb := newKey(t), newKey(t)
	heard := &recorder{Conn: y}
	done := make(chan error, 1)
	go func() {
		c, err := Respond(heard, kb)
		if err == nil {
			_, err = c.Read()
		}
		done <- err
	}()
	a, err := Initiate(x, ka, &kb.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	a.Append(0, []byte("hello"))
	a.Flush()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	for range 50 {
		c, err := Respond(&script{in: bytes.Clone(heard.got.Bytes())}, kb)
		if err != nil {
			t.Fatal(err) // the auth itself is valid
		}
		if _, err := c.Read(); !errors.Is(err, ErrMAC) {
			t.Fatalf("Read of a replayed message = %v, want ErrMAC", err)
		}
	}
}

// Threat Z-01: a frame that drips misses its deadline; an idle link has another.
func TestDrippingFramesMissTheirDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := bed.NewNet(bed.Config{})
		a, b := bedPair(t, n)
		b.Establish(10<<20, true)
		b.SetTimeouts(Timeouts{Idle: 30 * time.Second, Frame: 10 * time.Second, Floor: 32 << 10})
		stop := make(chan struct{})
		go func() {
			claim(&a.out, 64<<10)
			a.Flush()
			for {
				select {
				case <-stop:
					return
				case <-time.After(5 * time.Second):
					a.nc.Write([]byte{0})
				}
			}
		}()
		start := time.Now()
		_, err := b.Read()
		var slow *SlowError
		if took := time.Since(start); !errors.As(err, &slow) || took > 13*time.Second {
			t.Errorf("Read = %v after %v, want a SlowError after 12 s", err, took)
		}
		close(stop)
		a.Close()
		b.Close()
		c, d := bedPair(t, n)
		d.SetTimeouts(Timeouts{Idle: 30 * time.Second})
		start = time.Now()
		if _, err := d.Read(); !timeout(err) || errors.As(err, &slow) || time.Since(start) != 30*time.Second {
			t.Errorf("Read of an idle link = %v after %v", err, time.Since(start))
		}
		c.Close()
		d.Close()
		n.Close()
	})
}

// A connection before Hello is small: threat table, "pre-auth memory per
// connection".
func TestConnectionsBeforeHelloAreSmall(t *testing.T) {
	const count = 100
	key, honest := newKey(t), newKey(t)
	packet := handshakePacket(t, honest, key)
	var conns []*Conn
	heap := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	for range count {
		c, err := Respond(&script{in: packet}, key)
		if err != nil {
			t.Fatal(err)
		}
		c.Read() // ends for want of bytes
		conns = append(conns, c)
	}
	after := heap()
	if each := (int64(after) - int64(before)) / count; each > 64<<10 {
		t.Errorf("a connection holds %d bytes before Hello, at most 64 KiB", each)
	}
	runtime.KeepAlive(conns)
	if n := allocated(func() {
		c, err := Respond(&script{in: packet}, key)
		if err == nil {
			c.Read()
		}
	}); n > 64<<10 {
		t.Errorf("a handshake allocates %d bytes in all, at most 64 KiB", n)
	}
}
