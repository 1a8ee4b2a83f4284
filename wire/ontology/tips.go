package ontology

import (
	"bytes"
	"sync"

	"github.com/starlingp2p/starling/chain"
)

// maxTips is how many headers are kept: a sync goes on from one of the last.
const maxTips = 64

// tips are the last headers of recent answers. The node goes on from them
// before they are in its chain, and the protocol does not tell a header alone.
type tips struct {
	mu  sync.Mutex // a leaf
	all []chain.Header
}

func (t *tips) keep(h chain.Header) {
	h.Bytes = bytes.Clone(h.Bytes) // and not the frame that it came in
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.all) >= maxTips {
		t.all = append(t.all[:0], t.all[1:]...)
	}
	t.all = append(t.all, h)
}

func (t *tips) find(h chain.Hash) (chain.Header, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := len(t.all) - 1; i >= 0; i-- {
		if t.all[i].Ref.Hash == h {
			return t.all[i], true
		}
	}
	return chain.Header{}, false
}
