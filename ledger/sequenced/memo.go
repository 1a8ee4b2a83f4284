package sequenced

import (
	"sync"
	"weak"

	"github.com/starlingp2p/starling/chain"
)

const (
	// memoBodies is how many verified bodies are remembered: more than a sync
	// holds between verifying and importing.
	memoBodies = 4096
	// memoHashes bounds their transactions' hashes: 2 MiB.
	memoHashes = 64 << 10
)

// memo remembers the hashes of transactions of bodies that were verified
// lately, so that importing a block does not hash its whole body again. A body
// is known by its root and by the memory that it lies in, which is not kept
// alive, and never written to (chain.Block). The oldest goes first.
type memo struct {
	mu    sync.Mutex // a leaf
	of    map[chain.Hash]verified
	order []chain.Hash // oldest first
	held  int          // hashes
}

// verified is a body that has the root that it is remembered under.
type verified struct {
	body   weak.Pointer[byte] // its first byte
	length int
	txs    []chain.Hash
}

func newMemo() *memo { return &memo{of: map[chain.Hash]verified{}} }

// put remembers that body has transactions of those hashes, and root for it.
func (m *memo) put(root chain.Hash, body []byte, txs []chain.Hash) {
	if len(body) == 0 || len(txs) > memoHashes {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if old, ok := m.of[root]; ok { // it keeps its age
		m.held -= len(old.txs)
	} else {
		m.order = append(m.order, root)
	}
	m.of[root] = verified{weak.Make(&body[0]), len(body), txs}
	m.held += len(txs)
	for len(m.order) > memoBodies || m.held > memoHashes {
		m.held -= len(m.of[m.order[0]].txs)
		delete(m.of, m.order[0])
		m.order = m.order[1:]
	}
}

// get gives the hashes of a body's transactions, if that very body was
// verified to have that root. They are not to be changed.
func (m *memo) get(root chain.Hash, body []byte) ([]chain.Hash, bool) {
	if len(body) == 0 {
		return nil, false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	v, ok := m.of[root]
	if !ok || v.length != len(body) || v.body != weak.Make(&body[0]) {
		return nil, false
	}
	return v.txs, true
}
