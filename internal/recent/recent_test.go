package recent

import "testing"

func TestTheOldestIsForgotten(t *testing.T) {
	m := NewMap[int, string](2)
	for _, k := range []int{1, 2, 1, 2, 3} {
		m.Add(k, string(rune('a'+k)))
	}
	if m.Has(1) || !m.Has(2) || !m.Has(3) || len(m.of) != 2 {
		t.Errorf("of 1, 2, 1, 2, 3 it has %v", m.of)
	}
	m.Add(2, "another")
	if v, ok := m.Get(2); v != "c" || !ok {
		t.Errorf("added again, the value is %q, %v", v, ok)
	}
	if v, ok := m.Get(1); v != "" || ok {
		t.Errorf("what is forgotten is %q, %v", v, ok)
	}
}

func TestASetForgetsTheOldest(t *testing.T) {
	s := NewSet[byte](2)
	for _, b := range []byte{1, 2, 2, 3} {
		s.Add(b)
	}
	if s.Has(1) || !s.Has(2) || !s.Has(3) {
		t.Error("of 1, 2, 2, 3 the last two are not those remembered")
	}
}
