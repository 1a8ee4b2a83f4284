package opstack_test

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/starlingp2p/starling/wire/opstack"
	"github.com/starlingp2p/starling/wire/opstack/codec"
)

// Threat G-05: copies are known by the bytes that arrive: one is decompressed,
// and no other.
func TestCopiesAreDecompressedOnce(t *testing.T) {
	c := opstack.NewCopies()
	msg := make([]byte, 100<<10)
	for i := range msg {
		msg[i] = byte(i * i >> 3)
	}
	data := codec.Compress(msg)
	topic := codec.Topic(901, codec.V4)
	body, err := codec.Decompress(data)
	if err != nil {
		t.Fatal(err)
	}
	want := codec.MessageID(topic, body)
	if got := c.ID(topic, bytes.Clone(data)); got != want {
		t.Fatalf("id %x, want %x", got, want)
	}
	again := bytes.Clone(data)
	if n := testing.AllocsPerRun(100, func() { c.ID(topic, again) }); n != 0 {
		t.Errorf("the id of a copy takes %v allocations, want none", n)
	}
	if got := c.ID("another", data); got == want {
		t.Error("the topic does not count")
	}
	if got := c.Take(topic, again); !bytes.Equal(got, body) {
		t.Error("take gives something else")
	}
	if got := c.Take(topic, again); got != nil {
		t.Error("take gives the same twice")
	}
	if got := c.ID(topic, data); got != want {
		t.Error("the id is lost with the body")
	}
	raw := []byte{0xff, 0xff, 0xff}
	if got := c.ID(topic, raw); got != codec.RawMessageID(topic, raw) || c.Take(topic, raw) != nil {
		t.Errorf("the id of what is no snappy: %x", got)
	}
	for i := range 40 {
		c.ID(topic, codec.Compress(append(make([]byte, 9<<20), byte(i))))
		if n := c.Held(); n > 32<<20 {
			t.Fatalf("%d bytes are held, at most 32 MiB", n)
		}
	}
}

// literals is a message as a snappy block of literals of n bytes: one encoding of
// many.
func literals(msg []byte, n int) []byte {
	out := binary.AppendUvarint(nil, uint64(len(msg)))
	for len(msg) > 0 {
		k := min(n, len(msg))
		out = append(out, byte(k-1)<<2)
		out = append(out, msg[:k]...)
		msg = msg[k:]
	}
	return out
}

// Threat B-04: a message in ever new encodings is decompressed each time before
// it is known; who sends two beside the first is found out, and who relays one
// that others sent is not.
func TestRecodedCopiesAreFoundOut(t *testing.T) {
	c := opstack.NewCopies()
	topic, msg := codec.Topic(901, codec.V4), bytes.Repeat([]byte{1, 2, 3}, 100)
	id := c.ID(topic, codec.Compress(msg))
	for n := 10; n < 13; n++ {
		if got := c.ID(topic, literals(msg, n)); got != id {
			t.Fatalf("an encoding has the id %x, want %x", got, id)
		}
	}
	for i, tt := range []struct {
		peer string
		data []byte
		want bool
	}{
		{"a", codec.Compress(msg), false},
		{"a", literals(msg, 10), false},
		{"a", literals(msg, 10), false},
		{"b", literals(msg, 11), false},
		{"a", literals(msg, 11), true},
		{"a", literals(msg, 12), true},
		{"a", codec.Compress(msg), false},
		{"b", literals(msg, 11), false},
	} {
		if got := c.Recoded(tt.peer, topic, tt.data); got != tt.want {
			t.Errorf("copy %d of %s: %v, want %v", i, tt.peer, got, tt.want)
		}
	}
}
