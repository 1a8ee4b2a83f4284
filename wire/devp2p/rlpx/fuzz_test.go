package rlpx

import (
	"bytes"
	"testing"

	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/crypto/ecies"

	"github.com/starlingp2p/starling/wire/internal/framed"
)

// FuzzFrame gives a reader frames whose MACs hold and whose headers and bodies
// are the fuzzer's: it must neither panic nor allocate past what arrived, and
// what it reads comes back the same through our writer.
func FuzzFrame(f *testing.F) {
	f.Add(uint32(20), []byte{0x80}, true, uint8(0))
	f.Add(uint32(1<<24-1), []byte{0x10, 0xff, 0xff, 0xff, 0xff, 0x0f}, true, uint8(3))
	f.Add(uint32(300), bytes.Repeat([]byte{1}, 300), false, uint8(7))
	f.Fuzz(func(t *testing.T, size uint32, body []byte, compressed bool, piece uint8) {
		s := newSender(false)
		s.claim(int(size & 0xffffff))
		s.body(body)
		c := receiverOf(&script{in: s.buf, piece: int(piece)})
		c.codec.Establish(1<<20, compressed)
		var m framed.Frame
		var err error
		n := allocated(func() { m, err = c.read() })
		if most := uint64(64*len(body) + 192<<10); n > most {
			t.Fatalf("a frame of %d bytes allocated %d, at most %d", len(body), n, most)
		}
		if err != nil {
			return
		}
		s = newSender(compressed)
		s.send(t, m.Code, m.Payload)
		again := receiverOf(&script{in: s.buf, piece: int(piece)})
		again.codec.Establish(1<<20, compressed)
		if r, err := again.read(); err != nil || r.Code != m.Code || !bytes.Equal(r.Payload, m.Payload) {
			t.Fatalf("round trip of %d bytes: %v", len(m.Payload), err)
		}
	})
}

// FuzzAuth decodes the plain text of an auth and of an ack.
func FuzzAuth(f *testing.F) {
	f.Add((&auth{}).append(nil))
	f.Add((&ack{}).append(nil))
	f.Fuzz(func(t *testing.T, in []byte) {
		if a, ok := decodeAuth(in); ok {
			if b, ok := decodeAuth(a.append(nil)); !ok || b != a {
				t.Fatal("auth does not survive its encoding")
			}
		}
		if a, ok := decodeAck(in); ok {
			if b, ok := decodeAck(a.append(nil)); !ok || b != a {
				t.Fatal("ack does not survive its encoding")
			}
		}
	})
}

// FuzzHandshake sends an auth packet of the fuzzer's, and one with the fuzzer's
// plain text inside, to a listener.
func FuzzHandshake(f *testing.F) {
	f.Add([]byte{0, 0}, false)
	f.Add((&auth{}).append(nil), true)
	key, err := crypto.HexToECDSA("b71c71a67e1177ad4e901695e1b4b9ee17ae16c6668d313eac2f96dbcda3f291")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, in []byte, inside bool) {
		if inside {
			if len(in) > 1500 {
				return
			}
			var err error
			if in, err = seal(ecies.ImportECDSAPublic(&key.PublicKey), bytes.Clone(in)); err != nil {
				t.Fatal(err)
			}
		}
		link := &script{in: in}
		c, err := Respond(link, key)
		if (err == nil) != (c != nil) || err != nil && link.out.Len() > 0 {
			t.Fatalf("Respond = %v, %v", c, err)
		}
	})
}
