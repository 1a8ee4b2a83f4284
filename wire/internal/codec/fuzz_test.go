package codec_test

import (
	"bufio"
	"bytes"
	"errors"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/internal/codec"
	"github.com/starlingp2p/starling/wire/internal/codec/codectest"
)

// seeds adds every sample, so that each decoder also sees the others' bytes.
func seeds(f *testing.F) {
	for _, s := range samples(f) {
		f.Add(s.bytes)
	}
	f.Add([]byte{})
	f.Add([]byte{0x0b, 0x0b, 0x0b, 0x0b}) // groups in groups
	f.Add(bytes.Repeat([]byte{0x12, 0}, 3000))
	f.Add(bytes.Repeat([]byte{0x22, 0}, 5000))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01})
}

// roundTrip checks that decode fails with a fault, or that what it gives
// encodes to bytes that decode to the same.
func roundTrip[T any](t *testing.T, in []byte, decode func([]byte) (T, error), encode func(T) []byte) {
	t.Helper()
	v, err := decode(in)
	if err != nil {
		var f *wire.Fault
		if !errors.As(err, &f) {
			t.Fatalf("error is no fault: %v", err)
		}
		return
	}
	again, err := decode(encode(v))
	if err != nil {
		t.Fatalf("what was decoded does not decode: %v\n%x", err, encode(v))
	}
	if !reflect.DeepEqual(v, again) {
		t.Fatalf("round trip (-first +second):\n%s", cmp.Diff(v, again))
	}
}

func FuzzStatus(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, in []byte) {
		roundTrip(t, in, codec.DecodeStatus, func(s codec.Status) []byte { return codec.AppendStatus(nil, s) })
	})
}

func FuzzGoodbye(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, in []byte) {
		roundTrip(t, in, codec.DecodeGoodbye, func(g codec.Goodbye) []byte { return codec.AppendGoodbye(nil, g) })
	})
}

func FuzzHeader(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, in []byte) {
		roundTrip(t, in, codec.DecodeHeader, func(h chain.Header) []byte { return codec.AppendHeader(nil, h) })
	})
}

// tidyBlock makes empty and nil the same: the wire does not tell them apart.
func tidyBlock(b chain.Block) chain.Block {
	for _, p := range []*[]byte{&b.Header.Bytes, &b.Body, &b.Extra} {
		if len(*p) == 0 {
			*p = nil
		}
	}
	return b
}

func FuzzBlock(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, in []byte) {
		decode := func(b []byte) (chain.Block, error) {
			v, err := codec.DecodeBlock(b)
			return tidyBlock(v), err
		}
		roundTrip(t, in, decode, func(b chain.Block) []byte { return codec.AppendBlock(nil, b) })
	})
}

func FuzzTxBundle(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, in []byte) {
		roundTrip(t, in, codec.DecodeTxBundle, func(txs []chain.Tx) []byte { return codec.AppendTxBundle(nil, txs) })
	})
}

func FuzzRequest(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, in []byte) {
		decode := func(b []byte) (codec.Request, error) {
			r, err := codec.DecodeRequest(b)
			if a, ok := r.Ask.(wire.AppRequest); ok && len(a.Bytes) == 0 {
				a.Bytes = nil
				r.Ask = a
			}
			return r, err
		}
		roundTrip(t, in, decode, func(r codec.Request) []byte {
			if r.Ask == nil {
				return nil2request(r)
			}
			b, err := codec.AppendRequest(nil, r)
			if err != nil {
				t.Fatal(err)
			}
			return b
		})
	})
}

// nil2request is a request of no kind that we know: it is never encoded, so
// its bounds are put beside another kind and cut off again.
func nil2request(r codec.Request) []byte {
	r.Ask = wire.GetAddrs{}
	b, _ := codec.AppendRequest(nil, r)
	return b[2:]
}

func FuzzAnswer(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, in []byte) {
		decode := func(b []byte) (codec.Answer, error) {
			var a codec.Answer
			err := codec.DecodeAnswer(b, &a)
			for i := range a.Headers {
				if len(a.Headers[i].Bytes) == 0 {
					a.Headers[i].Bytes = nil
				}
			}
			for i := range a.Blocks {
				a.Blocks[i] = tidyBlock(a.Blocks[i])
			}
			for i := range a.Bodies {
				if len(a.Bodies[i].Body) == 0 {
					a.Bodies[i].Body = nil
				}
				if len(a.Bodies[i].Extra) == 0 {
					a.Bodies[i].Extra = nil
				}
			}
			return a, err
		}
		roundTrip(t, in, decode, encodeAnswer)
	})
}

func encodeAnswer(a codec.Answer) []byte {
	var b []byte
	for _, h := range a.Headers {
		b = codec.AppendAnswerHeader(b, h)
	}
	for _, x := range a.Blocks {
		b = codec.AppendAnswerBlock(b, x)
	}
	for i, x := range a.Bodies {
		b = codec.AppendAnswerBody(b, a.Hashes[i], x)
	}
	for _, tx := range a.Txs {
		b = codec.AppendAnswerTx(b, tx.Bytes)
	}
	for _, x := range a.Addrs {
		b = codec.AppendAnswerAddr(b, x)
	}
	if a.HasApp {
		b = codec.AppendAnswerApp(b, a.App)
	}
	if a.End != nil {
		b = codec.AppendAnswerEnd(b, *a.End)
	}
	return b
}

// Frames: what decodes re-encodes to the bytes it came from.
func FuzzFrame(f *testing.F) {
	seeds(f)
	f.Add(codec.AppendFrame(nil, []byte("hello")))
	f.Add(codectest.Pack(bytes.Repeat([]byte("hello"), 100)))
	f.Fuzz(func(t *testing.T, in []byte) {
		const most = 1 << 20
		if b, err := codec.ReadFrame(bufio.NewReader(bytes.NewReader(in)), most); err == nil {
			if got := codec.AppendFrame(nil, b); !bytes.HasPrefix(in, got) {
				t.Fatalf("frame %x is no prefix of %x", got, in)
			}
		}
		if b, err := codectest.Unpack(bufio.NewReader(bytes.NewReader(in)), most); err == nil {
			again, err := codectest.Unpack(bufio.NewReader(bytes.NewReader(codectest.Pack(b))), most)
			if err != nil || !bytes.Equal(again, b) {
				t.Fatalf("packed: %v", err)
			}
		}
	})
}

func FuzzSnappy(f *testing.F) {
	seeds(f)
	f.Add(codec.Compress(nil, bytes.Repeat([]byte("hello"), 1000)))
	f.Fuzz(func(t *testing.T, in []byte) {
		const most = 1 << 20
		out, err := codec.Decompress(in, most)
		if err != nil {
			return
		}
		if len(out) > most || len(out) > 22*len(in)+64 {
			t.Fatalf("%d bytes out of %d", len(out), len(in))
		}
		again, err := codec.Decompress(codec.Compress([]byte("head"), out)[4:], most)
		if err != nil || !bytes.Equal(out, again) {
			t.Fatalf("round trip: %v", err)
		}
	})
}

// For any input, decoders allocate in proportion to it.
func TestDecodersAllocateInProportion(t *testing.T) {
	inputs := map[string][]byte{
		"empty blocks":  bytes.Repeat([]byte{0x12, 0}, 500_000),
		"empty headers": bytes.Repeat([]byte{0x0a, 0}, 500_000),
		"tiny txs":      bytes.Repeat([]byte{0x22, 1, 7}, 300_000),
		"tiny bundle":   bytes.Repeat([]byte{0x0a, 1, 7}, 300_000),
		"addrs":         bytes.Repeat([]byte{0x2a, 6, 0x0a, 1, 'a', 0x12, 1, 'b'}, 100_000),
		"groups":        bytes.Repeat([]byte{0x0b}, 1_000_000),
		"unknown":       bytes.Repeat([]byte{0xf8, 0x07, 1}, 300_000),
		"least headers": bytes.Repeat(codec.AppendAnswerHeader(nil, chain.Header{Ref: chain.Ref{Hash: hash(1)}}), 4096),
		"least blocks":  bytes.Repeat(codec.AppendAnswerBlock(nil, chain.Block{Header: chain.Header{Ref: chain.Ref{Hash: hash(1)}}}), 4096),
		"many blocks":   bytes.Repeat(codec.AppendAnswerBlock(nil, chain.Block{Header: chain.Header{Ref: chain.Ref{Hash: hash(1)}}}), 40960),
	}
	for name, in := range inputs {
		for _, decode := range []func(){
			func() { codec.DecodeAnswer(in, new(codec.Answer)) },
			func() { codec.DecodeTxBundle(in) },
			func() { codec.DecodeRequest(in) },
			func() { codec.DecodeStatus(in) },
			func() { codec.DecodeGoodbye(in) },
			func() { codec.DecodeBlock(in) },
		} {
			if got, most := codectest.Allocated(decode), uint64(22*len(in)+64<<10); got > most {
				t.Errorf("%s: %d bytes allocated for %d", name, got, len(in))
			}
		}
	}
}
