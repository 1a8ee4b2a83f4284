package sequenced

import (
	"encoding/binary"
	"runtime"
	"slices"
	"testing"

	"github.com/starlingp2p/starling/chain"
)

func numberedHash(n int) (h chain.Hash) {
	binary.BigEndian.PutUint64(h[:], uint64(n))
	return h
}

// Only the very memory that was verified is taken for verified, not equal
// bytes elsewhere, nor a part of it, nor another root.
func TestMemoKnowsABodyByItsMemory(t *testing.T) {
	m := newMemo()
	body, txs := []byte("a body"), []chain.Hash{{1}, {2}}
	m.put(chain.Hash{9}, body, txs)
	if got, ok := m.get(chain.Hash{9}, body); !ok || !slices.Equal(got, txs) {
		t.Fatalf("get = %v, %v; want what was put", got, ok)
	}
	for name, miss := range map[string]struct {
		root chain.Hash
		body []byte
	}{
		"equal bytes":  {chain.Hash{9}, slices.Clone(body)},
		"a part":       {chain.Hash{9}, body[:5]},
		"another root": {chain.Hash{8}, body},
		"nothing":      {chain.Hash{9}, nil},
	} {
		if got, ok := m.get(miss.root, miss.body); ok {
			t.Errorf("%s: get = %v, want none", name, got)
		}
	}
	runtime.KeepAlive(body)
}

func TestMemoIsBoundedInBodiesAndHashes(t *testing.T) {
	m := newMemo()
	body := []byte("a body")
	for i := range 3 * memoBodies {
		m.put(numberedHash(i), body, []chain.Hash{{}})
		if len(m.of) > memoBodies || len(m.order) != len(m.of) || m.held != len(m.of) {
			t.Fatalf("%d remembered in order %d with %d hashes, bound %d", len(m.of), len(m.order), m.held, memoBodies)
		}
	}
	many := make([]chain.Hash, memoHashes/2)
	for i := range 5 {
		m.put(numberedHash(-1-i), body, many)
		m.put(numberedHash(-1-i), body, many) // again: it counts once
		if m.held > memoHashes {
			t.Fatalf("%d hashes are held, bound %d", m.held, memoHashes)
		}
	}
	if len(m.of) != 2 {
		t.Errorf("%d remembered, want the last 2", len(m.of))
	}
	m.put(chain.Hash{1}, body, make([]chain.Hash, memoHashes+1))
	if _, ok := m.get(chain.Hash{1}, body); ok || len(m.of) != 2 {
		t.Error("more than the bound was remembered")
	}
}
