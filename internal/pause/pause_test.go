package pause_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/starlingp2p/starling/internal/pause"
)

func TestAPauseEndsWithItsTimeOrItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		quit := errors.New("quit")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(90*time.Second, func() { cancel(quit) })
		began := time.Now()
		for _, tt := range []struct {
			d, took time.Duration
			want    error
		}{
			{-time.Second, 0, nil},
			{0, 0, nil},
			{time.Minute, time.Minute, nil},
			{time.Minute, 30 * time.Second, quit},
			{time.Minute, 0, quit},
			{0, 0, nil},
		} {
			if err := pause.For(ctx, tt.d); !errors.Is(err, tt.want) || time.Since(began) != tt.took {
				t.Errorf("For(%v) = %v after %v, want %v after %v", tt.d, err, time.Since(began), tt.want, tt.took)
			}
			began = time.Now()
		}
	})
}
