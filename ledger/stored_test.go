package ledger_test

import (
	"errors"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/ledger"
)

// What is stored far above the head is known after a restart too: staging it
// again changes nothing, and importing it takes it off the stage.
func TestStoredAboveTheHeadIsKnownAfterRestart(t *testing.T) {
	fs := vfs.NewMem()
	l := open(t, fs, ledger.Options{})
	bs := run(headOf(t, l), 0, 9)
	if err := l.Stage(t.Context(), bs[2:]); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = open(t, fs, ledger.Options{})
	take(t, l, bs[:3])
	if err := l.Stage(t.Context(), bs); err != nil {
		t.Fatal(err)
	}
	refs, err := l.Staged(t.Context())
	if err != nil || len(refs) != 6 {
		t.Fatalf("Staged = %v, %v; want 6 blocks", refs, err)
	}
	take(t, l, bs[3:])
	if refs, err := l.Staged(t.Context()); err != nil || len(refs) != 0 {
		t.Errorf("Staged = %v, %v; want none", refs, err)
	}
	check(t, l)
}

// A block that says another number than its header is refused, also where that
// number lies above everything that is stored.
func TestFalseNumberIsRefusedAlsoOfAKnownBlock(t *testing.T) {
	l := open(t, vfs.NewMem(), ledger.Options{})
	bs := run(headOf(t, l), 0, 3)
	take(t, l, bs)
	lie := bs[2]
	lie.Header.Ref.Number = 1 << 40
	if _, err := l.Import(t.Context(), []chain.Block{lie}); !errors.Is(err, chain.ErrInvalid) {
		t.Errorf("Import = %v, want ErrInvalid", err)
	}
	if err := l.Stage(t.Context(), []chain.Block{lie}); !errors.Is(err, chain.ErrInvalid) {
		t.Errorf("Stage = %v, want ErrInvalid", err)
	}
	check(t, l)
}

// What travels with a block is not under its hash: the import decides, also
// where the staged block had something there and the imported one has not.
func TestImportReplacesTheExtraOfAStagedBlock(t *testing.T) {
	l := open(t, vfs.NewMem(), ledger.Options{})
	bs := run(headOf(t, l), 0, 2)
	bs[0].Extra, bs[1].Extra = []byte("staged"), []byte("staged")
	if err := l.Stage(t.Context(), bs); err != nil {
		t.Fatal(err)
	}
	bs[0].Extra, bs[1].Extra = nil, []byte("imported")
	take(t, l, bs)
	for i, want := range []string{"", "imported"} {
		got, err := l.Block(t.Context(), bs[i].Ref())
		if err != nil || string(got.Extra) != want {
			t.Errorf("block %d: extra = %q, %v; want %q", i, got.Extra, err, want)
		}
	}
	check(t, l)
}
