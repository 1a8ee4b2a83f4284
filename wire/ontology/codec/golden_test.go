package codec

import (
	"bytes"
	"encoding/hex"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// golden reads bytes that the real v1.0.0 wrote.
func golden(t testing.TB, name string) []byte {
	t.Helper()
	return goldenOf(t, "ontology-1.0.0", name)
}

func goldenOf(t testing.TB, origin, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", origin, name+".hex"))
	if err != nil {
		t.Fatal(err)
	}
	b, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Frames of the real v1.0.0 decode, and encode to the same bytes.
func TestFramesOfV1AreOurs(t *testing.T) {
	for _, c := range Commands() {
		if c.New() || c == CmdGetBlocks {
			continue
		}
		frame := golden(t, c.String())
		h, err := DecodeHead(frame[:HeadSize], MagicMain)
		body := frame[HeadSize:]
		if err != nil || h.Command != c || h.Size != len(body) || h.Check(body) != nil {
			t.Errorf("%s: %+v, %v", c, h, err)
			continue
		}
		payload := []byte{}
		for _, k := range kinds {
			if k.cmd != c {
				continue
			}
			m, err := k.decode(body, Strict)
			if err != nil {
				t.Errorf("%s: %v", c, err)
				continue
			}
			payload = m.Append(nil)
		}
		if again, err := AppendFrame(nil, MagicMain, c, payload); err != nil || !bytes.Equal(again, frame) {
			t.Errorf("%s became\n%x, %v, want\n%x", c, again, err, frame)
		}
	}
}

func TestFieldsOfV1(t *testing.T) {
	v, err := DecodeVersion(golden(t, "version")[HeadSize:])
	want := Version{Services: 2, Time: 1530403200000000000, SyncPort: 20338, ConsensusPort: 20339, Nonce: 0x0102030405060708, Height: 77, Relay: true, Consensus: true}
	if err != nil || v != want {
		t.Errorf("version %+v, %v", v, err)
	}
	a, err := DecodeAddr(golden(t, "addr")[HeadSize:], Strict)
	if err != nil || a.Addrs[0].Addr.String() != "203.0.113.7" || a.Addrs[0].Port != 20338 || a.Addrs[0].Nonce != 9 {
		t.Errorf("addr %+v, %v", a, err)
	}
	c, err := DecodeConsensus(golden(t, "consensus")[HeadSize:], Strict)
	if err != nil || c.Height != 4 || c.Bookkeeper != 2 || !reflect.DeepEqual(c.Data, []byte{0x20, 0, 1, 2}) {
		t.Errorf("consensus %+v, %v", c, err)
	}
	if err := c.Verify(); err != nil {
		t.Errorf("a signature of the real node: %v", err)
	}
}

func TestGenesisBlocksHaveTheirHashes(t *testing.T) {
	for name, want := range map[string]string{
		"genesis-main":    "1b8fa7f242d0eeb4395f89cbb59e4c29634047e33245c4914306e78a88e14ce5",
		"genesis-polaris": "44425ae42a394ec0c5f3e41d757ffafa790b53f7301147a291ab9b60a956394c",
	} {
		raw := golden(t, name)
		b, err := DecodeBlock(raw, Strict)
		if err != nil {
			t.Fatal(err)
		}
		if b.Header.Hash.String() != want || b.Ref().Hash.String() != "0x"+want || HashOf(b.Ref().Hash) != b.Header.Hash {
			t.Errorf("%s has hash %s", name, b.Header.Hash)
		}
		if err := CheckBody(b.Header, b.Txs); err != nil || len(b.Txs) != 10 {
			t.Errorf("%s: %d transactions, %v", name, len(b.Txs), err)
		}
		if !bytes.Equal(b.Append(nil), raw) || !bytes.Equal(b.Header.Append(nil), b.Header.Raw) {
			t.Errorf("%s encodes to other bytes", name)
		}
		for _, tx := range b.Txs {
			if !bytes.Equal(tx.Append(nil), tx.Raw) || tx.Seal().Hash != tx.Hash {
				t.Errorf("%s: transaction %s encodes to other bytes", name, tx.Hash)
			}
		}
	}
	if h, err := DecodeHeader(golden(t, "headers")[HeadSize+4 : HeadSize+4+1221]); err != nil || h.Height != 0 {
		t.Errorf("the header of main net's genesis has 1221 bytes: %v", err)
	}
}
