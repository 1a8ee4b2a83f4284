package ethereum

import (
	"bytes"
	"errors"
	"runtime"
	"testing"

	"github.com/ethereum/go-ethereum/rlp"

	"github.com/starlingp2p/starling/chain"
)

// bodyLike is a body of that many bytes whose transactions are all the same.
func bodyLike(t testing.TB, tx []byte, size int) []byte {
	t.Helper()
	list := rlp.RawValue(encode(t, []any{}))
	txs := bytes.Repeat(tx, size/len(tx))
	head := rlp.NewEncoderBuffer(nil)
	all := head.List()
	in := head.List()
	head.Write(txs)
	head.ListEnd(in)
	head.Write(list)
	head.ListEnd(all)
	return head.ToBytes()
}

// Threat B-05: a block of a million transactions is refused before there is
// room for them if they are none, and else before they are hashed if they do not
// fit the gas limit.
func TestTinyTransactionsCostTheirBytes(t *testing.T) {
	w := generate(t, configs()["frontier"], 2)
	header := w.blocks[2].Header
	for name, tt := range map[string]struct {
		tx   []byte
		most uint64 // bytes allocated, for each of the body's
		plus uint64
	}{
		"nothings":        {[]byte{0xc0}, 0, 64 << 10},
		"bytes":           {[]byte{0x01}, 0, 64 << 10},
		"the least taken": {[]byte{0xc9, 1, 2, 3, 4, 5, 6, 7, 8, 9}, 8, 1 << 20},
	} {
		b := bodyLike(t, tt.tx, 1<<20)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		err := w.family.VerifyBody(header, b, nil)
		runtime.ReadMemStats(&after)
		if !errors.Is(err, chain.ErrInvalid) {
			t.Errorf("%s: VerifyBody = %v", name, err)
		}
		if got, most := after.TotalAlloc-before.TotalAlloc, tt.most*uint64(len(b))+tt.plus; got > most {
			t.Errorf("%s: a body of %d bytes allocated %d, at most %d", name, len(b), got, most)
		}
	}
	receipts := bodyLike(t, []byte{0xc0}, 1<<20)
	if err := w.family.VerifyBody(header, w.blocks[2].Body, receipts); !errors.Is(err, chain.ErrInvalid) {
		t.Errorf("receipts of nothing: %v", err)
	}
}

// BenchmarkTinyTransactions is how long as many transactions as the gas limit
// allows take to be refused by their root: at most 50 ms for each MiB (threat
// B-05).
func BenchmarkTinyTransactions(b *testing.B) {
	w := generate(b, configs()["frontier"], 2)
	body := bodyLike(b, append([]byte{0xf8, 0x44}, make([]byte, 0x44)...), 1<<20)
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		if w.family.VerifyBody(w.blocks[2].Header, body, nil) == nil {
			b.Fatal("it is taken")
		}
	}
}
