package rules

import (
	"sync"
	"weak"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/wire/opstack/codec"
)

// found remembers what was computed for blocks that are under way between the
// wire and the chain. A body is known by the memory that it lies in, which is
// not kept alive and never written to (chain.Block).
type found struct {
	mu  sync.Mutex // a leaf
	lru *simplelru.LRU[chain.Hash, finding]
}

// finding is what is known of the block of a hash.
type finding struct {
	sig    [codec.SignatureSize]byte // one that counts
	signed bool
	body   weak.Pointer[byte] // has the root that a header with that hash has
	length int
	rooted bool
}

// maxFound is far more than the node's validation pool holds.
const maxFound = 256

func newFound() *found {
	f := new(found)
	f.lru, _ = simplelru.NewLRU[chain.Hash, finding](maxFound, nil) // it errs for sizes below 1 only
	return f
}

func (f *found) change(h chain.Hash, with func(*finding)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	e, _ := f.lru.Get(h)
	with(&e)
	f.lru.Add(h, e)
}

func (f *found) putSigned(h chain.Hash, sig []byte) {
	f.change(h, func(e *finding) { e.signed, e.sig = true, [codec.SignatureSize]byte(sig) })
}

func (f *found) putRooted(h chain.Hash, body []byte) {
	if len(body) > 0 {
		f.change(h, func(e *finding) { e.rooted, e.body, e.length = true, weak.Make(&body[0]), len(body) })
	}
}

// signed reports whether that signature of that block was found to count.
func (f *found) signed(h chain.Hash, sig []byte) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	e, ok := f.lru.Get(h)
	return ok && e.signed && string(e.sig[:]) == string(sig)
}

// rooted reports whether that very body was found to belong to that block.
func (f *found) rooted(h chain.Hash, body []byte) bool {
	if len(body) == 0 {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	e, ok := f.lru.Get(h)
	return ok && e.rooted && e.length == len(body) && e.body == weak.Make(&body[0])
}
