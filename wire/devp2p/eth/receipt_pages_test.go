package eth

import (
	"bytes"
	"errors"
	"math/big"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/params"
	"github.com/ethereum/go-ethereum/rlp"

	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// headerWith is a header whose block used that much gas.
func headerWith(t *testing.T, gas uint64) []byte {
	t.Helper()
	b, err := rlp.EncodeToBytes(&types.Header{Number: big.NewInt(9), Difficulty: new(big.Int), GasUsed: gas, GasLimit: 2 * gas})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// listOf is a list of that many receipts whose logs have that much data.
func listOf(t *testing.T, n, data int) []byte {
	t.Helper()
	one := []any{uint64(2), uint64(1), uint64(21000), []any{[]any{make([]byte, 20), []any{}, bytes.Repeat([]byte{0xfe}, data)}}}
	all := make([]any, n)
	for i := range all {
		all[i] = one
	}
	b, err := rlp.EncodeToBytes(all)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func noBound(int) error { return nil }

// Whatever a block's gas pays for, at the prices of Ethereum's virtual machine
// and with half of it given back, is within the bound.
func TestWhatGasPaysForIsWithinTheBound(t *testing.T) {
	for _, tt := range []struct{ txs, logs, topics, data int }{
		{1, 0, 0, 0},
		{1000, 0, 0, 0},
		{1, 1, 0, 0},
		{1, 1000, 0, 0},
		{1, 1000, 4, 0},
		{10, 1000, 4, 1},
		{3, 100, 1, 55},
		{3, 100, 1, 56},
		{1, 1, 0, 1 << 20},
		{2, 3, 4, 1 << 16},
		{100, 3, 3, 300},
		{1, 5000, 2, 31},
	} {
		one := &types.Receipt{Type: 2, Status: 1, CumulativeGasUsed: 1 << 40}
		gas := uint64(4500) // EIP-2780
		for range tt.logs {
			one.Logs = append(one.Logs, &types.Log{Topics: make([]common.Hash, tt.topics), Data: bytes.Repeat([]byte{0xfe}, tt.data)})
			gas += params.LogGas + uint64(tt.topics)*params.LogTopicGas + uint64(tt.data)*params.LogDataGas
		}
		all := make([]any, tt.txs)
		for i := range all {
			all[i] = []any{one.Type, make([]byte, 32), one.CumulativeGasUsed, one.Logs} // a root, as before Byzantium
		}
		list, err := rlp.EncodeToBytes(all)
		if err != nil {
			t.Fatal(err)
		}
		p := PagesOf(headerWith(t, gas*uint64(tt.txs)/params.RefundQuotient))
		if !p.known {
			t.Fatal("the header's gas is not read")
		}
		if err := p.Add(list, false, noBound); err != nil {
			t.Errorf("%+v: %v", tt, err)
		}
		if !bytes.Equal(p.List(), list) {
			t.Errorf("%+v: another list", tt)
		}
	}
}

// Threats B-05 and L-06: pages that a block's gas cannot pay for, or that bring
// nothing, are faults before they take memory; pages that bring next to nothing
// come to an end, and each is read and copied a few times at most.
func TestPagesThatDoNotAddUp(t *testing.T) {
	page := listOf(t, 4, 1000)
	p := PagesOf(headerWith(t, 4*uint64(len(page))))
	if err := p.Add(page, true, noBound); err != nil {
		t.Fatal(err)
	}
	var f *wire.Fault
	if err := p.Add(page, true, func(int) error { t.Error("memory is asked for"); return nil }); !errors.As(err, &f) || f.Offense != peer.WrongBlock {
		t.Errorf("twice what gas pays for = %v", err)
	}
	p = PagesOf(nil)
	if err := p.Add([]byte{0xc0}, true, noBound); !errors.As(err, &f) || f.Offense != peer.ShortAnswer {
		t.Errorf("a page of nothing = %v", err)
	}
	p = PagesOf(nil)
	if err := p.Add([]byte{0xc0}, false, noBound); err != nil || !bytes.Equal(p.List(), []byte{0xc0}) {
		t.Errorf("a last page of nothing = %v, %x", err, p.List())
	}
	p = PagesOf(nil)
	if err := p.Add(page, true, func(int) error { return wire.ErrQueueFull }); !errors.Is(err, wire.ErrQueueFull) || p.Count() != 0 {
		t.Errorf("without memory = %v, %d receipts", err, p.Count())
	}

	p = PagesOf(nil)
	pages := 0
	for ; pages < 1000; pages++ {
		if err := p.Add(page, true, noBound); err != nil {
			if !errors.Is(err, ErrSmallPages) {
				t.Errorf("small pages = %v", err)
			}
			break
		}
	}
	if pages > freePages+1 {
		t.Errorf("%d pages of %d bytes were taken", pages, len(page))
	}

	large, taken := listOf(t, 300, 1000), 0
	p = PagesOf(nil)
	var err error
	for pages = 0; err == nil; pages++ {
		err = p.Add(large, true, func(n int) error { taken += n; return nil })
	}
	if got := len(p.List()); !errors.Is(err, wire.ErrTooLarge) || got < mostPaged-len(large) || taken > 5*got {
		t.Errorf("after %d pages of %d bytes, %d in all: %v; %d bytes were taken", pages, len(large), got, err, taken)
	}
}

// FuzzPages adds whatever a peer may send as pages: what is taken is a list of as
// many receipts as were counted, within what was asked for and what the gas pays
// for. Threats M-03 and M-04.
func FuzzPages(f *testing.F) {
	list, err := rlp.EncodeToBytes([]any{[]any{uint64(2), uint64(1), uint64(21000), []any{}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(uint64(1_000_000), 2, append(bytes.Clone(list), list...))
	f.Add(uint64(0), 1, []byte{0xc0})
	f.Add(uint64(1<<60), 3, []byte{0xc2, 0xc0, 0xc0, 0xf8})
	f.Fuzz(func(t *testing.T, gas uint64, parts int, b []byte) {
		header, err := rlp.EncodeToBytes(&types.Header{Number: big.NewInt(9), Difficulty: new(big.Int), GasUsed: gas})
		if err != nil {
			t.Fatal(err)
		}
		p, granted := PagesOf(header), 0
		parts = min(max(parts, 1), 64)
		for i := range parts {
			page := b[len(b)*i/parts : len(b)*(i+1)/parts]
			if p.Add(page, i < parts-1, func(n int) error { granted = n; return nil }) != nil {
				break
			}
		}
		if cap(p.buf) > granted || len(p.buf) > p.most+maxHead {
			t.Fatalf("%d bytes in room for %d, granted %d, at most %d", len(p.buf), cap(p.buf), granted, p.most)
		}
		whole := p.List()
		body, rest, err := rlp.SplitList(whole)
		if err != nil || len(rest) > 0 {
			t.Fatalf("the list %x: %v", whole, err)
		}
		if n, err := rlp.CountValues(body); err == nil && uint64(n) != p.Count() {
			t.Fatalf("%d receipts in the list, %d were counted", n, p.Count())
		}
	})
}
