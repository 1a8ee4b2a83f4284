package ledger_test

import (
	"errors"
	"math"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/ledger"
)

// Threats M-05 and R-04: a range along a branch takes a hundred steps at most,
// however far apart and in whichever direction its blocks are; a range that
// comes from a branch to the canonical chain goes on there.
func TestRangesAlongABranchAreShort(t *testing.T) {
	l := open(t, vfs.NewMem(), ledger.Options{MaxReorg: 300})
	main := run(headOf(t, l), 0, 250)
	take(t, l, main)
	branch := run(main[4].Header, 1, 200) // from 6 to 205, lighter
	take(t, l, branch)
	if l.Status().Head != main[249].Ref() {
		t.Fatalf("head = %v, want that of the longer chain", l.Status().Head)
	}
	for name, tt := range map[string]struct {
		from       chain.Ref
		skip, want int
		reverse    bool
	}{
		"down":                        {branch[199].Ref(), 0, 101, true},
		"up":                          {branch[0].Ref(), 0, 101, false},
		"down in strides":             {branch[199].Ref(), 24, 5, true},
		"up in strides":               {branch[0].Ref(), 24, 5, false},
		"down past any chain":         {branch[199].Ref(), math.MaxInt32, 1, true},
		"up past any chain":           {branch[0].Ref(), math.MaxInt32, 1, false},
		"down to the canonical chain": {branch[40].Ref(), 0, 41 + 6, true},
		"down there in strides":       {branch[79].Ref(), 16, 6, true}, // 85, 68, 51, 34, 17, 0
		"on the canonical chain":      {main[249].Ref(), 0, 251, true},
		"there in strides":            {main[249].Ref(), 49, 6, true},
	} {
		got, err := l.Headers(t.Context(), chain.Range{From: chain.Ref{Hash: tt.from.Hash}, Count: 1024, Skip: tt.skip, Reverse: tt.reverse})
		if err != nil || len(got) != tt.want || got[0].Ref != tt.from {
			t.Errorf("%s: %d headers, %v; want %d", name, len(got), err, tt.want)
		}
	}
}

// Threat L-01: what is staged is linked to a target and not to our chain, so it
// is in no range: not as its first block, not behind a branch, not before it.
// Its hash still finds it.
func TestStagedBlocksAreInNoRange(t *testing.T) {
	l := open(t, vfs.NewMem(), ledger.Options{MaxReorg: 300})
	main := run(headOf(t, l), 0, 20)
	take(t, l, main)
	branch := run(main[4].Header, 1, 10)
	take(t, l, branch[:4])
	far := run(main[19].Header, 2, 12)
	if err := errors.Join(l.Stage(t.Context(), branch[4:]), l.Stage(t.Context(), far[2:])); err != nil {
		t.Fatal(err)
	}
	for _, b := range []chain.Block{branch[4], branch[9], far[2], far[11]} {
		if h, err := l.Header(t.Context(), chain.Ref{Hash: b.Ref().Hash}); err != nil || h.Ref != b.Ref() {
			t.Errorf("Header of %v = %v, %v", b.Ref(), h.Ref, err)
		}
		for _, count := range []int{1, 5} {
			for _, reverse := range []bool{false, true} {
				r := chain.Range{From: chain.Ref{Hash: b.Ref().Hash}, Count: count, Reverse: reverse}
				if hs, err := l.Headers(t.Context(), r); !errors.Is(err, chain.ErrNotFound) {
					t.Errorf("Headers of %+v = %d, %v; want ErrNotFound", r, len(hs), err)
				}
				if bs, err := l.Blocks(t.Context(), r); !errors.Is(err, chain.ErrNotFound) {
					t.Errorf("Blocks of %+v = %d, %v; want ErrNotFound", r, len(bs), err)
				}
			}
		}
	}
	r := chain.Range{From: chain.Ref{Hash: branch[0].Ref().Hash}, Count: 100}
	if hs, err := l.Headers(t.Context(), r); err != nil || len(hs) != 4 {
		t.Errorf("%d headers of the branch, %v; want the 4 that are imported", len(hs), err)
	}
}
