package codec_test

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/internal/codec"
	"github.com/starlingp2p/starling/wire/internal/codec/codectest"
)

// sample is one message: how it is written, and how it reads.
type sample struct {
	name   string
	bytes  []byte
	decode func([]byte) (any, error)
	value  any
}

func hash(first byte) chain.Hash {
	var h chain.Hash
	for i := range h {
		h[i] = first + byte(i)
	}
	return h
}

var (
	exampleHeader = chain.Header{
		Ref: chain.Ref{Number: 300, Hash: hash(0x10)}, Parent: hash(0x40),
		Time: time.Date(2026, 1, 2, 3, 4, 5, 6e6, time.UTC), Bytes: []byte("header"),
	}
	exampleBlock  = chain.Block{Header: exampleHeader, Body: []byte("body"), Extra: []byte("extra")}
	exampleStatus = codec.Status{
		Version: codec.Version,
		Chain: chain.Status{
			Network: "testnet", Genesis: hash(0x80), Head: chain.Ref{Number: 300, Hash: hash(0x10)},
			Finalized: chain.Ref{Number: 290, Hash: hash(0x20)}, Earliest: 1, Weight: chain.WeightOf(300),
		},
		Time: 1767323045006, Capabilities: codec.KnownCapsBits, Agent: "starling/0.1.0",
		AnswerMax: 10 << 20, ServeRate: 32 << 20, ServeBurst: 64 << 20,
	}
)

func request(t testing.TB, r codec.Request) []byte {
	t.Helper()
	b, err := codec.AppendRequest(nil, r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func samples(t testing.TB) []sample {
	decodeRequest := func(b []byte) (any, error) { return codec.DecodeRequest(b) }
	decodeAnswer := func(b []byte) (any, error) {
		var a codec.Answer
		err := codec.DecodeAnswer(b, &a)
		return a, err
	}
	ask := func(name string, r wire.Request) sample {
		full := codec.Request{Ask: r, AnswerMax: 10 << 20, AckEvery: 32 << 10}
		return sample{name, request(t, full), decodeRequest, full}
	}
	answer := func(name string, b []byte, a codec.Answer) sample { return sample{name, b, decodeAnswer, a} }
	rng := chain.Range{From: chain.Ref{Number: 7, Hash: hash(0x10)}, Count: 16, Skip: 1, Reverse: true, MaxBytes: 1 << 20}
	goodbye := codec.Goodbye{Reason: peer.WrongGenesis, Detail: "want 0x80"}
	end := codec.End{Code: wire.RefusedLimit, Limit: "peer-bytes", RetryAfter: 1500 * time.Millisecond, Text: "slow down"}
	addr := peer.Addr{Scheme: "multiaddr", Text: "/ip4/192.0.2.1/tcp/4001"}
	body := wire.Body{Body: []byte("body"), Extra: []byte("extra")}
	return []sample{
		{"status", codec.AppendStatus(nil, exampleStatus), func(b []byte) (any, error) { return codec.DecodeStatus(b) }, exampleStatus},
		{"goodbye", codec.AppendGoodbye(nil, goodbye), func(b []byte) (any, error) { return codec.DecodeGoodbye(b) }, goodbye},
		{"header", codec.AppendHeader(nil, exampleHeader), func(b []byte) (any, error) { return codec.DecodeHeader(b) }, exampleHeader},
		{"block", codec.AppendBlock(nil, exampleBlock), func(b []byte) (any, error) { return codec.DecodeBlock(b) }, exampleBlock},
		{"gossip-block", codec.AppendGossipBlock(nil, exampleBlock), decodeGossipBlock, exampleBlock},
		{
			"tx-bundle", codec.AppendTxBundle(nil, []chain.Tx{{Bytes: []byte("tx1")}, {Bytes: []byte("tx2")}}),
			func(b []byte) (any, error) { return codec.DecodeTxBundle(b) },
			[]chain.Tx{{Bytes: []byte("tx1")}, {Bytes: []byte("tx2")}},
		},
		ask("request-headers", wire.GetHeaders{Range: rng}),
		ask("request-blocks", wire.GetBlocks{Range: chain.Range{From: chain.Ref{Number: 1}, Count: 128}}),
		ask("request-bodies", wire.GetBodies{Hashes: []chain.Hash{hash(1), hash(2)}}),
		ask("request-blocks-by-hash", wire.GetBlocksByHash{Hashes: []chain.Hash{hash(3)}}),
		ask("request-txs", wire.GetTxs{Hashes: []chain.Hash{hash(4)}}),
		ask("request-addrs", wire.GetAddrs{Max: 16}),
		ask("request-app", wire.AppRequest{Protocol: "echo", Bytes: []byte("hello")}),
		answer("answer-headers", codec.AppendAnswerHeader(nil, exampleHeader), codec.Answer{Headers: []chain.Header{exampleHeader}}),
		answer("answer-blocks", codec.AppendAnswerBlock(nil, exampleBlock), codec.Answer{Blocks: []chain.Block{exampleBlock}}),
		answer("answer-bodies", codec.AppendAnswerBody(nil, hash(1), body), codec.Answer{Hashes: []chain.Hash{hash(1)}, Bodies: []wire.Body{body}}),
		answer("answer-txs", codec.AppendAnswerTx(nil, []byte("tx1")), codec.Answer{Txs: []chain.Tx{{Bytes: []byte("tx1")}}}),
		answer("answer-addrs", codec.AppendAnswerAddr(nil, addr), codec.Answer{Addrs: []peer.Addr{addr}}),
		answer("answer-app", codec.AppendAnswerApp(nil, []byte("hello")), codec.Answer{App: []byte("hello"), HasApp: true}),
		answer("answer-ok", codec.AppendAnswerEnd(nil, codec.End{}), codec.Answer{End: &codec.End{}}),
		answer("answer-limited", codec.AppendAnswerEnd(nil, end), codec.Answer{End: &end}),
	}
}

// decodeGossipBlock is what a wire does with gossip, without its bounds.
func decodeGossipBlock(b []byte) (any, error) {
	raw, err := codec.Decompress(b, codec.MaxBlock)
	if err != nil {
		return nil, err
	}
	return codec.DecodeBlock(raw)
}

func readGolden(t *testing.T) map[string][]byte {
	t.Helper()
	f, err := os.Open("testdata/golden.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	golden := map[string][]byte{}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		name, digits, ok := strings.Cut(lines.Text(), " ")
		if !ok || strings.HasPrefix(name, "#") {
			continue
		}
		b, err := hex.DecodeString(digits)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		golden[name] = b
	}
	return golden
}

// The bytes of the wire never change: a difference here is a new major.
func TestMessagesAreTheirGoldenBytes(t *testing.T) {
	golden := readGolden(t)
	for _, s := range samples(t) {
		// How a compressor writes a block is its own business.
		if s.name != "gossip-block" && !bytes.Equal(s.bytes, golden[s.name]) {
			t.Errorf("%s is now\n%s %x", s.name, s.name, s.bytes)
		}
		got, err := s.decode(golden[s.name])
		if err != nil {
			t.Errorf("%s: golden bytes do not decode: %v", s.name, err)
			continue
		}
		if diff := cmp.Diff(s.value, got); diff != "" {
			t.Errorf("%s reads differently (-want +got):\n%s", s.name, diff)
		}
		delete(golden, s.name)
	}
	framed := map[string][]byte{
		"frame":        codec.AppendFrame(nil, []byte("hello")),
		"packed-plain": codectest.Pack([]byte("hello")),
		"message-id":   []byte(codec.MessageID("/starling/8081828384858687/tx/1", []byte("hello"))),
	}
	for name, b := range framed {
		if !bytes.Equal(b, golden[name]) {
			t.Errorf("%s is now\n%s %x", name, name, b)
		}
		delete(golden, name)
	}
	packed, err := codectest.Unpack(bufio.NewReader(bytes.NewReader(golden["packed-snappy"])), 300)
	if want := bytes.Repeat([]byte("hello "), 50); err != nil || !bytes.Equal(packed, want) {
		t.Errorf("packed-snappy = %q, %v", packed, err)
	}
	delete(golden, "packed-snappy")
	for name := range golden {
		t.Errorf("golden bytes %s have no test", name)
	}
}

func TestNamesCarryTheGenesis(t *testing.T) {
	n := codec.NamesOf(hash(0x80))
	app, err := n.App("chat.v2")
	want := codec.Names{
		Prefix: "/starling/8081828384858687", Block: "/starling/8081828384858687/block/1",
		Tx: "/starling/8081828384858687/tx/1", Consensus: "/starling/8081828384858687/consensus/1",
	}
	if err != nil || n != want || app != "/starling/8081828384858687/app/chat.v2/1" {
		t.Errorf("names = %+v, %q, %v", n, app, err)
	}
	if name, ok := n.AppName(app); !ok || name != "chat.v2" {
		t.Errorf("AppName = %q, %v", name, ok)
	}
	for _, bad := range []string{"", "A", "a/b", "a b", strings.Repeat("a", 65)} {
		if _, err := n.App(bad); err == nil {
			t.Errorf("App(%q) took it", bad)
		}
		if _, ok := n.AppName(n.Prefix + "/app/" + bad + "/1"); ok {
			t.Errorf("AppName took %q", bad)
		}
	}
}

// Equal payloads on two topics are two messages.
func TestMessageIDDependsOnTopicAndContent(t *testing.T) {
	ids := map[string]bool{}
	for _, m := range [][2]string{{"a", "bc"}, {"ab", "c"}, {"abc", ""}, {"", "abc"}} {
		id := codec.MessageID(m[0], []byte(m[1]))
		if len(id) != 20 || ids[id] {
			t.Errorf("MessageID(%q) = %x", m, id)
		}
		ids[id] = true
	}
}
