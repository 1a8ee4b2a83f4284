package codec_test

import (
	"bytes"
	"testing"

	"github.com/starlingp2p/starling/wire/opstack/codec"
)

// Threat G-05: copies are known by the bytes that arrive: one is decompressed,
// and no other.
func TestCopiesAreDecompressedOnce(t *testing.T) {
	c := codec.NewCopies()
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
