package sequenced_test

import (
	"errors"
	"math"
	"runtime"
	"slices"
	"testing"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/ledger/sequenced"
)

// taken is how many bytes fn takes from the heap, the least of a few runs.
func taken(fn func()) uint64 {
	least := uint64(math.MaxUint64)
	for range 3 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		fn()
		runtime.ReadMemStats(&after)
		least = min(least, after.TotalAlloc-before.TotalAlloc)
	}
	return least
}

// tiny is a block of the smallest transaction, n times, at a time that Check
// takes.
func tiny(f *sequenced.Family, n int) chain.Block {
	tx := sequenced.NewData(f.Genesis(), key(2), 0, nil, 0)
	return f.Seal(key(1), chain.Header{Ref: chain.Ref{Number: 6, Hash: chain.Hash{6}}, Time: epoch}, now, slices.Repeat([]chain.Tx{tx}, n))
}

// A block of as many tiny transactions as its size allows costs memory in
// proportion to its bytes; one over the size, or one that claims more than it
// holds, costs next to nothing. Threat row B-05.
func TestTinyTransactionsCostTheirBytes(t *testing.T) {
	f := family(t)
	one := len(tiny(f, 1).Body)
	most := (f.Config().MaxBlockBytes - 1<<10) / one
	if most < 50_000 {
		t.Fatalf("only %d transactions fit: this shows nothing", most)
	}
	const k = 3 // bytes of memory for one of the block
	for _, n := range []int{most / 64, most / 8, most} {
		b := tiny(f, n)
		if v := f.Check(b); v.Action != chain.Accept {
			t.Fatalf("Check of %d transactions = %+v", n, v)
		}
		for name, fn := range map[string]func(){
			"Check": func() { f.Check(b) },
			"Txs":   func() { f.Txs(b) },
		} {
			if got := taken(fn); got > uint64(k*b.Size()) {
				t.Errorf("%s of %d transactions in %d bytes takes %d bytes", name, n, b.Size(), got)
			}
		}
		if n > most/64 {
			continue // a signature each: it is the same for more
		}
		if got := taken(func() {
			if err := f.VerifyBody(b.Header, b.Body, nil); err != nil {
				t.Error(err)
			}
		}); got > uint64(2*k*b.Size()) {
			t.Errorf("VerifyBody of %d transactions in %d bytes takes %d bytes", n, b.Size(), got)
		}
	}

	over := tiny(f, most+20)
	if v := f.Check(over); v.Action != chain.Reject || v.Reason != "too-large" {
		t.Errorf("Check of a block of %d bytes = %+v, want too-large", over.Size(), v)
	}
	if err := f.VerifyBody(over.Header, over.Body, nil); !errors.Is(err, chain.ErrInvalid) {
		t.Errorf("VerifyBody of a block of %d bytes = %v, want %v", over.Size(), err, chain.ErrInvalid)
	}
	claims := f.Seal(key(1), chain.Header{Ref: chain.Ref{Number: 6, Hash: chain.Hash{6}}, Time: epoch}, now, slices.Repeat([]chain.Tx{{}}, 100_000)) // 4 bytes each
	for name, b := range map[string]chain.Block{"over": over, "claims": claims} {
		if got := taken(func() { f.Check(b) }); got > 64<<10 {
			t.Errorf("%s: Check of a block that is refused takes %d bytes", name, got)
		}
		if got := taken(func() { f.VerifyBody(b.Header, b.Body, nil) }); got > 64<<10 {
			t.Errorf("%s: VerifyBody of a block that is refused takes %d bytes", name, got)
		}
	}
}
