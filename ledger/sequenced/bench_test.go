package sequenced_test

import (
	"context"
	"crypto/rand"
	"testing"
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/ledger"
	"github.com/starlingp2p/starling/ledger/sequenced"
)

// dataBlocks makes n blocks of one data transaction of size bytes each.
func dataBlocks(tb testing.TB, f *sequenced.Family, n, size int) []chain.Block {
	parent := f.Spec().Genesis.Header
	blocks := make([]chain.Block, n)
	data := make([]byte, size)
	for i := range blocks {
		rand.Read(data)
		tx := sequenced.NewData(f.Genesis(), key(2), uint64(i), data, 0)
		blocks[i] = f.Seal(key(1), parent, parent.Time.Add(time.Second), []chain.Tx{tx})
		parent = blocks[i].Header
	}
	return blocks
}

// BenchmarkImport64KiB imports blocks of 64 KiB in calls of 16, each synced.
func BenchmarkImport64KiB(b *testing.B) {
	f := family(b)
	for _, batch := range []int{1, 16, 64} {
		b.Run(map[int]string{1: "1", 16: "16", 64: "64"}[batch], func(b *testing.B) {
			const n = 4096
			blocks := dataBlocks(b, f, n, 64<<10)
			b.SetBytes(64 << 10)
			b.ReportAllocs()
			b.ResetTimer()
			for done := 0; done < b.N; {
				b.StopTimer()
				l, err := ledger.Open(b.TempDir(), ledger.Options{Family: f})
				if err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
				for i := 0; i < n && done < b.N; i += batch {
					if _, err := l.Import(context.Background(), blocks[i:i+batch]); err != nil {
						b.Fatal(err)
					}
					done += batch
				}
				b.StopTimer()
				l.Close()
				b.StartTimer()
			}
		})
	}
}

// BenchmarkVerify64KiB verifies header and body of such a block, on one core.
func BenchmarkVerify64KiB(b *testing.B) {
	f := family(b)
	blocks := dataBlocks(b, f, 64, 64<<10)
	b.SetBytes(64 << 10)
	b.ReportAllocs()
	for i := range b.N {
		blk := blocks[i%len(blocks)]
		if err := f.VerifyBody(blk.Header, blk.Body, nil); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRead64KiB serves such blocks, 16 a request.
func BenchmarkRead64KiB(b *testing.B) {
	f := family(b)
	blocks := dataBlocks(b, f, 512, 64<<10)
	l, err := ledger.Open(b.TempDir(), ledger.Options{Family: f})
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	if _, err := l.Import(context.Background(), blocks); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(64 << 10)
	b.ReportAllocs()
	b.ResetTimer()
	for i := 0; i < b.N; i += 16 {
		got, err := l.Blocks(context.Background(), chain.Range{From: chain.Ref{Number: uint64(1 + i%496)}, Count: 16})
		if err != nil || len(got) != 16 {
			b.Fatal(len(got), err)
		}
	}
}

// BenchmarkPoolAdd takes in signed transfers, one sender each.
func BenchmarkPoolAdd(b *testing.B) {
	f := family(b)
	l := open(b, f)
	txs := make([]chain.Tx, 4096)
	for i := range txs {
		txs[i] = sequenced.NewTransfer(f.Genesis(), sequenced.KeyFromSeed([32]byte{byte(i), byte(i >> 8), 9}), 0, sequenced.Address{}, 0, 0)
	}
	var p *sequenced.Pool
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		if i%len(txs) == 0 {
			p, _ = sequenced.NewPool(context.Background(), sequenced.PoolConfig{Family: f, State: l})
		}
		if v := p.Add(txs[i%len(txs) : i%len(txs)+1]); v[0].Action != chain.Accept {
			b.Fatal(v)
		}
	}
}
