package framed

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/starlingp2p/starling/wire"
)

// sent is a send whose message leaves at once.
func sent(_ context.Context, m *Mark) error { m.goes(); return nil }

// goes is what a writer does with a message.
func (m *Mark) goes() {
	if m.leaves() {
		m.left()
	}
}

func TestAnswersFindWhoAsked(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := NewRequests[int, string](10)
		var wg sync.WaitGroup
		for i := range 10 {
			wg.Go(func() {
				v, err := r.Do(t.Context(), i, time.Minute, sent)
				if i%2 == 0 && (err != nil || v != string(rune('a'+i))) || i%2 == 1 && err == nil {
					t.Errorf("Do(%d) = %q, %v", i, v, err)
				}
			})
		}
		synctest.Wait()
		for i := 9; i >= 0; i-- {
			var err error
			if i%2 == 1 {
				err = errors.New("no")
			}
			if o := r.Answer(i, string(rune('a'+i)), err); o != Taken {
				t.Errorf("Answer(%d) = %d", i, o)
			}
		}
		wg.Wait()
		if o := r.Answer(3, "", nil); o != Unasked {
			t.Errorf("a second answer = %d, want Unasked", o)
		}
	})
}

// Threat L-08: what was asked once is no fault when it comes late; twice, and
// what nobody asked, it is.
func TestLateAnswersAreNoFault(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := NewRequests[int, string](1)
		if _, err := r.Do(t.Context(), 1, time.Second, sent); !errors.Is(err, ErrNoAnswer) {
			t.Errorf("Do = %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		if _, err := r.Do(ctx, 2, time.Minute, sent); !errors.Is(err, context.Canceled) {
			t.Errorf("Do = %v", err)
		}
		if a, b, c := r.Answer(1, "", nil), r.Answer(1, "", nil), r.Answer(2, "", nil); a != Late || b != Unasked || c != Late {
			t.Errorf("Answer = %d, %d, %d", a, b, c)
		}
		r.Do(t.Context(), 3, time.Second, sent)
		time.Sleep(2 * lateFor)
		if o := r.Answer(3, "", nil); o != Unasked {
			t.Errorf("Answer after two minutes = %d", o)
		}
		for i := range 10 * lateMost {
			r.Do(t.Context(), i, time.Millisecond, sent)
		}
		if len(r.late) > lateMost {
			t.Errorf("%d late keys are kept", len(r.late))
		}
	})
}

func TestTheSameQuestionIsSentOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := NewRequests[string, int](1)
		asked := 0
		send := func(_ context.Context, m *Mark) error { asked++; m.goes(); return nil }
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := r.Do(ctx, "k", time.Minute, send); !errors.Is(err, context.Canceled) {
				t.Errorf("the first: %v", err)
			}
		})
		synctest.Wait()
		for range 5 {
			wg.Go(func() {
				if v, err := r.Do(t.Context(), "k", time.Minute, send); v != 7 || err != nil {
					t.Errorf("a later one: %d, %v", v, err)
				}
			})
		}
		synctest.Wait()
		cancel() // the others wait on
		synctest.Wait()
		if !r.Pending("k") {
			t.Error("the question is over though others wait")
		}
		r.Answer("k", 7, nil)
		wg.Wait()
		if asked != 1 {
			t.Errorf("it was asked %d times", asked)
		}
	})
}

func TestQuestionsInFlightAreBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := NewRequests[int, int](2)
		now, most := 0, 0
		var mu sync.Mutex
		var wg sync.WaitGroup
		for i := range 20 {
			wg.Go(func() {
				_, err := r.Do(t.Context(), i, time.Minute, func(_ context.Context, m *Mark) error {
					m.goes()
					mu.Lock()
					now++
					most = max(most, now)
					mu.Unlock()
					go func() {
						time.Sleep(time.Second)
						mu.Lock()
						now--
						mu.Unlock()
						r.Answer(i, i, nil)
					}()
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if most != 2 {
			t.Errorf("%d were in flight, want 2", most)
		}
		if _, err := r.Do(t.Context(), 1, time.Minute, func(context.Context, *Mark) error { return wire.ErrQueueFull }); !errors.Is(err, wire.ErrQueueFull) {
			t.Errorf("Do = %v, want what send said", err)
		}
	})
}

func TestOneGoroutineAsksMany(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := NewRequests[int, int](3)
		var all []*Pending[int, int]
		for i := range 20 {
			p, err := r.Ask(t.Context(), i, func(_ context.Context, m *Mark) error {
				m.goes()
				time.AfterFunc(time.Second, func() { r.Answer(i, i, nil) })
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, p)
		}
		for i, p := range all {
			if v, err := p.Wait(t.Context(), time.Minute); v != i || err != nil {
				t.Errorf("question %d: %d, %v", i, v, err)
			}
		}
	})
}

func TestCloseEndsQuestions(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := NewRequests[int, int](1)
		var wg sync.WaitGroup
		for i := range 5 {
			wg.Go(func() {
				if _, err := r.Do(t.Context(), i, time.Hour, sent); !errors.Is(err, wire.ErrClosed) {
					t.Errorf("Do = %v", err)
				}
			})
		}
		synctest.Wait()
		r.Close()
		r.Close()
		wg.Wait()
		if _, err := r.Do(t.Context(), 1, time.Hour, sent); !errors.Is(err, wire.ErrClosed) {
			t.Errorf("Do after Close = %v", err)
		}
	})
}

// In whatever order questions are asked, given up and answered, places come
// back and nobody gets another's answer.
func TestPlacesComeBack(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		places := rapid.IntRange(1, 3).Draw(rt, "places")
		keys := rapid.SliceOfN(rapid.IntRange(0, 5), 1, 30).Draw(rt, "keys")
		fates := rapid.SliceOfN(rapid.IntRange(0, 3), len(keys), len(keys)).Draw(rt, "fates")
		bubble(t, func(t *testing.T) {
			r := NewRequests[int, int](places)
			var wg sync.WaitGroup
			for i, key := range keys {
				wg.Go(func() {
					ctx, cancel := context.WithTimeout(t.Context(), time.Duration(5+fates[i]*40)*time.Second)
					defer cancel()
					v, err := r.Do(ctx, key, 20*time.Second, func(_ context.Context, m *Mark) error {
						if fates[i] == 3 {
							return wire.ErrQueueFull
						}
						m.goes()
						if fates[i] > 0 {
							time.AfterFunc(time.Duration(fates[i])*10*time.Second, func() { r.Answer(key, key, nil) })
						}
						return nil
					})
					if err == nil && v != key {
						rt.Errorf("asked for %d, got %d", key, v)
					}
				})
			}
			wg.Wait()
			time.Sleep(time.Minute)
			if len(r.places) != 0 || len(r.open) != 0 {
				rt.Errorf("%d places and %d questions are left", len(r.places), len(r.open))
			}
		})
	})
}
