package sequenced_test

import (
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/ledger/sequenced"
)

var update = flag.Bool("update", false, "write the golden file, once")

// The encodings never change: they are what is signed and stored.
func TestEncodingGolden(t *testing.T) {
	const name = "testdata/encoding-1.txt"
	f := family(t)
	g := f.Spec().Genesis
	transfer := sequenced.NewTransfer(f.Genesis(), key(2), 7, sequenced.AddressOf(key(3)), 11, 13)
	data := sequenced.NewData(f.Genesis(), key(3), 1<<40, []byte("payload"), 2)
	b := f.Seal(key(1), g.Header, epoch.Add(1500*time.Millisecond), []chain.Tx{transfer, data, transfer})
	var out strings.Builder
	line := func(name string, b []byte) { fmt.Fprintf(&out, "%s %x\n", name, b) }
	line("genesis", g.Header.Bytes)
	line("genesis-hash", g.Header.Ref.Hash[:])
	line("transfer", transfer.Bytes)
	line("transfer-hash", transfer.Hash[:])
	line("data", data.Bytes)
	line("data-hash", data.Hash[:])
	line("header", b.Header.Bytes)
	line("header-hash", b.Header.Ref.Hash[:])
	line("body", b.Body)
	empty := f.Seal(key(1), b.Header, epoch, nil)
	line("empty-header", empty.Header.Bytes)
	if *update {
		os.MkdirAll("testdata", 0o755)
		os.WriteFile(name, []byte(out.String()), 0o644)
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if out.String() != string(want) {
		t.Errorf("encodings are\n%s\nwant\n%s", out.String(), want)
	}
}

func golden(f *testing.F, name string) {
	raw, err := os.ReadFile("testdata/encoding-1.txt")
	if err != nil {
		f.Fatal(err)
	}
	for line := range strings.Lines(string(raw)) {
		if k, v, _ := strings.Cut(strings.TrimSpace(line), " "); strings.HasPrefix(k, name) {
			b, _ := hex.DecodeString(v)
			f.Add(b)
		}
	}
}

// FuzzTx: what decodes encodes to the bytes that it came from.
func FuzzTx(f *testing.F) {
	golden(f, "transfer")
	golden(f, "data")
	f.Fuzz(func(t *testing.T, in []byte) {
		tx, err := sequenced.DecodeTx(in)
		if err != nil {
			return
		}
		if out := tx.Append(nil); !bytes.Equal(in, out) {
			t.Errorf("%x encodes again to %x", in, out)
		}
	})
}

// FuzzBlock: no bytes make a check panic, and a header that decodes names
// itself by its own bytes.
func FuzzBlock(f *testing.F) {
	golden(f, "header")
	f.Add(make([]byte, 161))
	fam := family(f)
	f.Fuzz(func(t *testing.T, in []byte) {
		n := min(len(in), 161)
		b := chain.Block{Header: chain.Header{Bytes: in[:n]}, Body: in[n:]}
		if h, err := fam.DecodeHeader(in[:n]); err == nil {
			b.Header = h
			again, err := fam.DecodeHeader(h.Bytes)
			if err != nil || again.Ref != h.Ref {
				t.Errorf("header %x decodes to %v and then to %v, %v", in[:n], h.Ref, again.Ref, err)
			}
		}
		if v := fam.Check(b); v.Action == chain.Accept && len(in) > 161+1000 {
			t.Errorf("accepted %x", in)
		}
		fam.VerifyBody(b.Header, b.Body, nil)
		fam.VerifyHeaders(chain.Header{}, []chain.Header{b.Header})
		fam.Txs(b)
	})
}
