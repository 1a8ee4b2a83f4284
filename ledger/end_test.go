package ledger

import (
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A compaction under way must neither keep the node from stopping nor look like
// a failure.
func TestClosingCutsACompactionShort(t *testing.T) {
	for _, tt := range []struct {
		name  string
		close func(f *fence, done chan error)
		after time.Duration
		fails bool
	}{
		{"at once", func(_ *fence, done chan error) { done <- nil }, 0, false},
		{"with its own error", func(_ *fence, done chan error) { done <- errors.New("leaked iterators") }, 0, true},
		{"at a compaction", func(f *fence, done chan error) { <-f.shut; done <- errFenced }, patience, false},
		{"never", func(*fence, chan error) {}, 2 * patience, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, f, done := &store{log: slog.New(slog.DiscardHandler)}, newFence(vfs.NewMem()), make(chan error, 1)
				go tt.close(f, done)
				began := time.Now()
				err := s.ended(done, f)
				if took := time.Since(began); took != tt.after || (err != nil) != tt.fails {
					t.Errorf("closed after %v with %v, want %v and an error: %v", took, err, tt.after, tt.fails)
				}
			})
		})
	}
}
