package ledger_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/ledger"
)

// After a clean stop nothing that was acknowledged depends on the log: bytes of
// it, the last ones among them, may be damaged, where Pebble would take its end for a torn write.
func TestDamagedLogAfterACleanStopLosesNothing(t *testing.T) {
	fs := vfs.NewMem()
	l := open(t, fs, options(fs))
	take(t, l, run(headOf(t, l), 1, 20))
	head := l.Status().Head
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	names, err := fs.List("chain/db")
	if err != nil {
		t.Fatal(err)
	}
	logs := 0
	for _, name := range names {
		if !strings.HasSuffix(name, ".log") {
			continue
		}
		logs++
		path := "chain/db/" + name
		good := contents(t, fs, path)
		for i := 0; i < len(good); i++ {
			if i%29 != 0 && i < len(good)-16 {
				continue // each takes a copy and an opening
			}
			bad := bytes.Clone(good)
			bad[i] ^= 0x10
			fs2 := copyDir(t, fs)
			write(t, fs2, path, string(bad))
			l, err := ledger.Open("chain", options(fs2))
			if errors.Is(err, chain.ErrCorrupt) {
				continue
			}
			if err != nil {
				t.Fatalf("byte %d of %s damaged: Open = %v", i, name, err)
			}
			if got := l.Status().Head; got != head {
				t.Errorf("byte %d of %s damaged: the head is %v, was %v", i, name, got, head)
			}
			check(t, l)
			l.Close()
		}
	}
	if logs == 0 {
		t.Error("there is no log: the test looks at nothing")
	}
}

// An index entry of a transaction that is damaged, or leads nowhere, is corrupt
// data and not a transaction that is missing.
func TestDamagedPlaceOfATransactionIsCorrupt(t *testing.T) {
	fs := vfs.NewMem()
	l := open(t, fs, options(fs))
	blocks := run(headOf(t, l), 1, 3)
	take(t, l, blocks)
	txs, err := l.Family().Txs(blocks[1])
	if err != nil || len(txs) == 0 {
		t.Fatalf("%d transactions, %v", len(txs), err)
	}
	hash := txs[0].Hash
	if tx, read, err := l.FindTx(t.Context(), hash); err != nil || tx.Hash != hash || read != blocks[1].Size() {
		t.Fatalf("FindTx = %v, %d bytes read, %v; want %d read", tx.Hash, read, err, blocks[1].Size())
	}
	if at, i, err := l.TxBlock(t.Context(), hash); err != nil || at != blocks[1].Ref() || i != 0 {
		t.Fatalf("TxBlock = %v, %d, %v", at, i, err)
	}
	for name, place := range map[string][]byte{
		"too short":      {1, 2, 3},
		"no such block":  bytes.Repeat([]byte{7}, 12),
		"no such number": {0, 0, 0, 0, 0, 0, 0, 2, 0xff, 0xff, 0xff, 0xff},
	} {
		if err := l.SetPlace(hash, place); err != nil {
			t.Fatal(err)
		}
		if _, _, err := l.TxBlock(t.Context(), hash); !errors.Is(err, chain.ErrCorrupt) || errors.Is(err, chain.ErrNotFound) {
			t.Errorf("%s: TxBlock = %v, want ErrCorrupt", name, err)
		}
		if _, err := l.Tx(t.Context(), hash); !errors.Is(err, chain.ErrCorrupt) || errors.Is(err, chain.ErrNotFound) {
			t.Errorf("%s: Tx = %v, want ErrCorrupt", name, err)
		}
	}
	if _, _, err := l.TxBlock(t.Context(), chain.Hash{9}); !errors.Is(err, chain.ErrNotFound) {
		t.Errorf("a transaction that is not there: TxBlock = %v", err)
	}
}
