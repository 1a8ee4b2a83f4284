package opstack

import (
	"bytes"
	"hash/maphash"
	"sync"

	"github.com/starlingp2p/starling/wire/opstack/codec"
)

// maxCopies bounds what Copies holds, in bytes.
const maxCopies = 32 << 20

// Copies knows the id of a message by its bytes as they travel, so that only
// the first copy is decompressed and hashed, and keeps what it decompressed
// until the validator takes it. A different encoding of the same message is
// another entry with the same id. It is safe for concurrent use.
type Copies struct {
	seed maphash.Seed

	mu    sync.Mutex // a leaf
	at    map[uint64]*copied
	order []uint64 // oldest first
	held  int      // bytes

	first   map[string]uint64 // by id: the key of the encoding that came first
	ids     []string          // of first, oldest first
	brought map[string]uint64 // by id and peer: the key of another encoding
	bringer []string          // of brought, oldest first
}

// How many messages, and how many deliverers of other encodings, are remembered.
const (
	maxFirst   = 1024
	maxBrought = 4096
)

type copied struct {
	topic string
	data  []byte // as it travelled; pubsub never writes to it
	id    string
	body  []byte // nil: taken, or no snappy
}

func (c *copied) size() int { return len(c.data) + len(c.body) }

// NewCopies makes one that knows nothing.
func NewCopies() *Copies {
	return &Copies{seed: maphash.MakeSeed(), at: map[uint64]*copied{}, first: map[string]uint64{}, brought: map[string]uint64{}}
}

func (c *Copies) key(topic string, data []byte) uint64 {
	var h maphash.Hash
	h.SetSeed(c.seed)
	h.WriteString(topic)
	h.WriteByte(0)
	h.Write(data)
	return h.Sum64()
}

// is reports whether an entry is about these bytes: the key is a short hash.
func (c *copied) is(topic string, data []byte) bool {
	return c != nil && c.topic == topic && bytes.Equal(c.data, data)
}

// ID is the message id. It is called on pubsub's goroutine, once for each copy.
func (c *Copies) ID(topic string, data []byte) string {
	k := c.key(topic, data)
	c.mu.Lock()
	e := c.at[k]
	c.mu.Unlock()
	if e.is(topic, data) {
		return e.id
	}
	e = &copied{topic: topic, data: data}
	if body, err := decompressAny(data); err == nil {
		e.id, e.body = codec.MessageID(topic, body), body
	} else {
		e.id = codec.RawMessageID(topic, data)
	}
	c.put(k, e)
	return e.id
}

// decompressAny is what decides which id a message has: unlike the table's, its
// bound is from above only.
func decompressAny(data []byte) ([]byte, error) {
	if n, err := codec.DecodedLen(data); err != nil && (n == 0 || n > codec.MaxMessage) {
		return nil, err
	}
	return codec.Decompress(data)
}

func (c *Copies) put(k uint64, e *copied) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, known := c.first[e.id]; !known {
		c.ids = remember(c.first, c.ids, e.id, k, maxFirst)
	}
	if e.size() > maxCopies/2 {
		return
	}
	if old := c.at[k]; old != nil {
		c.held -= old.size()
	} else {
		c.order = append(c.order, k)
	}
	c.at[k] = e
	c.held += e.size()
	for c.held > maxCopies && len(c.order) > 1 {
		c.held -= c.at[c.order[0]].size()
		delete(c.at, c.order[0])
		c.order = c.order[1:]
	}
}

// Take gives what a message decompressed to, once; nil where that is not kept.
func (c *Copies) Take(topic string, data []byte) []byte {
	k := c.key(topic, data)
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.at[k]
	if !e.is(topic, data) || e.body == nil {
		return nil
	}
	body := e.body
	c.held -= len(body)
	c.at[k] = &copied{topic: e.topic, data: e.data, id: e.id}
	return body
}

// remember notes k under name, and forgets the oldest over the bound.
func remember(in map[string]uint64, order []string, name string, k uint64, most int) []string {
	if _, ok := in[name]; !ok {
		order = append(order, name)
	}
	in[name] = k
	for len(order) > most {
		delete(in, order[0])
		order = order[1:]
	}
	return order
}

// Recoded takes in that a peer brought a copy of a message that had come, and
// reports whether it brought the same message before in yet another encoding.
// Whoever relays sends the bytes that it got, once; to encode them anew is a way
// to have us decompress for nothing.
func (c *Copies) Recoded(peer, topic string, data []byte) bool {
	id, k := c.ID(topic, data), c.key(topic, data)
	c.mu.Lock()
	defer c.mu.Unlock()
	if first, known := c.first[id]; !known || first == k {
		return false
	}
	name := id + peer
	before, again := c.brought[name]
	c.bringer = remember(c.brought, c.bringer, name, k, maxBrought)
	return again && before != k
}

// Held is how many bytes it keeps.
func (c *Copies) Held() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.held
}
