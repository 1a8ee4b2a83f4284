package recent

// Map has the values of the keys that were added last. It is not safe for
// concurrent use.
type Map[K comparable, V any] struct {
	most int
	of   map[K]V
	keys []K
	next int // in keys, once that is full: the oldest
}

// NewMap makes a map of at most most keys, at least 1.
func NewMap[K comparable, V any](most int) *Map[K, V] {
	return &Map[K, V]{most: max(most, 1), of: map[K]V{}}
}

// Add puts a key in, and takes the oldest out where the map is full. A key that
// is there keeps its value and its place.
func (m *Map[K, V]) Add(k K, v V) {
	if m.Has(k) {
		return
	}
	if len(m.keys) < m.most {
		m.keys = append(m.keys, k)
	} else {
		delete(m.of, m.keys[m.next])
		m.keys[m.next] = k
		m.next = (m.next + 1) % m.most
	}
	m.of[k] = v
}

// Get is the value of a key; false: it is not there.
func (m *Map[K, V]) Get(k K) (V, bool) {
	v, ok := m.of[k]
	return v, ok
}

// Has reports whether a key is there.
func (m *Map[K, V]) Has(k K) bool {
	_, ok := m.of[k]
	return ok
}

// Set has the keys that were added last. It is not safe for concurrent use.
type Set[K comparable] struct{ in *Map[K, struct{}] }

// NewSet makes a set of at most most keys, at least 1.
func NewSet[K comparable](most int) Set[K] { return Set[K]{NewMap[K, struct{}](most)} }

// Add puts a key in, and takes the oldest out where the set is full.
func (s Set[K]) Add(k K) { s.in.Add(k, struct{}{}) }

// Has reports whether a key is there.
func (s Set[K]) Has(k K) bool { return s.in.Has(k) }
