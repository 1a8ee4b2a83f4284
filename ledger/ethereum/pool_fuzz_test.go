package ethereum

import (
	"bytes"
	"testing"

	"github.com/ethereum/go-ethereum/core/types"

	"github.com/starlingp2p/starling/chain"
)

// FuzzPoolDecode checks that what decodes has one encoding, which the hash is
// of, and that the pool outlives and bounds whatever it is given.
func FuzzPoolDecode(f *testing.F) {
	fam := testFamily(f, mergedConfig())
	f.Add(transfer(f, 1, 0, gwei).Bytes)
	f.Add(signed(f, key(f, 1), &types.LegacyTx{Gas: 21000}).Bytes)
	f.Add([]byte{3, 0xc0})
	p, _ := poolOf(f, fam)
	f.Fuzz(func(t *testing.T, in []byte) {
		tx, v := decodeTx(in)
		if (tx == nil) != (v.Reason != "") {
			t.Fatalf("neither decoded nor refused: %v", v)
		}
		if tx != nil {
			out, err := tx.MarshalBinary()
			if err != nil || !bytes.Equal(out, in) {
				t.Fatalf("%x decodes, and encodes as %x, %v", in, out, err)
			}
		}
		if got := p.Add([]chain.Tx{{Bytes: in}})[0]; got.Action == chain.Accept {
			if _, ok := p.Get(chain.Hash(tx.Hash())); !ok {
				t.Fatal("what was accepted is not there")
			}
		} else if got.Reason == "" {
			t.Fatal("a refusal without a reason")
		}
	})
}
