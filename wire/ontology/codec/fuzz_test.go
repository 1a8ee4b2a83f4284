package codec

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/netip"
	"reflect"
	"testing"

	"github.com/starlingp2p/starling/wire"
)

// appender is any message.
type appender interface{ Append([]byte) []byte }

// kinds are the decoders of all messages, each with an example. exact says that
// whatever decodes strictly encodes to the same bytes.
var kinds = []struct {
	cmd    Command
	exact  bool
	decode func([]byte, Dialect) (appender, error)
	sample appender
}{
	{CmdVersion, false, func(b []byte, _ Dialect) (appender, error) { return ap(DecodeVersion(b)) }, Version{Services: 2, Time: 1, SyncPort: 20338, ConsensusPort: 20339, Nonce: 7, Height: 9, Relay: true, Soft: "v2.5.9"}},
	{CmdVerAck, true, func(b []byte, d Dialect) (appender, error) { return ap(DecodeVerAck(b, d)) }, VerAck{Consensus: true}},
	{CmdAddr, false, func(b []byte, d Dialect) (appender, error) { return ap(DecodeAddr(b, d)) }, Addr{Addrs: []PeerAddr{{Services: 2, Addr: netip.MustParseAddr("203.0.113.7"), Port: 20338, Nonce: 3}}}},
	{CmdPing, true, func(b []byte, d Dialect) (appender, error) { return ap(DecodePing(b, d)) }, Ping{Height: 5}},
	{CmdPong, true, func(b []byte, d Dialect) (appender, error) { return ap(DecodePong(b, d)) }, Pong{Height: 5}},
	{CmdGetHeaders, false, func(b []byte, d Dialect) (appender, error) { return ap(DecodeGetHeaders(b, d)) }, GetHeaders{End: Hash{1}}},
	{CmdHeaders, true, func(b []byte, d Dialect) (appender, error) { return ap(DecodeHeaders(b, d)) }, Headers{Headers: []Header{sampleHeader(), sampleHeader()}}},
	{CmdInv, false, func(b []byte, d Dialect) (appender, error) { return ap(DecodeInv(b, d)) }, Inv{Kind: KindBlock, Hashes: []Hash{{1}, {2}}}},
	{CmdGetData, true, func(b []byte, d Dialect) (appender, error) { return ap(DecodeGetData(b, d)) }, GetData{Kind: KindTx, Hash: Hash{3}}},
	{CmdBlock, true, func(b []byte, d Dialect) (appender, error) { return ap(DecodeBlock(b, d)) }, sampleBlock()},
	{CmdTx, true, func(b []byte, d Dialect) (appender, error) { return ap(DecodeTx(b, d)) }, sampleTx(1)},
	{CmdConsensus, true, func(b []byte, d Dialect) (appender, error) { return ap(DecodeConsensus(b, d)) }, Consensus{Height: 4, Data: []byte{0x20, 1, 2}, Owner: make([]byte, 33), Sig: make([]byte, 64)}},
	{CmdNotFound, true, func(b []byte, d Dialect) (appender, error) { return ap(DecodeNotFound(b, d)) }, NotFound{Hash: Hash{4}}},
	{CmdUpdateKadID, true, func(b []byte, _ Dialect) (appender, error) { return ap(DecodeUpdateKadID(b)) }, UpdateKadID{Key: make([]byte, 33)}},
	{CmdFindNode, true, func(b []byte, _ Dialect) (appender, error) { return ap(DecodeFindNode(b)) }, FindNode{Target: PeerID{5}}},
	{CmdFindNodeAck, false, func(b []byte, _ Dialect) (appender, error) { return ap(DecodeFindNodeAck(b)) }, FindNodeAck{Found: true, Addr: netip.MustParseAddrPort("203.0.113.7:20338"), Closest: []Closest{{PeerID{6}, netip.MustParseAddrPort("203.0.113.8:1")}}}},
	{CmdGetMembers, true, func(b []byte, _ Dialect) (appender, error) { return ap(DecodeGetMembers(b)) }, GetMembers{From: PeerID{1}, Time: 1, Key: []byte{1}, Sig: []byte{2}}},
	{CmdMembers, false, func(b []byte, _ Dialect) (appender, error) { return ap(DecodeMembers(b)) }, Members{Members: []Member{{"02ab", netip.MustParseAddrPort("203.0.113.8:1")}}}},
	{CmdOffline, true, func(b []byte, _ Dialect) (appender, error) { return ap(DecodeOffline(b)) }, Offline{Time: 1, Nodes: [][]byte{{1}}, Proposer: []byte{2}, Sig: []byte{3}, Voters: []OfflineVote{{[]byte{1}, []byte{2}, []byte{3}}}}},
}

func ap[M appender](m M, err error) (appender, error) { return m, err }

func sampleHeader() Header {
	return Header{Height: 3, Time: 1530403201, Nonce: 9, Payload: []byte(`{"leader":1}`), Keys: [][]byte{make([]byte, 33)}, Sigs: [][]byte{make([]byte, 64)}}.Seal()
}

func sampleTx(nonce uint32) Tx {
	return Tx{Type: TxInvoke, Nonce: nonce, GasLimit: 20000, Code: []byte{0, 1, 2}, Sigs: []Sig{{[]byte{1}, []byte{2}}}}.Seal()
}

func sampleBlock() Block {
	deploy := Tx{Type: TxDeploy, Deploy: &Deploy{Code: []byte{9}, Flags: 1, Name: "n", Version: "1.0", Author: "a", Email: "e", Description: "d"}}.Seal()
	txs := []Tx{sampleTx(1), deploy, Tx{Type: TxEIP155, Code: []byte{0xc0}}.Seal()}
	h := sampleHeader()
	h.TxRoot = TxRoot([]Hash{txs[0].Hash, txs[1].Hash, txs[2].Hash})
	return Block{Header: h.Seal(), Txs: txs, Body: AppendBody(nil, txs), Trailer: append(bytes.Repeat([]byte{7}, 32), 0)}
}

// check is what holds for whatever decodes.
func check(t *testing.T, cmd Command, in []byte) {
	for _, k := range kinds {
		if k.cmd != cmd {
			continue
		}
		for _, d := range []Dialect{Strict, Lenient} {
			m, err := k.decode(in, d)
			if err != nil {
				var f *wire.Fault
				if !errors.As(err, &f) {
					t.Fatalf("%v: %v is no fault of the sender", cmd, err)
				}
				continue
			}
			out := m.Append(nil)
			if d == Strict && k.exact && !bytes.Equal(out, in) {
				t.Fatalf("%v: %x decodes, and encodes to %x", cmd, in, out)
			}
			if len(out) > len(in)+80 {
				t.Fatalf("%v: %d bytes became %d", cmd, len(in), len(out))
			}
			again, err := k.decode(out, d)
			if err != nil {
				t.Fatalf("%v: %x does not decode again: %v", cmd, out, err)
			}
			if !bytes.Equal(again.Append(nil), out) {
				t.Fatalf("%v: %x encodes to %x", cmd, out, again.Append(nil))
			}
		}
	}
}

func fuzz(f *testing.F, cmd Command) {
	for _, k := range kinds {
		if k.cmd == cmd {
			f.Add(k.sample.Append(nil))
		}
	}
	f.Fuzz(func(t *testing.T, in []byte) { check(t, cmd, in) })
}

func FuzzVersion(f *testing.F)     { fuzz(f, CmdVersion) }
func FuzzVerAck(f *testing.F)      { fuzz(f, CmdVerAck) }
func FuzzAddr(f *testing.F)        { fuzz(f, CmdAddr) }
func FuzzPing(f *testing.F)        { fuzz(f, CmdPing) }
func FuzzPong(f *testing.F)        { fuzz(f, CmdPong) }
func FuzzGetHeaders(f *testing.F)  { fuzz(f, CmdGetHeaders) }
func FuzzHeaders(f *testing.F)     { fuzz(f, CmdHeaders) }
func FuzzInv(f *testing.F)         { fuzz(f, CmdInv) }
func FuzzGetData(f *testing.F)     { fuzz(f, CmdGetData) }
func FuzzBlock(f *testing.F)       { fuzz(f, CmdBlock) }
func FuzzTx(f *testing.F)          { fuzz(f, CmdTx) }
func FuzzConsensus(f *testing.F)   { fuzz(f, CmdConsensus) }
func FuzzNotFound(f *testing.F)    { fuzz(f, CmdNotFound) }
func FuzzUpdateKadID(f *testing.F) { fuzz(f, CmdUpdateKadID) }
func FuzzFindNode(f *testing.F)    { fuzz(f, CmdFindNode) }
func FuzzFindNodeAck(f *testing.F) { fuzz(f, CmdFindNodeAck) }
func FuzzGetMembers(f *testing.F)  { fuzz(f, CmdGetMembers) }
func FuzzMembers(f *testing.F)     { fuzz(f, CmdMembers) }
func FuzzOffline(f *testing.F)     { fuzz(f, CmdOffline) }

// FuzzFrame reads headers: what passes has a size within its command's bound.
func FuzzFrame(f *testing.F) {
	for _, c := range Commands() {
		b, _ := AppendFrame(nil, MagicMain, c, []byte("payload"))
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		if len(in) < HeadSize {
			return
		}
		h, err := DecodeHead(in[:HeadSize], MagicMain)
		if err != nil {
			return
		}
		if h.Size < 0 || h.Size > h.Command.MaxPayload() {
			t.Fatalf("%q of %d bytes passed", h.Name, h.Size)
		}
		if body := in[HeadSize:]; h.Command != Unknown && len(body) == h.Size && h.Check(body) == nil {
			if again, err := AppendFrame(nil, MagicMain, h.Command, body); err != nil || !bytes.Equal(again, in) {
				t.Fatalf("%x became %x, %v", in, again, err)
			}
		}
	})
}

func TestEveryCommandHasADecoder(t *testing.T) {
	have := map[Command]bool{CmdGetAddr: true, CmdDisconnect: true, CmdGetBlocks: true}
	for _, k := range kinds {
		have[k.cmd] = true
	}
	for _, c := range Commands() {
		if !have[c] {
			t.Errorf("%s has none in the table", c)
		}
	}
}

// Threat M-02, M-07: a sample decodes to itself; cut at any length it is a
// fault; with a byte more it is one towards newer peers, and v1.0.0 ignores it.
func TestCutAndPaddedMessages(t *testing.T) {
	for _, k := range kinds {
		whole := k.sample.Append(nil)
		if k.cmd == CmdUpdateKadID {
			continue // no sample has the proof of work: see its own test
		}
		m, err := k.decode(whole, Strict)
		if err != nil || !bytes.Equal(m.Append(nil), whole) {
			t.Errorf("%s: %v", k.cmd, err)
			continue
		}
		for n := range len(whole) {
			_, err := k.decode(whole[:n], Strict)
			optional := k.cmd == CmdVersion && n >= 76 || k.cmd == CmdBlock && n == len(whole)-33
			if err == nil && !optional {
				t.Errorf("%s: %d of %d bytes decode", k.cmd, n, len(whole))
			}
		}
		more := append(bytes.Clone(whole), 0)
		if _, err := k.decode(more, Strict); err == nil && k.cmd != CmdVersion {
			t.Errorf("%s: a byte more is taken", k.cmd)
		}
		if got, err := k.decode(more, Lenient); !k.cmd.New() && (err != nil || !reflect.DeepEqual(got.Append(nil), whole) && k.cmd != CmdBlock) {
			t.Errorf("%s: a byte more is not ignored: %v", k.cmd, err)
		}
	}
}

// Threat M-04, M-05: a count beyond what follows is refused before anything is
// taken for it.
func TestCountsCostNothing(t *testing.T) {
	le := binary.LittleEndian
	header := sampleHeader().Raw
	unsigned := header[:len(header)-1-34-1-65]
	huge := func(b []byte) []byte {
		return append(bytes.Clone(b), 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f)
	}
	for _, tt := range []struct {
		name string
		cmd  Command
		in   []byte
	}{
		{"addresses", CmdAddr, le.AppendUint64(nil, 1<<63)},
		{"all addresses", CmdAddr, le.AppendUint64(nil, 1<<64-1)},
		{"headers", CmdHeaders, le.AppendUint32(nil, 1<<32-1)},
		{"501 headers", CmdHeaders, append(le.AppendUint32(nil, 501), make([]byte, 501*minHeader)...)},
		{"hashes", CmdInv, append([]byte{2}, 0xff, 0xff, 0xff, 0xff)},
		{"keys of a header", CmdHeaders, huge(append(le.AppendUint32(nil, 1), unsigned...))},
		{"transactions", CmdBlock, append(bytes.Clone(header), 0xff, 0xff, 0xff, 0xff)},
		{"code", CmdTx, huge(make([]byte, 42))},
		{"closest", CmdFindNodeAck, append(make([]byte, 22), 4, 0, 0, 0)},
		{"members", CmdMembers, le.AppendUint32(nil, 1<<31)},
		{"nodes", CmdOffline, append(make([]byte, 8), 0xff, 0xff, 0xff, 0xff)},
	} {
		for _, k := range kinds {
			if k.cmd != tt.cmd {
				continue
			}
			res := testing.AllocsPerRun(10, func() {
				if _, err := k.decode(tt.in, Lenient); err == nil {
					t.Errorf("%s: it decodes", tt.name)
				}
			})
			if res > 40 {
				t.Errorf("%s: %v allocations", tt.name, res)
			}
		}
	}
}
