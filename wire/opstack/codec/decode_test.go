package codec_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"runtime"
	"testing"
	"testing/iotest"

	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/p2p/enr"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/klauspost/compress/s2"
	"pgregory.net/rapid"

	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire/opstack/codec"
	"github.com/starlingp2p/starling/wire/wiretest"
)

// made draws an envelope, whose hash is right.
func made(t *rapid.T) *codec.Envelope {
	r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
	fill := func(b []byte) {
		for i := range b {
			b[i] = byte(r.Uint32())
		}
	}
	e := new(codec.Envelope)
	e.Version = codec.Version(rapid.IntRange(1, 4).Draw(t, "version"))
	fill(e.ParentHash[:])
	fill(e.FeeRecipient[:])
	fill(e.StateRoot[:])
	fill(e.LogsBloom[:])
	fill(e.BaseFee[rapid.IntRange(0, 32).Draw(t, "zeros"):])
	e.Number, e.GasLimit, e.GasUsed, e.Time = r.Uint64(), r.Uint64(), r.Uint64()>>8, r.Uint64()>>30
	e.ExtraData = make([]byte, rapid.IntRange(0, 32).Draw(t, "extra"))
	fill(e.ExtraData)
	var txs [][]byte
	for range rapid.IntRange(0, 300).Draw(t, "txs") {
		tx := make([]byte, 1+r.IntN(400))
		fill(tx)
		txs = append(txs, tx)
	}
	e.Txs = codec.AppendTxs(nil, txs)
	if e.Version >= codec.V2 {
		e.Withdrawals = make([]byte, 44*rapid.IntRange(0, 16).Draw(t, "withdrawals"))
		fill(e.Withdrawals)
	}
	if e.Version >= codec.V3 {
		e.BlobGasUsed, e.ExcessBlobGas = r.Uint64(), r.Uint64()>>40
		fill(e.BeaconRoot[:])
	}
	if e.Version >= codec.V4 {
		e.Withdrawals = nil
		fill(e.WithdrawalsRoot[:])
	}
	root, err := codec.TxRoot(e.Txs)
	if err != nil {
		t.Fatal(err)
	}
	e.BlockHash = codec.HeaderHash(codec.AppendHeader(nil, e, root))
	return e
}

func TestWhatIsEncodedDecodes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := made(t)
		raw := codec.AppendEnvelope(nil, e)
		got, err := codec.DecodeEnvelope(raw, e.Version)
		if err != nil {
			t.Fatal(err)
		}
		if again := codec.AppendEnvelope(nil, got); !bytes.Equal(again, raw) {
			t.Fatal("another encoding")
		}
		sig := make([]byte, codec.SignatureSize)
		b, err := got.Block(sig)
		if err != nil {
			t.Fatal(err)
		}
		if !codec.CheckHash(b) {
			t.Fatal("CheckHash = false")
		}
		h := new(types.Header) // the execution layer's own
		if err := rlp.DecodeBytes(b.Header.Bytes, h); err != nil || h.Hash() != [32]byte(e.BlockHash) {
			t.Fatalf("go-ethereum reads the header with hash %v, %v; want %v", h.Hash(), err, e.BlockHash)
		}
		back, err := codec.EnvelopeOf(b)
		if err != nil {
			t.Fatal(err)
		}
		if again := codec.AppendEnvelope(nil, back); !bytes.Equal(again, raw) {
			t.Fatal("the block's envelope has another encoding")
		}
		var wire bytes.Buffer
		if err := codec.WriteAnswer(&wire, e); err != nil {
			t.Fatal(err)
		}
		res, ans, err := codec.ReadAnswer(iotest.OneByteReader(&wire), func(bool) codec.Version { return e.Version })
		if err != nil || res != codec.ResultOK || !bytes.Equal(codec.AppendEnvelope(nil, ans), raw) {
			t.Fatalf("answer: %v, %v", res, err)
		}
	})
}

// Threat M-07: offsets that overlap, leave gaps or point outside are refused,
// and so is every prefix of a payload (M-02).
func TestBadOffsetsAreRefused(t *testing.T) {
	vs, _ := golden(t)
	for _, v := range vs {
		good := v.envelope()
		p := 0
		if v.version.Enveloped() {
			p = 32
		}
		for n := range good {
			if _, err := codec.DecodeEnvelope(good[:n], v.version); n < p+508 && wiretest.OffenseOf(err) == "" {
				t.Fatalf("%s cut to %d bytes: %v", v.version, n, err)
			}
		}
		offsets := []int{436, 504}
		if v.version >= codec.V2 {
			offsets = append(offsets, 508)
		}
		for _, at := range offsets {
			old := binary.LittleEndian.Uint32(good[p+at:])
			for _, bad := range []uint32{0, 1, old - 1, old + 33, 1 << 31, 1<<32 - 1, uint32(len(good))} {
				b := bytes.Clone(good)
				binary.LittleEndian.PutUint32(b[p+at:], bad)
				e, err := codec.DecodeEnvelope(b, v.version)
				if err == nil && !bytes.Equal(codec.AppendEnvelope(nil, e), b) {
					t.Errorf("%s with offset %d at %d decodes to something else", v.version, bad, at)
				}
				if at == 436 && err == nil {
					t.Errorf("%s with extra data at %d decodes", v.version, bad)
				}
			}
		}
		for _, other := range codec.Versions {
			if e, err := codec.DecodeEnvelope(good, other); other != v.version && err == nil {
				t.Errorf("a %s decodes as %s: %+v", v.version, other, e.Number)
			}
		}
	}
}

func TestListsOfTransactionsAreChecked(t *testing.T) {
	le := binary.LittleEndian
	list := func(ns ...uint32) []byte {
		var b []byte
		for _, n := range ns {
			b = le.AppendUint32(b, n)
		}
		return b
	}
	tests := []struct {
		name string
		b    []byte
		ok   bool
	}{
		{"empty", nil, true},
		{"one", append(list(4), 0xaa), true},
		{"one that is empty", list(4), true},
		{"three bytes", []byte{4, 0, 0}, false},
		{"first offset 0", list(0), false},
		{"first offset odd", append(list(5), 1), false},
		{"first offset outside", list(8), false},
		{"falling", append(list(12, 14, 13), 1, 2, 3), false},
		{"outside", append(list(8, 12), 1), false},
		{"more than 2^20", append(make([]byte, 0, 4<<20+8), append(list(4<<20+4), make([]byte, 4<<20)...)...), false},
	}
	for _, tt := range tests {
		if err := codec.CheckTxs(tt.b); (err == nil) != tt.ok {
			t.Errorf("%s: %v, want good = %v", tt.name, err, tt.ok)
		}
	}
	if _, err := codec.TxRoot(list(4)); wiretest.OffenseOf(err) != peer.BadEncoding {
		t.Errorf("the root of a list with an empty transaction: %v", err)
	}
}

// Threat B-05: a list of a million tiny transactions is refused before a tree
// is built.
func TestManyTinyTransactionsAreRefused(t *testing.T) {
	txs := make([][]byte, codec.MaxTxs)
	for i := range txs {
		txs[i] = []byte{1}
	}
	b := codec.AppendTxs(nil, txs)
	if err := codec.CheckTxs(b); err != nil {
		t.Fatal(err)
	}
	if _, err := codec.TxRoot(b); wiretest.OffenseOf(err) != peer.BadEncoding {
		t.Errorf("TxRoot = %v, want a bad encoding", err)
	}
}

// allocated is what f takes of the heap, in bytes.
func allocated(f func()) uint64 {
	var a, b runtime.MemStats
	runtime.ReadMemStats(&a)
	f()
	runtime.ReadMemStats(&b)
	return b.TotalAlloc - a.TotalAlloc
}

// Threat B-01: a snappy block that claims more than it can hold, or more than
// the bound, is refused from its header.
func TestBombsAreRefusedFromTheirHeader(t *testing.T) {
	for _, claim := range []uint64{codec.MaxMessage + 1, 1<<32 - 1, codec.MaxMessage} {
		b := append(binary.AppendUvarint(nil, claim), make([]byte, 100)...)
		var err error
		if n := allocated(func() { _, err = codec.DecodedLen(b) }); n > 1<<10 {
			t.Errorf("claim of %d: %d bytes allocated", claim, n)
		}
		if wiretest.OffenseOf(err) != peer.Bomb {
			t.Errorf("claim of %d: %v, want %s", claim, err, peer.Bomb)
		}
	}
	if _, err := codec.DecodedLen([]byte{65, 0}); wiretest.OffenseOf(err) != peer.BadEncoding {
		t.Errorf("65 bytes: %v", err)
	}
	if _, err := codec.DecodedLen([]byte{0xff}); wiretest.OffenseOf(err) != peer.BadEncoding {
		t.Errorf("no header: %v", err)
	}
}

// endless repeats what it has for ever.
type endless struct {
	b  []byte
	at int
}

func (e *endless) Read(p []byte) (int, error) {
	n := copy(p, e.b[e.at:])
	e.at = (e.at + n) % len(e.b)
	return n, nil
}

// Threat B-02: framed snappy that never ends is cut at the bound, of decoded
// bytes and of compressed ones.
func TestEndlessAnswersAreCut(t *testing.T) {
	var frame bytes.Buffer
	z := s2.NewWriter(&frame, s2.WriterSnappyCompat(), s2.WriterConcurrency(1))
	z.Write(make([]byte, 64<<10))
	z.Close()
	magic, chunk := frame.Bytes()[:10], frame.Bytes()[10:]
	skipped := append([]byte{0xfe, 0xff, 0x3f, 0}, make([]byte, 0x3fff)...) // padding
	for name, c := range map[string][]byte{"decoded": chunk, "compressed": skipped} {
		in := io.MultiReader(bytes.NewReader([]byte{0, 0, 0, 0, 0}), bytes.NewReader(magic), &endless{b: c})
		var err error
		n := allocated(func() { _, _, err = codec.ReadAnswer(in, func(bool) codec.Version { return codec.V1 }) })
		if wiretest.OffenseOf(err) != peer.Bomb {
			t.Errorf("%s: %v, want %s", name, err, peer.Bomb)
		}
		if n > 4*codec.MaxMessage {
			t.Errorf("%s: %d bytes allocated", name, n)
		}
	}
}

func TestAnswersOfOneByte(t *testing.T) {
	for _, in := range [][]byte{{1}, {1, 0}, {2, 9, 9, 9, 9, 9}, {3}} { // Kona sends two
		res, e, err := codec.ReadAnswer(bytes.NewReader(in), nil)
		if err != nil || e != nil || res != codec.Result(in[0]) {
			t.Errorf("%x: %v, %v, %v", in, res, e, err)
		}
	}
	for _, in := range [][]byte{{}, {0}, {0, 1, 0}, {0, 2, 0, 0, 0}} {
		if _, _, err := codec.ReadAnswer(bytes.NewReader(in), nil); wiretest.OffenseOf(err) == "" {
			t.Errorf("%x: %v, want a fault", in, err)
		}
	}
	own := errors.New("line cut")
	if _, _, err := codec.ReadAnswer(iotest.ErrReader(own), nil); !errors.Is(err, own) || wiretest.OffenseOf(err) != "" {
		t.Errorf("a broken line: %v, want no fault", err)
	}
}

func TestRequests(t *testing.T) {
	raw := codec.AppendRequest(nil, 0x0102030405060708)
	if !bytes.Equal(raw, []byte{8, 7, 6, 5, 4, 3, 2, 1}) {
		t.Errorf("request %x", raw)
	}
	if n, err := codec.ReadRequest(bytes.NewReader(raw)); n != 0x0102030405060708 || err != nil {
		t.Errorf("ReadRequest = %x, %v", n, err)
	}
	if _, err := codec.ReadRequest(bytes.NewReader(raw[:7])); wiretest.OffenseOf(err) != peer.TruncatedFrame {
		t.Errorf("7 bytes: %v", err)
	}
}

func TestNames(t *testing.T) {
	if got := codec.Protocols(10); got != [2]string{"/opstack/req/payload_by_number/10/0", "/opstack/req/payload_by_number/10/0/"} {
		t.Errorf("Protocols = %v", got)
	}
	for p, want := range map[string]uint64{"/opstack/req/payload_by_number/10/0": 10, "/opstack/req/payload_by_number/8453/0/": 8453, "/opstack/req/payload_by_number/x/0": 0, "/ipfs/ping/1.0.0": 0, "/opstack/req/payload_by_number/10/1": 0} {
		if got, ok := codec.ProtocolChain(p); got != want || ok != (want != 0) {
			t.Errorf("ProtocolChain(%s) = %d, %v", p, got, ok)
		}
	}
	if got, want := codec.Topic(10, codec.V3), "/optimism/10/2/blocks"; got != want {
		t.Errorf("topic %s, want %s", got, want)
	}
}

func TestRecordEntries(t *testing.T) {
	for id, want := range map[uint64][]byte{10: {0x82, 0x0a, 0}, 8453: {0x83, 0x85, 0x42, 0}, 901: {0x83, 0x85, 0x07, 0}} {
		got, err := rlp.EncodeToBytes(codec.ENREntry{ChainID: id})
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("entry of %d = %x, %v; want %x", id, got, err, want)
		}
		var r enr.Record
		r.Set(codec.ENREntry{ChainID: id})
		if !codec.OnChain(&r, id) || codec.OnChain(&r, id+1) || codec.OnChain(new(enr.Record), id) {
			t.Errorf("OnChain of a record of %d", id)
		}
	}
	var e codec.ENREntry
	if err := rlp.DecodeBytes([]byte{0x83, 0x0a, 0, 0xff}, &e); err != nil || e.ChainID != 10 {
		t.Errorf("trailing bytes: %+v, %v; want them ignored", e, err)
	}
	for _, bad := range [][]byte{{0x80}, {0x81, 0x8a}, {0xc0}, {0x8b, 255, 255, 255, 255, 255, 255, 255, 255, 255, 2, 0}} {
		if err := rlp.DecodeBytes(bad, &e); err == nil {
			t.Errorf("%x decodes", bad)
		}
	}
}
