package intake_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/starlingp2p/starling/wire/internal/intake"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A cut ends the reads of a link by its deadline: one that came after the frame
// is whole would hit the link's next frame, of a peer that did all in time.
func TestACutIsOverWhenTheFrameIsWhole(t *testing.T) {
	b := intake.NewBudget(1 << 20)
	begun, goOn := make(chan struct{}), make(chan struct{})
	var order []string // the cut's, then that of whoever has the whole frame
	g, err := b.Frame(t.Context(), 1<<20, func() {
		close(begun)
		<-goOn
		order = append(order, "cut")
	})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { // it waits, so the other is cut
		give, err := b.Take(t.Context(), 1)
		if err == nil {
			give()
		}
		ended <- err
	}()
	<-begun
	whole := make(chan struct{})
	go func() {
		defer close(whole)
		g.Whole()
		order = append(order, "whole")
	}()
	time.AfterFunc(10*time.Millisecond, func() { close(goOn) })
	<-whole
	if len(order) != 2 || order[0] != "cut" {
		t.Errorf("%v: the cut was under way when the frame was called whole", order)
	}
	g.GiveBack()
	if err := <-ended; err != nil {
		t.Error(err)
	}

	late, err := b.Frame(t.Context(), 1<<20, func() { t.Error("a whole frame was cut") })
	if err != nil {
		t.Fatal(err)
	}
	late.Whole()
	late.GiveBack()
	if used := b.Used(); used != 0 {
		t.Errorf("%d bytes are still granted", used)
	}
}

// Threat M-03: lengths cost nothing, so what does not follow them up loses
// its memory as soon as somebody else wants it.
func TestAnIdleFrameMakesRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := intake.NewBudget(1 << 20)
		cut := make(chan struct{})
		idle, err := b.Frame(t.Context(), 1<<20, func() { close(cut) })
		if err != nil {
			t.Fatal(err)
		}
		go func() { <-cut; idle.GiveBack() }()
		start := time.Now()
		g, err := b.Frame(t.Context(), 1000, nil)
		if err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took > 2*time.Second || !idle.Late() {
			t.Errorf("the wait took %v, and the idle frame's Late is %v", took, idle.Late())
		}
		g.Whole()
		g.GiveBack()
	})
}

func TestAQuickFrameIsNotCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := intake.NewBudget(1 << 20)
		g, err := b.Frame(t.Context(), 1<<20, func() { t.Error("cut") })
		if err != nil {
			t.Fatal(err)
		}
		g.Came(1 << 20)
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		if _, err := b.Take(ctx, 1); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Take = %v though all is taken", err)
		}
		g.GiveBack()
		if b.Size() != 1<<20 {
			t.Errorf("Size = %d", b.Size())
		}
	})
}

func TestOnlyASlowMovingFrameDrips(t *testing.T) {
	for _, tt := range []struct {
		name string
		come func(*intake.Pace)
		want bool
	}{
		{"one byte in 5 s", func(p *intake.Pace) {
			for range 4 {
				time.Sleep(5 * time.Second)
				p.Came(1)
			}
		}, true},
		{"stopped", func(p *intake.Pace) { p.Came(100); time.Sleep(20 * time.Second) }, false},
		{"slow link", func(p *intake.Pace) {
			for range 20 {
				time.Sleep(time.Second)
				p.Came(1000)
			}
		}, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			var p intake.Pace
			p.Begin(0)
			tt.come(&p)
			if got := p.Drips(); got != tt.want {
				t.Errorf("%s: Drips = %v, want %v", tt.name, got, tt.want)
			}
		})
	}
}

// Threat B-06: what grew too large is left to the collector, and what is given
// back is used again.
func TestScratchIsBounded(t *testing.T) {
	b := intake.NewBudget(64 << 20)
	b.Reuse(make([]byte, 3<<20))
	if got := b.Scratch(1); got != nil {
		t.Errorf("a buffer of %d bytes was kept", cap(got))
	}
	b.Reuse(make([]byte, 100<<10))
	if got := b.Scratch(200 << 10); got != nil {
		t.Errorf("a buffer of %d bytes was given for 200 KiB", cap(got))
	}
	if got := b.Room(200 << 10); len(got) != 200<<10 || cap(got) > 256<<10 {
		t.Errorf("room for 200 KiB has %d bytes, of %d", len(got), cap(got))
	}
	if got := b.Room(9 << 20); cap(got) > 10<<20 {
		t.Errorf("room for 9 MiB has %d bytes", cap(got))
	}
	for range 100 { // a pool may forget, and does so on purpose under the race detector
		b.Reuse(make([]byte, 1<<20))
		if got := b.Scratch(200 << 10); len(got) == 200<<10 {
			return
		}
	}
	t.Error("no buffer was used again")
}

// Whoever holds memory and waits for more would wait for ever if all others do
// so too: growing together under a full budget ends soon, and all is paid back.
func TestGrowingTogetherEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := intake.NewBudget(1 << 20)
		const many = 16
		done := make(chan error, many)
		for range many {
			go func() {
				g, err := b.Frame(t.Context(), 1<<16, nil)
				if err != nil {
					done <- err
					return
				}
				g.Whole()
				time.Sleep(time.Second) // until all hold their part
				give, err := b.More(t.Context(), 1<<18)
				if err == nil {
					time.Sleep(10 * time.Millisecond)
					give()
				}
				g.GiveBack()
				done <- err
			}()
		}
		for range many {
			if err := <-done; err != nil {
				t.Fatal(err)
			}
		}
		if used := b.Used(); used != 0 {
			t.Errorf("%d bytes are still granted", used)
		}
		give, err := b.Take(t.Context(), 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if over, err := b.More(ctx, 1); err != nil { // the token is back
			t.Error(err)
		} else {
			if _, err := b.More(ctx, 1); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("two took what is not there: %v", err)
			}
			over()
		}
		give()
	})
}
