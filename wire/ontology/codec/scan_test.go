package codec

import (
	"bytes"
	"errors"
	"runtime"
	"testing"

	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

func TestARootNeedsNoListOfHashes(t *testing.T) {
	var hashes []Hash
	for n := range 140 {
		var r rootOf
		for _, h := range hashes {
			r.add(h)
		}
		if got, want := r.sum(), TxRoot(hashes); got != want {
			t.Fatalf("of %d: %s, want %s", n, got, want)
		}
		hashes = append(hashes, double([]byte{byte(n)}))
	}
}

// blockOfTxs is a block whose transactions belong to it.
func blockOfTxs(txs []Tx) Block {
	var r rootOf
	for _, t := range txs {
		r.add(t.Hash)
	}
	return Block{Header: Header{Height: 1, TxRoot: r.sum()}.Seal(), Body: AppendBody(nil, txs)}
}

// Threat L-01: a block whose transactions are not its own is another one.
func TestScannedBlocksHaveTheirOwnTransactions(t *testing.T) {
	b := blockOfTxs([]Tx{sampleTx(1), sampleTx(2), sampleTx(3)})
	got, err := ScanBlock(b.Append(nil), Lenient)
	if err != nil || got.Txs != nil || !bytes.Equal(got.Body, b.Body) || got.Header.Hash != b.Header.Hash {
		t.Errorf("%+v, %v", got, err)
	}
	b.Body = AppendBody(nil, []Tx{sampleTx(1), sampleTx(2), sampleTx(4)})
	var f *wire.Fault
	if _, err := ScanBlock(b.Append(nil), Lenient); !errors.As(err, &f) || f.Offense != peer.WrongBlock {
		t.Errorf("others' transactions: %v", err)
	}
}

// Threat B-05, M-08: what is small many times, and padded, takes little memory
// beside its own bytes.
func TestSmallThingsTakeLittleMemory(t *testing.T) {
	small := Tx{Type: TxInvoke}.Seal().Raw
	n := (MaxBlock - 1024) / len(small)
	body := AppendBody(nil, nil)
	body[0], body[1], body[2], body[3] = byte(n), byte(n>>8), byte(n>>16), byte(n>>24)
	body = append(body, bytes.Repeat(small, n)...)
	tiny := Block{Header: Header{Height: 1}.Seal(), Body: body}.Append(nil)

	padded := bytes.Clone(tiny) // each transaction's attributes count in three bytes
	long := append(bytes.Clone(small[:len(small)-2]), 0xfd, 0, 0, 0)
	m := (MaxBlock - 1024) / len(long)
	padded = append(padded[:len(tiny)-len(body)], byte(m), byte(m>>8), byte(m>>16), byte(m>>24))
	padded = append(padded, bytes.Repeat(long, m)...)

	keys := make([][]byte, maxKeys)
	header := Header{Height: 1, Keys: keys, Sigs: keys}.Seal()
	var headers Headers
	for range MaxHeaders {
		headers.Headers = append(headers.Headers, header)
	}
	many := headers.Append(nil)
	for name, read := range map[string]func() error{
		"transactions":        func() error { _, err := ScanBlock(tiny, Lenient); return err },
		"padded transactions": func() error { _, err := ScanBlock(padded, Lenient); return err },
		"keys of nothing": func() error {
			_, err := DecodeHeaders(many, Lenient)
			return err
		},
	} {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		err := read()
		runtime.ReadMemStats(&after)
		if took := after.TotalAlloc - before.TotalAlloc; err == nil || took > 12<<20 { // what is garbage at once is counted too
			t.Errorf("%s: %v, and %d KiB", name, err, took>>10)
		}
	}
}

// FuzzScanBlock checks that whoever keeps no transactions reads what those who
// keep them read.
func FuzzScanBlock(f *testing.F) {
	f.Add(blockOfTxs([]Tx{sampleTx(1), sampleTx(2), sampleTx(3)}).Append(nil), true)
	f.Add(sampleBlock().Append(nil), false)
	f.Fuzz(func(t *testing.T, in []byte, strict bool) {
		d := Lenient
		if strict {
			d = Strict
		}
		scanned, err := ScanBlock(in, d)
		kept, keptErr := DecodeBlock(in, d)
		if err == nil && keptErr != nil {
			t.Fatalf("DecodeBlock = %v, ScanBlock takes it", keptErr)
		}
		if keptErr != nil {
			return
		}
		var hashes []Hash
		for _, tx := range kept.Txs {
			hashes = append(hashes, tx.Hash)
		}
		if belongs := TxRoot(hashes) == kept.Header.TxRoot; belongs != (err == nil) {
			t.Fatalf("ScanBlock = %v, its transactions belong to it: %v", err, belongs)
		}
		if err == nil && !bytes.Equal(scanned.Append(nil), kept.Append(nil)) {
			t.Fatal("they read different blocks")
		}
	})
}
