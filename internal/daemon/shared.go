package daemon

import (
	"encoding/json"
	"sync"
)

// sharedTexts is how many encoded notifications are kept for other readers.
const sharedTexts = 256

// shared keeps what was lately made of a record or a block, so that many
// subscriptions cost little more than one. It is a ring of the last; its mutex
// is a leaf.
type shared[K comparable] struct {
	mu   sync.Mutex
	text map[K]json.RawMessage
	ring []K
	next int
}

func newShared[K comparable]() *shared[K] {
	return &shared[K]{text: make(map[K]json.RawMessage, sharedTexts), ring: make([]K, 0, sharedTexts)}
}

// get gives a value's encoding: the kept one, or what make makes now.
func (s *shared[K]) get(k K, make func() any) (json.RawMessage, error) {
	s.mu.Lock()
	text, ok := s.text[k]
	s.mu.Unlock()
	if ok {
		return text, nil
	}
	text, err := json.Marshal(make())
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.text[k]; ok {
		return text, nil
	}
	if len(s.ring) < sharedTexts {
		s.ring = append(s.ring, k)
	} else {
		delete(s.text, s.ring[s.next])
		s.ring[s.next] = k
		s.next = (s.next + 1) % sharedTexts
	}
	s.text[k] = text
	return text, nil
}
