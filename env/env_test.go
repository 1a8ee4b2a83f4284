package env_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/starlingp2p/starling/env"
)

func TestSkewedWallIsOffByItsSkew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w env.SkewedWall
		w.SetSkew(-time.Hour)
		if got, want := w.Now(), time.Now().Add(-time.Hour); !got.Equal(want) {
			t.Errorf("Now = %v, want %v", got, want)
		}
		if got, want := env.SystemWall().Now(), time.Now(); !got.Equal(want) {
			t.Errorf("SystemWall().Now = %v, want %v", got, want)
		}
	})
}

func TestNewRandRepeatsForASeed(t *testing.T) {
	a, b, c := env.NewRand(7), env.NewRand(7), env.NewRand(8)
	same, other := true, true
	for range 64 {
		x := a.Uint64()
		same = same && x == b.Uint64()
		other = other && x == c.Uint64()
	}
	if !same || other {
		t.Errorf("same seed equal = %v, other seed equal = %v; want true, false", same, other)
	}
	if env.NewRand(0).Uint64() == env.NewRand(0).Uint64() {
		t.Error("two generators with seed 0 drew the same number")
	}
}
