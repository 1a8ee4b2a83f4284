package rules

import (
	"slices"
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/wire/opstack/codec"
)

// seen remembers the hashes that were accepted at recent heights, for each
// version apart, as op-node does for each topic. Only what the sequencer signed
// enters, so nobody else can push anything out.
type seen struct {
	mu sync.Mutex // a leaf
	at [codec.V4 + 1]*simplelru.LRU[uint64, []chain.Hash]
}

func newSeen() *seen {
	s := new(seen)
	for _, v := range codec.Versions {
		s.at[v], _ = simplelru.NewLRU[uint64, []chain.Hash](SeenHeights, nil) // it errs for sizes below 1 only
	}
	return s
}

// note takes a block in, unless its height has MaxPerHeight already, which is
// tested first, as in op-node: then even a repeat of one of them is too many.
// twice: it is the second of its height.
func (s *seen) note(v codec.Version, r chain.Ref) (full, known, twice bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	hs, _ := s.at[v].Get(r.Number)
	switch {
	case len(hs) >= MaxPerHeight:
		return true, false, false
	case slices.Contains(hs, r.Hash):
		return false, true, false
	}
	s.at[v].Add(r.Number, append(slices.Clone(hs), r.Hash))
	return false, false, len(hs) == 1
}

// Evidence is a height at which the sequencer signed several blocks.
type Evidence struct {
	Height uint64
	Hashes []chain.Hash // at most MaxPerHeight, in the order of arrival
}

// maxEvidence bounds what Evidence gives.
const maxEvidence = 64

// Evidence lists recent heights at which the sequencer signed several blocks,
// by version and age, at most 64.
func (r *Rules) Evidence() []Evidence {
	r.seen.mu.Lock()
	defer r.seen.mu.Unlock()
	var out []Evidence
	for _, v := range codec.Versions {
		for _, n := range r.seen.at[v].Keys() {
			if hs, _ := r.seen.at[v].Peek(n); len(hs) > 1 && len(out) < maxEvidence {
				out = append(out, Evidence{n, slices.Clone(hs)})
			}
		}
	}
	return out
}
