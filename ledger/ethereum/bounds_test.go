package ethereum

import (
	"errors"
	"math/big"
	"strings"
	"testing"

	gethclique "github.com/ethereum/go-ethereum/consensus/clique"
	"github.com/ethereum/go-ethereum/core/rawdb"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/params"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/wire/devp2p/eth"
)

// A checkpoint of as many signers as the bound has room for passes the wire and
// the family, and one that is larger neither.
func TestOneBoundOfHeadersHoldsEverywhere(t *testing.T) {
	for signers, want := range map[int]bool{1: true, 800: true, 1500: true, 1600: false} {
		h := next(t, authority(t, 1, 0, "test").c.Genesis.Header)
		h.Extra = make([]byte, vanityLen+20*signers+sealLen)
		raw := encode(t, h)
		_, wire := eth.ParseHeader(raw)
		_, _, family := decodeHeader(raw)
		if (wire == nil) != want || (family == nil) != want {
			t.Errorf("%d signers in %d bytes: %v on the wire, %v in the family; want good %v", signers, len(raw), wire, family, want)
		}
		if !want && !strings.Contains(family.Error(), "at most 31121") {
			t.Errorf("%v names no bound", family)
		}
	}
}

// Blocks of one second follow each other under clique without a period, as in
// geth, and under no other consensus; an earlier one follows under none.
func TestTimesAreThoseOfTheEngine(t *testing.T) {
	for _, tt := range []struct {
		name   string
		period uint64
		after  int64
		good   bool
	}{
		{"no period, at once", 0, 0, true},
		{"no period, later", 0, 5, true},
		{"no period, before", 0, -1, false},
		{"a period of 3, at once", 3, 0, false},
		{"a period of 3, early", 3, 2, false},
		{"a period of 3, in time", 3, 3, true},
		{"a period of 3, before", 3, -1, false},
	} {
		f := authority(t, 1, 0, "test")
		f.clique.period = tt.period
		h := next(t, f.c.Genesis.Header)
		h.Time = uint64(1_600_000_000 + tt.after)
		b := sealedBy(t, h, key(t, 1))
		_, ours := f.VerifyHeaders(f.c.Genesis.Header, []chain.Header{b.Header})
		engine := gethclique.New(&params.CliqueConfig{Period: tt.period}, rawdb.NewMemoryDatabase())
		theirs := engine.VerifyHeader(newGethChain(f), h)
		engine.Close()
		if (ours == nil) != tt.good || (theirs == nil) != tt.good || ours != nil && !errors.Is(ours, chain.ErrInvalid) {
			t.Errorf("%s: %v; geth says %v; want good %v", tt.name, ours, theirs, tt.good)
		}
	}
	w := generate(t, configs()["frontier"], 2)
	_, h, err := decodeHeader(w.blocks[2].Header.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	h.Time = uint64(w.blocks[1].Header.Time.Unix())
	ch, _, err := decodeHeader(encode(t, h))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.family.VerifyHeaders(w.blocks[1].Header, []chain.Header{ch}); !errors.Is(err, chain.ErrInvalid) || !strings.Contains(err.Error(), "is not after its parent's") {
		t.Errorf("proof of work, at once: %v", err)
	}
}

// What is wrong in a header or a receipt is named: the field, its value, the bound.
func TestErrorsNameFieldValueAndBound(t *testing.T) {
	number, difficulty, late := &types.Header{Number: new(big.Int).Lsh(big.NewInt(1), 64), Difficulty: big.NewInt(1)}, &types.Header{Number: big.NewInt(1), Difficulty: new(big.Int).Lsh(big.NewInt(1), 80)}, &types.Header{Number: big.NewInt(1), Difficulty: big.NewInt(1), Time: 1 << 63}
	for want, h := range map[string]*types.Header{
		"number 18446744073709551616 is over 64 bits":          number,
		"difficulty 1208925819614629174706176 is over 80 bits": difficulty,
		"time 9223372036854775808 is over 4611686018427387903": late,
	} {
		if _, _, err := decodeHeader(encode(t, h)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	address, topic := make([]byte, 20), make([]byte, 32)
	log := func(address []byte, topics ...any) any { return []any{address, topics, []byte{}} }
	good := log(address, topic)
	for want, receipt := range map[string]any{
		"receipt 1: rlp: expected List":                   []byte("receipt"),
		"receipt 1: type: rlp: expected String or Byte":   []any{[]any{}, []byte{1}, uint(7), []any{}},
		"receipt 1: type 128 is over 127":                 []any{uint(128), []byte{1}, uint(7), []any{}},
		"receipt 1: status has 31 bytes, want 0, 1 or":    []any{uint(0), make([]byte, 31), uint(7), []any{}},
		"receipt 1: gas: rlp":                             []any{uint(0), []byte{1}, make([]byte, 9), []any{}},
		"receipt 1: logs: rlp: expected List":             []any{uint(0), []byte{1}, uint(7), []byte{1, 2, 3, 4}},
		"receipt 1: logs: 1 bytes are left over":          []any{uint(0), []byte{1}, uint(7), []any{}, []byte{1}},
		"receipt 1: log 1: address has 19 bytes, want 20": []any{uint(0), []byte{1}, uint(7), []any{good, log(address[1:], topic)}},
		"receipt 1: log 2: topic 1 has 31 bytes, want 32": []any{uint(0), []byte{1}, uint(7), []any{good, good, log(address, topic, topic[1:])}},
		"receipt 1: log 0: topics: rlp: expected List":    []any{uint(0), []byte{1}, uint(7), []any{[]any{address, topic, []byte{}}}},
		"its receipts' root is 0x":                        []any{uint(0), []byte{1}, uint(7), []any{good}},
	} {
		extra := encode(t, []any{[]any{uint(0), []byte{1}, uint(7), []any{}}, receipt})
		if err := verifyReceipts(&types.Header{}, 2, extra); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
