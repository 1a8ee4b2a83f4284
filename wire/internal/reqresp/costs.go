package reqresp

import (
	"sync"

	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/internal/codec"
)

// costs learns how large the items of each kind of answer are.
type costs struct {
	mu   sync.Mutex // a leaf
	size map[string]int
}

// defaultItem is what an item is taken for, in bytes, before one was seen.
const defaultItem = 1024

func (c *costs) guess(r wire.Request) (items, cost int) {
	switch r := r.(type) {
	case wire.GetHeaders:
		items = r.Range.Count
	case wire.GetBlocks:
		items = r.Range.Count
	case wire.GetBodies:
		items = len(r.Hashes)
	case wire.GetBlocksByHash:
		items = len(r.Hashes)
	case wire.GetTxs:
		items = len(r.Hashes)
	default:
		items = 1
	}
	items = max(1, min(items, codec.MaxItems))
	c.mu.Lock()
	defer c.mu.Unlock()
	each := defaultItem
	if n, ok := c.size[wire.KindOf(r)]; ok {
		each = n
	}
	return items, min(items*each, codec.MaxAnswer)
}

func (c *costs) learn(r wire.Request, items, got int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.size == nil {
		c.size = map[string]int{}
	}
	each, kind := max(got/items, 1), wire.KindOf(r)
	if old, ok := c.size[kind]; ok {
		each = (3*old + each) / 4
	}
	c.size[kind] = max(each, 1)
}
