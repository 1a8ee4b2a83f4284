package sequenced_test

import (
	"crypto/sha256"
	"encoding/binary"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/chain/chaintest"
	"github.com/starlingp2p/starling/ledger"
	"github.com/starlingp2p/starling/ledger/sequenced"
)

// child makes a block with one data transaction of an account of its own.
func child(f *sequenced.Family, parent chain.Header, branch uint64) chain.Block {
	seed := sha256.Sum256(binary.BigEndian.AppendUint64(parent.Ref.Hash[:], branch))
	tx := sequenced.NewData(f.Genesis(), sequenced.KeyFromSeed(seed), 0, seed[:], 0)
	return f.Seal(key(1), parent, parent.Time.Add(10*time.Millisecond), []chain.Tx{tx})
}

func TestLedgerConforms(t *testing.T) {
	f := family(t)
	disks := map[chain.Chain]*vfs.MemFS{}
	on := func(t testing.TB, fs *vfs.MemFS) chain.Chain {
		l, err := ledger.Open("chain", ledger.Options{Family: f, FS: fs, MaxReorg: 16})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			check(t, l)
			l.Close()
		})
		disks[l] = fs
		return l
	}
	chaintest.Run(t, chaintest.Factory{
		New: func(t testing.TB) chain.Chain { return on(t, vfs.NewCrashableMem()) },
		Child: func(t testing.TB, parent chain.Header, branch uint64) chain.Block {
			return child(f, parent, branch)
		},
		Forge: func(t testing.TB, b chain.Block) map[string]chain.Block {
			txs, err := f.Txs(b)
			if err != nil {
				t.Fatal(err)
			}
			parent := chain.Header{Ref: chain.Ref{Number: b.Ref().Number - 1, Hash: b.Header.Parent}, Time: b.Header.Time.Add(-time.Millisecond)}
			other := family(t, func(c *sequenced.Config) { c.Network = "other" })
			return map[string]chain.Block{
				"another key":     f.Seal(key(7), parent, b.Header.Time, txs),
				"another network": other.Seal(key(1), parent, b.Header.Time, txs),
			}
		},
		Reopen: func(t testing.TB, c chain.Chain) chain.Chain {
			return on(t, disks[c].CrashClone(vfs.CrashCloneCfg{}))
		},
		MaxReorg: 16,
		Txs: func(b chain.Block) []chain.Tx {
			txs, _ := f.Txs(b)
			return txs
		},
		Pool: func(t testing.TB, n int) (chain.TxPool, []chain.Tx) {
			l := open(t, f)
			p, err := sequenced.NewPool(t.Context(), sequenced.PoolConfig{Family: f, State: l})
			if err != nil {
				t.Fatal(err)
			}
			txs := make([]chain.Tx, n)
			for i := range txs {
				seed := sha256.Sum256([]byte{byte(i), byte(i >> 8)})
				txs[i] = sequenced.NewData(f.Genesis(), sequenced.KeyFromSeed(seed), 0, seed[:], 0)
			}
			return p, txs
		},
	})
}
