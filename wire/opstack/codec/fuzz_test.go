package codec_test

import (
	"bytes"
	"testing"

	"github.com/ethereum/go-ethereum/rlp"

	"github.com/starlingp2p/starling/chain"
	starling "github.com/starlingp2p/starling/wire/internal/codec"
	"github.com/starlingp2p/starling/wire/opstack/codec"
)

// FuzzEnvelope checks that whatever decodes encodes to the bytes that it came
// from, and that decoding takes no memory that depends on them. Threats M-03 and
// M-04.
func FuzzEnvelope(f *testing.F) {
	vs, _ := golden(f)
	for _, v := range vs {
		f.Add(byte(v.version), v.envelope())
	}
	f.Fuzz(func(t *testing.T, version byte, in []byte) {
		v := codec.Version(version%4 + 1)
		var e *codec.Envelope
		var err error
		if n := allocated(func() { e, err = codec.DecodeEnvelope(in, v) }); n > 64<<10 {
			t.Fatalf("%d bytes allocated for %d", n, len(in))
		}
		if err != nil {
			return
		}
		if e.Version == codec.V4 && e.WithdrawalsRoot == codec.EmptyRoot {
			return
		}
		if got := codec.AppendEnvelope(nil, e); !bytes.Equal(got, in) || e.Size() != len(in) {
			t.Fatalf("encodes to %d other bytes, Size %d, of %d", len(got), e.Size(), len(in))
		}
		b, err := e.Block(nil)
		if err != nil {
			return
		}
		if back, _, err := codec.ParseHeader(b.Header.Bytes); err == nil && back.Number != e.Number {
			t.Fatal("the header has another number")
		}
	})
}

// FuzzHeader checks that whatever parses is written back.
func FuzzHeader(f *testing.F) {
	vs, _ := golden(f)
	for _, v := range vs {
		e, err := codec.DecodeEnvelope(v.envelope(), v.version)
		if err != nil {
			f.Fatal(err)
		}
		b, err := e.Block(nil)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b.Header.Bytes)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		e, root, err := codec.ParseHeader(in)
		if err != nil {
			return
		}
		if e.Version != codec.V4 && e.Version != codec.V1 && e.WithdrawalsRoot != codec.EmptyRoot {
			return // of withdrawals that are not there
		}
		if got := codec.AppendHeader(nil, e, root); !bytes.Equal(got, in) {
			t.Fatalf("written back as %x", got)
		}
	})
}

// FuzzAnswer checks that an answer takes no more memory than its bytes allow.
// Threat M-03.
func FuzzAnswer(f *testing.F) {
	vs, _ := golden(f)
	for _, v := range vs {
		e, err := codec.DecodeEnvelope(v.envelope(), v.version)
		if err != nil {
			f.Fatal(err)
		}
		var w bytes.Buffer
		if err := codec.WriteAnswer(&w, e); err != nil {
			f.Fatal(err)
		}
		f.Add(byte(v.version), w.Bytes())
	}
	f.Add(byte(1), []byte{1})
	f.Fuzz(func(t *testing.T, version byte, in []byte) {
		var e *codec.Envelope
		n := allocated(func() {
			_, e, _ = codec.ReadAnswer(bytes.NewReader(in), func(bool) codec.Version { return codec.Version(version%4 + 1) })
		})
		if most := uint64(64*len(in) + 512<<10); n > most {
			t.Fatalf("%d bytes allocated for %d", n, len(in))
		}
		if e != nil && e.Size() > codec.MaxMessage {
			t.Fatalf("%d bytes", e.Size())
		}
	})
}

// FuzzRecordEntry checks that no entry of a node record does harm.
func FuzzRecordEntry(f *testing.F) {
	f.Add([]byte{0x82, 0x0a, 0})
	f.Add([]byte{0x83, 0x85, 0x42, 0})
	f.Fuzz(func(t *testing.T, in []byte) {
		var e codec.ENREntry
		if rlp.DecodeBytes(in, &e) != nil {
			return
		}
		again, err := rlp.EncodeToBytes(e)
		if err != nil {
			t.Fatal(err)
		}
		var back codec.ENREntry
		if err := rlp.DecodeBytes(again, &back); err != nil || back != e {
			t.Fatalf("%+v decodes to %+v, %v", e, back, err)
		}
	})
}

// FuzzRange checks that the blocks of an answer between Starlings that are taken
// are what they say, in the order that was asked for.
func FuzzRange(f *testing.F) {
	for number := range uint64(3) {
		e, err := codec.Draft{Version: codec.V4, Parent: chain.Ref{Number: number}, Txs: [][]byte{{1, 2, 3}}}.Envelope()
		if err != nil {
			f.Fatal(err)
		}
		b, err := e.Block(nil)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(starling.AppendAnswerBlock(nil, b), number%2 == 0)
	}
	f.Fuzz(func(t *testing.T, in []byte, reverse bool) {
		var a starling.Answer
		if starling.DecodeAnswer(in, &a) != nil {
			return
		}
		rg := chain.Range{From: chain.Ref{Number: 1}, Count: 256, Reverse: reverse}
		good, err := codec.CheckRange(rg, a.Blocks)
		if (err == nil) != (good == len(a.Blocks)) {
			t.Fatalf("%d of %d blocks are good, and the error is %v", good, len(a.Blocks), err)
		}
		for i, b := range a.Blocks[:good] {
			want := 1 + uint64(i)
			if reverse {
				want = 1 - uint64(i)
			}
			if b.Header.Ref.Number != want || codec.HeaderHash(b.Header.Bytes) != b.Header.Ref.Hash {
				t.Fatalf("block %d is taken for %v", want, b.Ref())
			}
		}
	})
}
