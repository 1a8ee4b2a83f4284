package rlpx

import (
	"bytes"
	"math/rand/v2"
	"testing"

	gethrlpx "github.com/ethereum/go-ethereum/p2p/rlpx"
)

// TestTalksWithGethBothWays is the differential test against p2p/rlpx: each
// side dials, messages of all sizes go both ways, with snappy and without.
func TestTalksWithGethBothWays(t *testing.T) {
	for _, dial := range []bool{true, false} {
		for _, snappy := range []bool{true, false} {
			t.Run(map[bool]string{true: "we dial", false: "geth dials"}[dial]+map[bool]string{true: " with snappy", false: ""}[snappy], func(t *testing.T) {
				x, y := tcp(t)
				our, their := newKey(t), newKey(t)
				done := make(chan error, 1)
				var geth *gethrlpx.Conn
				if dial {
					geth = gethrlpx.NewConn(y, nil)
				} else {
					geth = gethrlpx.NewConn(y, &our.PublicKey)
				}
				go func() {
					remote, err := geth.Handshake(their)
					if err == nil && !remote.Equal(&our.PublicKey) {
						t.Error("geth takes us for another")
					}
					done <- err
				}()
				var codec *Codec
				var err error
				if dial {
					codec, err = Initiate(x, our, &their.PublicKey)
				} else {
					codec, err = Respond(x, our)
				}
				if err != nil {
					t.Fatal(err)
				}
				if err := <-done; err != nil {
					t.Fatal(err)
				}
				if !codec.Remote().Equal(&their.PublicKey) {
					t.Error("we take geth for another")
				}
				geth.SetSnappy(snappy)
				codec.Establish(MaxMessage, snappy)
				exchange(t, newConn(x, codec), geth)
			})
		}
	}
}

func exchange(t *testing.T, c *conn, geth *gethrlpx.Conn) {
	t.Helper()
	rng := rand.New(rand.NewPCG(1, 2))
	var payloads [][]byte
	for _, n := range []int{0, 1, 2, 14, 15, 16, 17, 31, 32, 100, 1000, 32<<10 - 40, 32 << 10, 64 << 10, 64<<10 + 1, 1 << 20, 3 << 20} {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(rng.Uint32())
			if n%2 == 0 {
				b[i] &= 3 // compresses
			}
		}
		payloads = append(payloads, b)
	}
	codes := []uint64{0, 1, 16, 127, 128, 1 << 20}
	sent := make(chan error, 1)
	go func() {
		for i, p := range payloads {
			if _, err := geth.Write(codes[i%len(codes)], p); err != nil {
				sent <- err
				return
			}
		}
		sent <- nil
	}()
	for i, p := range payloads {
		m, err := c.read()
		if err != nil {
			t.Fatalf("message %d of %d bytes from geth: %v", i, len(p), err)
		}
		if m.Code != codes[i%len(codes)] || !bytes.Equal(m.Payload, p) {
			t.Fatalf("message %d from geth differs", i)
		}
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	go func() {
		for i, p := range payloads {
			if err := c.write(codes[i%len(codes)], p); err != nil {
				sent <- err
				return
			}
		}
		sent <- nil
	}()
	for i, p := range payloads {
		code, data, wireSize, err := geth.Read()
		if err != nil {
			t.Fatalf("geth reads message %d of %d bytes: %v", i, len(p), err)
		}
		if code != codes[i%len(codes)] || !bytes.Equal(data, p) || wireSize == 0 && len(p) > 0 {
			t.Fatalf("geth reads another message %d", i)
		}
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
}

// TestReadsThePacketsOfEIP8 reads the packets that the EIP gives as examples,
// those with unknown fields included.
func TestReadsThePacketsOfEIP8(t *testing.T) {
	a := testKey(t, "49a7b37aa6f6645917e7b807e9d1c00d4fa71f18343b0d4122a4d2df64dd6fee")
	b := testKey(t, "b71c71a67e1177ad4e901695e1b4b9ee17ae16c6668d313eac2f96dbcda3f291")
	ephemeral := testKey(t, "e238eb8e04fee6511ab04c6dd3c89ce097b11f25d584863ac2b6d5b35b1847e4")
	nonceA := unhex(t, "7e968bba13b6c50e2c4cd7f241cc0d64d1ac25c7f5952df231ac6a2bda8ee5d6")
	nonceB := unhex(t, "559aead08264d5795d3909718cdd05abd49572e84fe55590eef31a88a08fdffd")
	for _, name := range []string{"auth2", "auth3"} {
		in := golden(t, "eip-8/"+name+".hex")
		packet, plain, err := open(bytes.NewReader(in), b)
		if err != nil || !bytes.Equal(packet, in) {
			t.Fatalf("%s: %v", name, err)
		}
		m, ok := decodeAuth(plain)
		if !ok || !bytes.Equal(m.nonce[:], nonceA) || !bytes.Equal(m.pub[:], exportKey(&a.PublicKey)) {
			t.Errorf("%s = %+v, %v", name, m, ok)
		}
	}
	for _, name := range []string{"ack2", "ack3"} {
		in := golden(t, "eip-8/"+name+".hex")
		packet, plain, err := open(bytes.NewReader(in), a)
		if err != nil || !bytes.Equal(packet, in) {
			t.Fatalf("%s: %v", name, err)
		}
		m, ok := decodeAck(plain)
		if !ok || !bytes.Equal(m.nonce[:], nonceB) || !bytes.Equal(m.pub[:], exportKey(&ephemeral.PublicKey)) {
			t.Errorf("%s = %+v, %v", name, m, ok)
		}
	}
}

// TestHandshakeWorksEachTime goes through keys and paddings.
func TestHandshakeWorksEachTime(t *testing.T) {
	for range 20 {
		a, b := pair(t)
		if err := a.write(7, []byte("hello")); err != nil {
			t.Fatal(err)
		}
		m, err := b.read()
		if err != nil || m.Code != 7 || string(m.Payload) != "hello" {
			t.Fatalf("Read = %+v, %v", m, err)
		}
		if got := exportKey(a.codec.Remote()); len(got) != pubLen || !importKey(got).Equal(a.codec.Remote()) {
			t.Fatalf("exported key has %d bytes", len(got))
		}
	}
}
