package sequenced_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Verifying a body changes nothing about what its transactions are; bytes that
// were not verified are hashed, even under a header that was.
func TestTransactionsAreTheSameAfterVerification(t *testing.T) {
	f := family(t)
	b := dataBlocks(t, f, 1, 1000)[0]
	before, err := f.Txs(b)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.VerifyBody(b.Header, b.Body, nil); err != nil {
		t.Fatal(err)
	}
	after, err := f.Txs(b)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(before, after); d != "" {
		t.Errorf("transactions differ after verification:\n%s", d)
	}
	other := b
	other.Body = slices.Clone(b.Body)
	other.Body[100] ^= 1 // inside the data
	if err := f.VerifyBody(other.Header, other.Body, nil); err == nil {
		t.Fatal("VerifyBody of another body = nil, want an error")
	}
	txs, err := f.Txs(other)
	if err != nil {
		t.Fatal(err)
	}
	if txs[0].Hash == before[0].Hash {
		t.Error("another body has the hashes of the verified one")
	}
}
