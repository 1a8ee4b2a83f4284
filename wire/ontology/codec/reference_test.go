package codec

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"reflect"
	"strings"
	"testing"
)

// The frames in testdata/reference were put together from the description of the
// newest release's messages, by none of this code: they say that both conform to
// one reading of it, not what a real node sends.
func referenceBytes(t *testing.T, name string, cmd Command) []byte {
	t.Helper()
	frame := goldenOf(t, "reference", name)
	h, err := DecodeHead(frame[:HeadSize], 299)
	body := frame[HeadSize:]
	if err != nil || h.Command != cmd || h.Size != len(body) || h.Check(body) != nil {
		t.Fatalf("%s: %+v, %v", name, h, err)
	}
	return body
}

func TestTheNewestMessagesAreAsDescribed(t *testing.T) {
	id := func(n byte) (p PeerID) {
		copy(p[:], bytes.Repeat([]byte{n}, 20))
		return p
	}
	count := func(from, to int) (b []byte) {
		for i := from; i < to; i++ {
			b = append(b, byte(i))
		}
		return b
	}
	private := []byte("\x47\xe3\x9f\x9a\x74\x27\x32\x79\xfc\x8c\x58\x6d\x7d\x2b\x36\x9a\xae\x0b\xd8\x31\xe7\x95\x50\x14\x9d\x2f\x6c\x9e\x78\x5d\x0e\x1c")
	key, err := KadKeyOf(private)
	if err != nil {
		t.Fatal(err)
	}
	kad, err := KadIDOf(key)
	if err != nil {
		t.Fatal(err)
	}
	hexOf := func(s string) []byte { return []byte(strings.Repeat(s, 33)) }
	keyText := []byte(hex.EncodeToString(key))
	at := netip.MustParseAddrPort
	for _, tt := range []struct {
		name string
		cmd  Command
		want appender
	}{
		{"version", CmdVersion, Version{Services: 2, Time: 1716163200000000000, SyncPort: 20338, Nonce: 0x1122334455667788, Relay: true, Soft: "v2.5.9"}},
		{"updatekadid", CmdUpdateKadID, UpdateKadID{Key: key, ID: kad}},
		{"findnode", CmdFindNode, FindNode{Target: id(1)}},
		{"findnodeack", CmdFindNodeAck, FindNodeAck{
			Target: id(1), Found: true, Addr: at("203.0.113.7:20338"),
			Closest: []Closest{{id(2), at("203.0.113.8:20338")}, {id(3), at("[2001:db8::1]:20338")}},
		}},
		{"findnodeack-none", CmdFindNodeAck, FindNodeAck{Target: id(1)}},
		{"getmembers-seed", CmdGetMembers, GetMembers{From: id(1), To: id(2)}},
		{"getmembers", CmdGetMembers, GetMembers{From: id(1), To: id(2), Time: 1716163200, Key: key, Sig: count(0, 64)}},
		{"members", CmdMembers, Members{[]Member{{string(keyText), at("203.0.113.7:20338")}, {string(hexOf("02")), at("203.0.113.8:20338")}}}},
		{"offline", CmdOffline, Offline{
			Time: 1716163200, View: 7, Nodes: [][]byte{keyText, hexOf("02")}, Proposer: hexOf("03"), Sig: count(0, 64),
			Voters: []OfflineVote{{[]byte{0, 1}, hexOf("02"), count(64, 128)}},
		}},
	} {
		body := referenceBytes(t, tt.name, tt.cmd)
		for _, k := range kinds {
			if k.cmd != tt.cmd {
				continue
			}
			got, err := k.decode(body, Strict)
			if err != nil || !reflect.DeepEqual(got, tt.want) {
				t.Errorf("%s:\n%+v, %v, want\n%+v", tt.name, got, err, tt.want)
			}
		}
		if got := tt.want.Append(nil); !bytes.Equal(got, body) {
			t.Errorf("%s becomes\n%x, want\n%x", tt.name, got, body)
		}
	}
}

func TestBlockTrailersAreAsDescribed(t *testing.T) {
	for name, cross := range map[string]bool{"block": false, "block-crosschain": true} {
		body := referenceBytes(t, name, CmdBlock)
		b, err := ScanBlock(body, Strict)
		if err != nil || b.Header.Height != 5 || !bytes.Equal(b.Append(nil), body) {
			t.Errorf("%s: %+v, %v", name, b, err)
			continue
		}
		tr, err := DecodeTrailer(b.Trailer)
		if err != nil || tr.StateRoot != Hash(bytes.Repeat([]byte{0x44}, 32)) || (tr.CrossMsg != nil) != cross {
			t.Errorf("%s: trailer %+v, %v", name, tr, err)
		}
		if cross && (tr.CrossMsg.Height != 4 || len(tr.CrossMsg.Sigs) != 1) {
			t.Errorf("%s: %+v", name, tr.CrossMsg)
		}
	}
}
