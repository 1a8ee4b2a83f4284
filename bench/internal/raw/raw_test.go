package raw

import "testing"

func TestBaselineSyncsAfterTheSameShareOfTheBytes(t *testing.T) {
	got := syncMarks(Job{Bytes: 1000, Imports: []int{1, 2, 7}})
	want := []int{100, 300, 1000}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("marks are %v, want %v", got, want)
		}
	}
}
