package chaintest

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/starlingp2p/starling/chain"
)

func rangeRules() []Rule {
	return []Rule{
		{Name: "range-forward", Says: "A range gives Count consecutive blocks from From, by number or by hash.", Check: rangeForward},
		{Name: "range-hash-counts", Says: "Where From has a hash, its number is ignored.", Check: rangeHashCounts},
		{Name: "range-ends-at-head", Says: "A range ends where a block is missing.", Check: rangeEndsAtHead},
		{Name: "range-count-zero", Says: "Count 0 asks for nothing.", Check: rangeCountZero},
		{Name: "range-skip", Says: "Skip leaves that many blocks out between two.", Check: rangeSkip},
		{Name: "range-reverse", Says: "Reverse goes towards genesis and ends there.", Check: rangeReverse},
		{Name: "range-max-bytes", Says: "A range ends before its sizes pass MaxBytes.", Check: rangeMaxBytes},
		{Name: "range-gives-one", Says: "MaxBytes lets one block through, however large.", Check: rangeGivesOne},
		{Name: "range-not-found", Says: "A range whose first block is missing is ErrNotFound.", Check: rangeNotFound},
		{Name: "range-does-not-wrap", Says: "No Count, Skip or number makes a range pass the highest number, or zero, and come round.", Check: rangeNoWrap},
	}
}

// same checks that Blocks and Headers both answer r with want.
func (e *Env) same(r chain.Range, want []chain.Block) error {
	blocks, err := e.Chain.Blocks(e.ctx, r)
	if err != nil {
		return fmt.Errorf("Blocks(%+v): %w", r, err)
	}
	if got := refs(blocks); !slices.Equal(got, refs(want)) {
		return fmt.Errorf("Blocks(%+v) = %v, want %v", r, got, refs(want))
	}
	for i := range blocks {
		if err := sameBlock(blocks[i], want[i]); err != nil {
			return fmt.Errorf("Blocks(%+v): %w", r, err)
		}
	}
	return e.sameHeaders(r, want)
}

func (e *Env) sameHeaders(r chain.Range, want []chain.Block) error {
	hs, err := e.Chain.Headers(e.ctx, r)
	if err != nil {
		return fmt.Errorf("Headers(%+v): %w", r, err)
	}
	if len(hs) != len(want) {
		return fmt.Errorf("Headers(%+v) = %d headers, want %d", r, len(hs), len(want))
	}
	for i := range hs {
		if err := sameHeader(hs[i], want[i].Header); err != nil {
			return fmt.Errorf("Headers(%+v): %w", r, err)
		}
	}
	return nil
}

// number is a Ref that asks for the canonical block of b's number.
func number(b chain.Block) chain.Ref { return chain.Ref{Number: b.Ref().Number} }

func rangeForward(e *Env) error {
	b, err := e.grow(8)
	if err != nil {
		return err
	}
	for _, from := range []chain.Ref{number(b[2]), b[2].Ref()} {
		for _, n := range []int{1, 3, 6} {
			if err := e.same(chain.Range{From: from, Count: n}, b[2:2+n]); err != nil {
				return err
			}
		}
	}
	return e.same(chain.Range{From: number(b[0]), Count: 2}, b[:2])
}

func rangeHashCounts(e *Env) error {
	b, err := e.grow(6)
	if err != nil {
		return err
	}
	for _, n := range []uint64{0, b[4].Ref().Number, math.MaxUint64} {
		from := chain.Ref{Number: n, Hash: b[2].Ref().Hash}
		err := first(
			func() error { return e.same(chain.Range{From: from, Count: 3}, b[2:5]) },
			func() error {
				return e.same(chain.Range{From: from, Count: 2, Reverse: true}, []chain.Block{b[2], b[1]})
			},
		)
		if err != nil {
			return err
		}
	}
	return nil
}

func rangeEndsAtHead(e *Env) error {
	b, err := e.grow(5)
	if err != nil {
		return err
	}
	for _, n := range []int{3, 100, math.MaxInt} {
		if err := e.same(chain.Range{From: number(b[4]), Count: n}, b[4:]); err != nil {
			return err
		}
	}
	return nil
}

func rangeCountZero(e *Env) error {
	b, err := e.grow(2)
	if err != nil {
		return err
	}
	for _, r := range []chain.Range{{From: number(b[1])}, {From: b[1].Ref(), Reverse: true}, {From: number(b[0]), Skip: 3, MaxBytes: 1}} {
		if err := e.same(r, nil); err != nil {
			return err
		}
	}
	return nil
}

func rangeSkip(e *Env) error {
	b, err := e.grow(9)
	if err != nil {
		return err
	}
	return first(
		func() error {
			return e.same(chain.Range{From: number(b[1]), Count: 3, Skip: 1}, []chain.Block{b[1], b[3], b[5]})
		},
		func() error {
			return e.same(chain.Range{From: b[0].Ref(), Count: 9, Skip: 3}, []chain.Block{b[0], b[4], b[8]})
		},
		func() error {
			return e.same(chain.Range{From: number(b[9]), Count: 3, Skip: 2, Reverse: true}, []chain.Block{b[9], b[6], b[3]})
		},
		func() error {
			return e.same(chain.Range{From: number(b[2]), Count: 4, Skip: 100}, []chain.Block{b[2]})
		},
	)
}

func rangeReverse(e *Env) error {
	b, err := e.grow(5)
	if err != nil {
		return err
	}
	return first(
		func() error {
			return e.same(chain.Range{From: number(b[4]), Count: 3, Reverse: true}, []chain.Block{b[4], b[3], b[2]})
		},
		func() error {
			return e.same(chain.Range{From: b[2].Ref(), Count: 100, Reverse: true}, []chain.Block{b[2], b[1], b[0]})
		},
		func() error {
			return e.same(chain.Range{From: number(b[0]), Count: 2, Reverse: true}, b[:1])
		},
	)
}

func rangeMaxBytes(e *Env) error {
	b, err := e.grow(6)
	if err != nil {
		return err
	}
	three := b[1].Size() + b[2].Size() + b[3].Size()
	for _, tt := range []struct{ max, want int }{{three, 3}, {three - 1, 2}, {three + 1, 3}, {0, 6}, {math.MaxInt, 6}} {
		got, err := e.Chain.Blocks(e.ctx, chain.Range{From: number(b[1]), Count: 6, MaxBytes: tt.max})
		if err != nil {
			return fmt.Errorf("Blocks: %w", err)
		}
		if len(got) != tt.want {
			return fmt.Errorf("Blocks within %d bytes gave %d blocks, want %d (three have %d bytes)", tt.max, len(got), tt.want, three)
		}
	}
	two := len(b[1].Header.Bytes) + len(b[2].Header.Bytes)
	for _, tt := range []struct{ max, want int }{{two, 2}, {two - 1, 1}} {
		got, err := e.Chain.Headers(e.ctx, chain.Range{From: number(b[1]), Count: 6, MaxBytes: tt.max})
		if err != nil {
			return fmt.Errorf("Headers: %w", err)
		}
		if len(got) != tt.want {
			return fmt.Errorf("Headers within %d bytes gave %d headers, want %d (two have %d bytes)", tt.max, len(got), tt.want, two)
		}
	}
	return nil
}

func rangeGivesOne(e *Env) error {
	b, err := e.grow(3)
	if err != nil {
		return err
	}
	return first(
		func() error { return e.same(chain.Range{From: number(b[1]), Count: 3, MaxBytes: 1}, b[1:2]) },
		func() error {
			return e.same(chain.Range{From: b[2].Ref(), Count: 3, MaxBytes: 1, Reverse: true}, b[2:3])
		},
	)
}

func rangeNotFound(e *Env) error {
	if _, err := e.grow(3); err != nil {
		return err
	}
	for _, from := range absent(e.Chain.Status().Head) {
		for _, reverse := range []bool{false, true} {
			r := chain.Range{From: from, Count: 2, Reverse: reverse}
			if got, err := e.Chain.Blocks(e.ctx, r); !errors.Is(err, chain.ErrNotFound) {
				return fmt.Errorf("Blocks(%+v) = %d blocks, %v; want ErrNotFound", r, len(got), err)
			}
			if got, err := e.Chain.Headers(e.ctx, r); !errors.Is(err, chain.ErrNotFound) {
				return fmt.Errorf("Headers(%+v) = %d headers, %v; want ErrNotFound", r, len(got), err)
			}
		}
	}
	return nil
}

func rangeNoWrap(e *Env) error {
	b, err := e.grow(4)
	if err != nil {
		return err
	}
	for _, skip := range []int{4, math.MaxInt32, math.MaxInt - 1, math.MaxInt} {
		for _, count := range []int{2, math.MaxInt} {
			err := first(
				func() error {
					return e.same(chain.Range{From: number(b[3]), Count: count, Skip: skip}, b[3:4])
				},
				func() error {
					return e.same(chain.Range{From: number(b[3]), Count: count, Skip: skip, Reverse: true}, b[3:4])
				},
			)
			if err != nil {
				return err
			}
		}
	}
	return nil
}
