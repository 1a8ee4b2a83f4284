package meter

import "sync"

// keyed has one V for each key. At most max keys get one of their own; what
// comes under others is under the key that fold makes of them, which must be one
// of few. To find a key that is known takes no allocation.
type keyed[K comparable, V any] struct {
	max   int
	fold  func(K) K
	fresh func() *V

	mu sync.RWMutex // a leaf
	by map[K]*V
}

func newKeyed[K comparable, V any](max int, fold func(K) K, fresh func() *V) *keyed[K, V] {
	return &keyed[K, V]{max: max, fold: fold, fresh: fresh, by: make(map[K]*V)}
}

// at is what belongs to a key. It never blocks for long.
func (t *keyed[K, V]) at(k K) *V {
	t.mu.RLock()
	v := t.by[k]
	t.mu.RUnlock()
	if v == nil {
		v = t.add(k)
	}
	return v
}

func (t *keyed[K, V]) add(k K) *V {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.by[k] == nil && len(t.by) >= t.max {
		k = t.fold(k)
	}
	v := t.by[k]
	if v == nil {
		v = t.fresh()
		t.by[k] = v
	}
	return v
}

// copied is what of makes of each V, by key.
func copied[K comparable, V, C any](t *keyed[K, V], of func(*V) C) map[K]C {
	t.mu.RLock()
	defer t.mu.RUnlock()
	out := make(map[K]C, len(t.by))
	for k, v := range t.by {
		out[k] = of(v)
	}
	return out
}
