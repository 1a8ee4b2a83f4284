package ontology

import (
	"errors"
	"testing"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/wire/ontology/codec"
)

// Keys that sign much are verified another way, which refuses what it should;
// how many are kept so is bounded, whoever signs.
func TestWhoSignsMuchIsVerifiedQuickly(t *testing.T) {
	ring := newRing(t, 4)
	f := family(t, dbft(ring))
	parent := f.genesis.Header
	for range 2 * fastFrom {
		h := ring.sign(t, child(parent, nil), 3)
		if err := verdict(f, parent, h); err != nil {
			t.Fatal(err)
		}
		parent = h
	}
	if len(f.fast) != 4 || len(f.signed) != 0 {
		t.Errorf("%d keys are kept quick, %d counted", len(f.fast), len(f.signed))
	}
	bad := ring.sign(t, child(parent, nil), 3)
	bad.Sigs[1] = append([]byte(nil), bad.Sigs[1]...)
	bad.Sigs[1][40] ^= 1
	if err := verdict(f, parent, bad.Seal()); !errors.Is(err, chain.ErrInvalid) {
		t.Errorf("a forged signature: %v", err)
	}
	for range maxFast {
		others := newRing(t, 1)
		k, err := codec.ParseKey(others.raw()[0])
		if err != nil {
			t.Fatal(err)
		}
		for range fastFrom {
			f.haveSigned([]codec.Key{k})
		}
		if len(f.fast) > maxFast {
			t.Fatalf("%d keys are kept quick, at most %d are", len(f.fast), maxFast)
		}
	}
}
