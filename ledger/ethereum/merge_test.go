package ethereum

import (
	"context"
	"errors"
	"math/big"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/ledger"
)

// merging is a clique network of one signer whose Merge comes at a total
// difficulty.
func merging(t testing.TB, end int64) *Family {
	t.Helper()
	c := authority(t, 1, 30, "test").c
	cfg := *c.Chain
	cfg.LondonBlock, cfg.TerminalTotalDifficulty = nil, big.NewInt(end)
	c.Chain = &cfg
	f, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// unsealed is a block without a difficulty, which nobody signed.
func unsealed(t testing.TB, parent chain.Header) chain.Header {
	t.Helper()
	h := next(t, parent)
	h.Difficulty, h.Extra = new(big.Int), nil
	ch, _, err := decodeHeader(encode(t, h))
	if err != nil {
		t.Fatal(err)
	}
	return ch
}

// Threat L-06: a network of signers that is to merge is followed by its seals up
// to the Merge's total difficulty; a header without seal and difficulty below it
// is a fault, and at it waits for a target. Once the chain is past it, a target
// is all that makes its blocks true.
func TestNobodyExtendsACliqueChainUnsigned(t *testing.T) {
	f := merging(t, 9) // genesis has 1, each block of the signer 2 more
	l, err := ledger.Open("chain", ledger.Options{Family: f, FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f.Attach(l)
	parent := f.c.Genesis.Header
	for n := 1; n <= 4; n++ {
		if _, err := f.VerifyHeaders(parent, []chain.Header{unsealed(t, parent)}); !errors.Is(err, chain.ErrInvalid) {
			t.Fatalf("an unsigned block %d: %v, want ErrInvalid", n, err)
		}
		b := child(t, f, parent, 0)
		// Nor behind a signed one of the same call.
		if n, err := f.VerifyHeaders(parent, []chain.Header{b.Header, unsealed(t, b.Header)}); n != 1 || errors.Is(err, chain.ErrInvalid) != (b.Header.Ref.Number < 4) {
			t.Fatalf("an unsigned child of %v: %d, %v", b.Ref(), n, err)
		}
		if _, err := l.Import(t.Context(), []chain.Block{b}); err != nil {
			t.Fatal(err)
		}
		parent = b.Header
	}
	if _, err := f.VerifyHeaders(parent, []chain.Header{unsealed(t, parent)}); !errors.Is(err, errNeedsTarget) || errors.Is(err, chain.ErrInvalid) || f.NeedsTarget() {
		t.Errorf("an unsigned block at the Merge: %v, want that a target is needed", err)
	}
	if _, err := f.VerifyHeaders(parent, []chain.Header{child(t, f, parent, 0).Header}); !errors.Is(err, chain.ErrInvalid) {
		t.Errorf("a signed block past the Merge: %v, want ErrInvalid", err)
	}

	// Without the ancestors nobody can tell whether the Merge is reached.
	afar := unsealed(t, child(t, f, parent, 7).Header)
	if _, err := f.VerifyHeaders(afar, []chain.Header{unsealed(t, afar)}); !errors.Is(err, chain.ErrUnjudged) || errors.Is(err, chain.ErrInvalid) {
		t.Errorf("an unsigned block above one that is not here: %v, want ErrUnjudged", err)
	}

	again := merging(t, 9)
	again.Attach(l)
	if !again.NeedsTarget() {
		t.Error("the chain is past its Merge, and needs no target")
	}
	if n, err := again.VerifyHeaders(parent, []chain.Header{unsealed(t, parent)}); n != 1 || err != nil {
		t.Errorf("a block below a target: %d, %v", n, err)
	}
	below, err := l.Header(t.Context(), chain.Ref{Number: 3})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := again.VerifyHeaders(below, []chain.Header{unsealed(t, below)}); !errors.Is(err, chain.ErrInvalid) {
		t.Errorf("a block below a target that came before the Merge: %v, want ErrInvalid", err)
	}
}

// Threat L-06: where no Merge is to come, no header is without difficulty, not
// even above a genesis block that has none.
func TestNoDifficultyWithoutAMerge(t *testing.T) {
	c := authority(t, 1, 30, "test").c
	_, h, err := decodeHeader(c.Genesis.Header.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	h.Difficulty = new(big.Int)
	if c.Genesis, err = GenesisOf(h); err != nil {
		t.Fatal(err)
	}
	f, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.VerifyHeaders(c.Genesis.Header, []chain.Header{unsealed(t, c.Genesis.Header)}); !errors.Is(err, chain.ErrInvalid) {
		t.Errorf("VerifyHeaders = %v, want ErrInvalid", err)
	}
}

// On the way down from a block whose ancestors are not here the signers after
// our head stand in: an honest peer's headers pass, those of a single signer do
// not, and neither is a fault of who sent them.
func TestHeadersOnTheWayDownAreNoFault(t *testing.T) {
	const signers = 3
	f := authority(t, signers, 1000, "test")
	all := sortedSigners(t, signers)
	line := headerLine{f.c.Genesis.Header}
	grow := func(parent chain.Header, by uint64) chain.Header {
		h := next(t, parent)
		if h.Number.Uint64()%signers != by {
			h.Difficulty = big.NewInt(1)
		}
		return sealedBy(t, h, keyOf(t, all[by], signers)).Header
	}
	for n := uint64(1); n <= 40; n++ {
		line = append(line, grow(line[n-1], n%signers))
	}
	f.Attach(line[:5])
	if n, err := f.VerifyHeaders(line[20], line[21:]); n != 20 || err != nil {
		t.Errorf("headers of an honest peer: %d, %v", n, err)
	}
	one := []chain.Header{line[20]}
	for range 4 {
		one = append(one, grow(one[len(one)-1], 0))
	}
	if _, err := f.VerifyHeaders(one[0], one[1:]); !errors.Is(err, chain.ErrUnjudged) || errors.Is(err, chain.ErrInvalid) {
		t.Errorf("headers of one signer: %v, want that they cannot be judged", err)
	}
	if _, err := f.VerifyHeaders(line[2], []chain.Header{unsealed(t, line[2])}); !errors.Is(err, chain.ErrInvalid) {
		t.Errorf("an unsigned header on our chain: %v, want ErrInvalid", err)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	fresh := authority(t, signers, 1000, "test")
	fresh.Attach(&countedReader{Reader: line})
	if _, err := fresh.VerifyHeadersContext(ctx, line[39], line[40:]); !errors.Is(err, context.Canceled) || errors.Is(err, chain.ErrInvalid) {
		t.Errorf("verifying after the end: %v", err)
	}
}
