package codec_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/internal/codec"
	"github.com/starlingp2p/starling/wire/internal/codec/codectest"
	"github.com/starlingp2p/starling/wire/wiretest"
)

func reader(b []byte) *bufio.Reader { return bufio.NewReader(bytes.NewReader(b)) }

// M-03: a length that cannot be is refused before anything is taken for it.
func TestImpossibleLengthsCostNothing(t *testing.T) {
	for name, in := range map[string][]byte{
		"2^28-1":             {0xff, 0xff, 0xff, 0x7f},
		"2^32-1":             {0xff, 0xff, 0xff, 0xff, 0x0f},
		"2^64-1":             {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01},
		"10 bytes and more":  bytes.Repeat([]byte{0x80}, 11),
		"cap and one":        binary.AppendUvarint(nil, codec.MaxFrame+1),
		"not minimal":        {0x85, 0x00},
		"zero, not minimal":  {0x80, 0x00},
		"zero in four bytes": {0x80, 0x80, 0x80, 0x00},
	} {
		r := bytes.NewReader(in)
		br := bufio.NewReader(r)
		var err error
		got := codectest.Allocated(func() {
			r.Reset(in)
			br.Reset(r)
			_, err = codec.ReadFrame(br, codec.MaxFrame)
		})
		if wiretest.OffenseOf(err) != peer.BadFrame || got > 1<<10 {
			t.Errorf("%s: %v, %d bytes allocated", name, err, got)
		}
	}
}

// A length within the cap costs what has arrived, not what it claims.
func TestMemoryIsTakenAsBytesArrive(t *testing.T) {
	for _, arrived := range []int{0, 1, 64 << 10, 65<<10 + 1, 1 << 20} {
		in := append(binary.AppendUvarint(nil, 10<<20), make([]byte, arrived)...)
		r := bytes.NewReader(in)
		br := bufio.NewReader(r)
		var err error
		got := codectest.Allocated(func() {
			r.Reset(in)
			br.Reset(r)
			_, err = codec.ReadFrame(br, codec.MaxFrame)
		})
		if most := uint64(6*arrived + 66<<10); wiretest.OffenseOf(err) != peer.TruncatedFrame || got > most {
			t.Errorf("%d bytes arrived: %v, %d allocated", arrived, err, got)
		}
	}
}

func TestFramesOfEverySizePass(t *testing.T) {
	for _, n := range []int{0, 1, 127, 128, 16383, 16384, 64 << 10, 64<<10 + 1, 256 << 10, 256<<10 + 1, 1<<20 + 7, 10 << 20} {
		payload := make([]byte, n)
		for i := range payload {
			payload[i] = byte(i * i >> 3)
		}
		frame := codec.AppendFrame(nil, payload)
		if len(frame) != codec.FrameSize(n) {
			t.Errorf("FrameSize(%d) = %d, want %d", n, codec.FrameSize(n), len(frame))
		}
		got, err := codec.ReadFrame(reader(frame), 10<<20)
		if err != nil || !bytes.Equal(got, payload) {
			t.Errorf("%d bytes: %v", n, err)
		}
		if n == 0 {
			continue
		}
		if _, err := codec.ReadFrame(reader(frame), n-1); wiretest.OffenseOf(err) != peer.BadFrame {
			t.Errorf("%d bytes against a cap of %d: %v", n, n-1, err)
		}
	}
}

// M-02: every cut of a frame is a truncation, but nothing at all is an end.
func TestCutFramesAreTruncated(t *testing.T) {
	frame := codec.AppendFrame(nil, make([]byte, 300))
	for n := range frame {
		_, err := codec.ReadFrame(reader(frame[:n]), 1<<10)
		if n == 0 && err != io.EOF || n > 0 && wiretest.OffenseOf(err) != peer.TruncatedFrame {
			t.Errorf("after %d bytes: %v", n, err)
		}
	}
	packed := codectest.Pack(bytes.Repeat([]byte("hello"), 100))
	for n := 1; n < len(packed); n++ {
		if _, err := codectest.Unpack(reader(packed[:n]), 1<<10); wiretest.OffenseOf(err) != peer.TruncatedFrame {
			t.Errorf("packed, after %d bytes: %v", n, err)
		}
	}
}

// lost gives some bytes and then the error of a connection that was lost, as
// yamux words it.
type lost struct{ left []byte }

func (l *lost) Read(p []byte) (int, error) {
	if len(l.left) == 0 {
		return 0, fmt.Errorf("stream reset: connection closed: %w", io.EOF)
	}
	n := copy(p, l.left)
	l.left = l.left[n:]
	return n, nil
}

// A peer that is killed in the middle of a frame has done nothing wrong.
func TestLostConnectionsAreNoFault(t *testing.T) {
	frame := codec.AppendFrame(nil, make([]byte, 300<<10))
	for _, n := range []int{1, 2, 3, 100, 64 << 10, 100 << 10} {
		if _, err := codec.ReadFrame(bufio.NewReader(&lost{frame[:n]}), 1<<20); err == nil || wiretest.OffenseOf(err) != "" {
			t.Errorf("after %d bytes: %v, want no fault", n, err)
		}
	}
}

// B-01: what a snappy block claims is checked before memory is taken.
func TestSnappyBombsAreRefusedByTheirHeader(t *testing.T) {
	for name, tt := range map[string]struct {
		in   []byte
		want peer.Offense
	}{
		"2^32-1":           {[]byte{0xff, 0xff, 0xff, 0xff, 0x0f}, peer.Bomb},
		"10 MiB and 1":     {binary.AppendUvarint(nil, 10<<20+1), peer.Bomb},
		"10 MiB of nought": {append(binary.AppendUvarint(nil, 10<<20), 0, 0), peer.Bomb},
		"2^63":             {binary.AppendUvarint(nil, 1<<63), peer.BadEncoding},
		"no header":        {nil, peer.BadEncoding},
	} {
		var err error
		if got := codectest.Allocated(func() { _, err = codec.Decompress(tt.in, 10<<20) }); wiretest.OffenseOf(err) != tt.want || got > 1<<10 {
			t.Errorf("%s: %v, %d bytes allocated", name, err, got)
		}
	}
	// B-02: what decodes to more than it claims is refused, and vice versa.
	good := codec.Compress(nil, make([]byte, 1000))
	for _, claim := range []uint64{999, 1001} {
		_, n := binary.Uvarint(good)
		bad := append(binary.AppendUvarint(nil, claim), good[n:]...)
		if _, err := codec.Decompress(bad, 10<<20); wiretest.OffenseOf(err) != peer.BadEncoding {
			t.Errorf("claim of %d: %v", claim, err)
		}
	}
	// S2's own extension is no snappy: it would let two readers differ.
	if _, err := codec.Decompress([]byte{8, 0x0c, 'a', 'b', 'c', 'd', 0x01, 0x00}, 100); wiretest.OffenseOf(err) != peer.BadEncoding {
		t.Errorf("repeat offset: %v", err)
	}
}

// B-06: a buffer that grew for one large message is not kept.
func TestLargeBuffersAreNotPooled(t *testing.T) {
	b := codec.TakeBuffer()
	b.B = make([]byte, 1<<20+1)
	if b.Free() {
		t.Error("kept over 1 MiB")
	}
	b = codec.TakeBuffer()
	b.B = make([]byte, 1<<20)
	if !b.Free() {
		t.Error("did not keep 1 MiB")
	}
}

// M-04, M-07, M-08: encodings that protobuf might bear, and we do not.
func TestLooseEncodingsAreRefused(t *testing.T) {
	status := codec.AppendStatus(nil, exampleStatus)
	header := codec.AppendHeader(nil, exampleHeader)
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	tests := []struct {
		name   string
		decode func([]byte) error
		in     []byte
	}{
		{"a field twice", decodeStatus, join(status, []byte{0x08, 1})},
		{"a message twice", decodeStatus, join(status, []byte{0x22, 0})},
		{"another wire type", decodeStatus, join(status[2:], []byte{0x0a, 1, 1})},
		{"a group", decodeStatus, join(status, []byte{0xa3, 0x06, 0xa4, 0x06})},
		{"groups, deep", decodeStatus, join(status, bytes.Repeat([]byte{0xa3, 0x06}, 1000))},
		{"field number 0", decodeStatus, join(status, []byte{0x00, 1})},
		{"cut", decodeStatus, status[:len(status)-1]},
		{"no genesis", decodeStatus, []byte{0x08, 1}},
		{"weight of 33 bytes", decodeStatus, join(codec.AppendStatus(nil, codec.Status{Chain: chain.Status{Genesis: hash(1)}}), []byte{0x42, 33}, bytes.Repeat([]byte{1}, 33))},
		{"weight with a leading zero", decodeStatus, join(codec.AppendStatus(nil, codec.Status{Chain: chain.Status{Genesis: hash(1)}}), []byte{0x42, 2, 0, 1})},
		{"network of 65 bytes", decodeStatus, join(codec.AppendStatus(nil, codec.Status{Chain: chain.Status{Genesis: hash(1)}}), []byte{0x12, 65}, bytes.Repeat([]byte{'a'}, 65))},
		{"network not clean", decodeStatus, join(codec.AppendStatus(nil, codec.Status{Chain: chain.Status{Genesis: hash(1)}}), []byte{0x12, 1, '\n'})},
		{"version of 33 bits", decodeStatus, join(codec.AppendStatus(nil, codec.Status{Chain: chain.Status{Genesis: hash(1)}}), []byte{0x08, 0x80, 0x80, 0x80, 0x80, 0x10})},
		{"hash of 31 bytes", decodeHeader, join([]byte{0x12, 31}, make([]byte, 31))},
		{"no hash", decodeHeader, []byte{0x08, 1}},
		{"time after 9999", decodeHeader, join(header[:74], []byte{0x20, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01})},
		{"nanoseconds over a second", decodeHeader, join([]byte{0x12, 32}, hashBytes(1), []byte{0x28, 0x80, 0x94, 0xeb, 0xdc, 0x03})},
		{"length past the end", decodeHeader, []byte{0x32, 0xff, 0xff, 0xff, 0xff, 0x0f}},
		{"block without a header", decodeBlock, []byte{0x12, 1, 1}},
		{"empty transaction", decodeBundle, []byte{0x0a, 0}},
		{"over 512 transactions", decodeBundle, bytes.Repeat([]byte{0x0a, 1, 7}, 513)},
		{"answer of over 4096 items", decodeAnswer, bytes.Repeat([]byte{0x22, 1, 7}, 4097)},
		{"two application answers", decodeAnswer, []byte{0x32, 1, 1, 0x32, 1, 1}},
		{"two ends", decodeAnswer, []byte{0x7a, 0, 0x7a, 0}},
		{"address without a scheme", decodeAnswer, []byte{0x2a, 3, 0x12, 1, 'a'}},
		{"bool of 2", decodeRequest, []byte{0x0a, 2, 0x28, 2}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := tt.decode(tt.in); wiretest.OffenseOf(err) != peer.BadEncoding {
				t.Errorf("decoded with %v, want %s", err, peer.BadEncoding)
			}
		})
	}
	var a codec.Answer
	if err := codec.DecodeAnswer([]byte{0x7a, 0}, &a); err != nil {
		t.Fatal(err)
	}
	if err := codec.DecodeAnswer(nil, &a); wiretest.OffenseOf(err) != peer.BadEncoding {
		t.Errorf("a frame after the end: %v", err)
	}
}

func hashBytes(first byte) []byte  { h := hash(first); return h[:] }
func decodeStatus(b []byte) error  { _, err := codec.DecodeStatus(b); return err }
func decodeHeader(b []byte) error  { _, err := codec.DecodeHeader(b); return err }
func decodeBlock(b []byte) error   { _, err := codec.DecodeBlock(b); return err }
func decodeBundle(b []byte) error  { _, err := codec.DecodeTxBundle(b); return err }
func decodeRequest(b []byte) error { _, err := codec.DecodeRequest(b); return err }
func decodeAnswer(b []byte) error  { return codec.DecodeAnswer(b, new(codec.Answer)) }
func oversized(n int) []byte       { return make([]byte, n) }
func isBadFrame(err error) bool    { return wiretest.OffenseOf(err) == peer.BadFrame }
func unknownFields(b []byte) []byte {
	return append(b, 0xf8, 0x07, 1, 0xfa, 0x07, 2, 9, 9, 0xf9, 0x07, 1, 2, 3, 4, 5, 6, 7, 8, 0xfd, 0x07, 1, 2, 3, 4)
}

// A later minor's fields and bits are ignored.
func TestUnknownFieldsAreIgnored(t *testing.T) {
	for _, s := range samples(t) {
		if s.name == "gossip-block" {
			continue
		}
		if _, err := s.decode(unknownFields(bytes.Clone(s.bytes))); err != nil {
			t.Errorf("%s: %v", s.name, err)
		}
	}
	later := exampleStatus
	later.Capabilities = 1<<63 | codec.ServesBlocks
	if got, err := codec.DecodeStatus(codec.AppendStatus(nil, later)); err != nil || got.Capabilities != later.Capabilities {
		t.Errorf("unknown capabilities: %+v, %v", got, err)
	}
	if r, err := codec.DecodeRequest([]byte{0x42, 0, 0x70, 5}); err != nil || r.Ask != nil || r.AnswerMax != 5 {
		t.Errorf("unknown kind: %+v, %v", r, err)
	}
}

func TestMessagesOverTheirCapAreRefused(t *testing.T) {
	if err := decodeStatus(oversized(codec.MaxStatus + 1)); !isBadFrame(err) {
		t.Error(err)
	}
	if _, err := codec.DecodeGoodbye(oversized(codec.MaxGoodbye + 1)); !isBadFrame(err) {
		t.Error(err)
	}
	if err := decodeRequest(oversized(codec.MaxRequest + 1)); !isBadFrame(err) {
		t.Error(err)
	}
	if err := decodeBundle(oversized(codec.MaxTxBundle + 1)); !isBadFrame(err) {
		t.Error(err)
	}
	for _, r := range []wire.Request{
		wire.AppRequest{Bytes: oversized(codec.MaxApp + 1)},
		wire.AppRequest{Protocol: strings.Repeat("a", 65)},
		wire.GetTxs{Hashes: make([]chain.Hash, 40000)},
	} {
		if _, err := codec.AppendRequest(nil, codec.Request{Ask: r}); !errors.Is(err, wire.ErrTooLarge) {
			t.Errorf("AppendRequest = %v, want ErrTooLarge", err)
		}
	}
	if _, err := codec.AppendRequest(nil, codec.Request{Ask: wire.GetReceipts{}}); !errors.Is(err, wire.ErrUnsupported) {
		t.Errorf("AppendRequest = %v, want ErrUnsupported", err)
	}
}

// M-05: counts saturate, they never wrap.
func TestCountsSaturate(t *testing.T) {
	huge := binary.AppendUvarint([]byte{0x18}, 1<<64-1)
	huge = append(append(huge, 0x20), binary.AppendUvarint(nil, 1<<63)...)
	huge = append(append(huge, 0x30), binary.AppendUvarint(nil, 1<<31)...)
	r, err := codec.DecodeRequest(append([]byte{0x12, byte(len(huge))}, huge...))
	got := r.Ask.(wire.GetBlocks).Range
	if err != nil || got.Count != 1<<31-1 || got.Skip != 1<<31-1 || got.MaxBytes != 1<<31-1 {
		t.Errorf("range = %+v, %v", got, err)
	}
}

// M-11: text of a remote is cut and cleaned, and costs nobody anything.
func TestRemoteTextIsCleaned(t *testing.T) {
	s := codec.Status{Chain: chain.Status{Genesis: hash(1)}, Agent: "evil\x1b[31m\xff" + strings.Repeat("x", 500)}
	got, err := codec.DecodeStatus(codec.AppendStatus(nil, s))
	if err != nil || len(got.Agent) > codec.MaxAgent || strings.Contains(got.Agent, "\x1b") || strings.Contains(got.Agent, "\xff") {
		t.Errorf("agent = %q, %v", got.Agent, err)
	}
	e := codec.End{Code: wire.RefusedLimit, Limit: strings.Repeat("l", 100), Text: "no\nway", RetryAfter: 1500 * time.Microsecond}
	var a codec.Answer
	if err := codec.DecodeAnswer(codec.AppendAnswerEnd(nil, e), &a); err != nil || len(a.End.Limit) != codec.MaxName || a.End.Text != "no?way" || a.End.RetryAfter != 2*time.Millisecond {
		t.Errorf("end = %+v, %v", a.End, err)
	}
}

// Every reason that a goodbye can carry comes back as itself.
func TestGoodbyeCodesAreOneToOne(t *testing.T) {
	for code := range uint32(30) {
		if r := codec.GoodbyeReason(code); codec.GoodbyeCode(r) != code {
			t.Errorf("code %d is %s is code %d", code, r, codec.GoodbyeCode(r))
		}
	}
	for _, code := range []uint32{0, 30, 1 << 31} {
		if r := codec.GoodbyeReason(code); r != peer.ByRemote {
			t.Errorf("code %d is %s", code, r)
		}
	}
}

func TestBundlesKeepTheirBounds(t *testing.T) {
	tx := func(n int) chain.Tx { return chain.Tx{Bytes: make([]byte, n)} }
	for _, tt := range []struct {
		txs  []chain.Tx
		most int
		want int
	}{
		{nil, 0, 0},
		{[]chain.Tx{tx(10), tx(10), tx(10)}, 0, 3},
		{[]chain.Tx{tx(10), tx(10), tx(10)}, 24, 2},
		{[]chain.Tx{tx(1 << 20)}, 0, 0},
		{[]chain.Tx{tx(1<<20 - 4), tx(1)}, 1 << 30, 1},
	} {
		if got := codec.NextBundle(tt.txs, tt.most); got != tt.want {
			t.Errorf("NextBundle(%d txs, %d) = %d, want %d", len(tt.txs), tt.most, got, tt.want)
		}
	}
	many := make([]chain.Tx, 5000)
	for i := range many {
		many[i] = tx(1)
	}
	n := codec.NextBundle(many, 0)
	if err := decodeBundle(codec.AppendTxBundle(nil, many[:n])); n != codec.MaxTxs || err != nil {
		t.Errorf("%d transactions in a bundle: %v", n, err)
	}
}
