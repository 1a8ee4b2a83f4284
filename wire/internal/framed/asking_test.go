package framed

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/starlingp2p/starling/sim/bed"
	"github.com/starlingp2p/starling/wire"
)

// asker is a side that asks "k" and answers nothing: frames of code 7 are its answers.
type asker struct {
	*side
	requests *Requests[string, Frame]
	unasked  atomic.Int32
}

func newAsker(t *testing.T, link bed.Link) (a *asker, b *side) {
	t.Helper()
	x, y := pair(t, link)
	a = &asker{requests: NewRequests[string, Frame](4)}
	a.side = prepare(x, Config{Stall: time.Hour, Idle: time.Hour, Handle: func(f Frame) error {
		if o := a.requests.Answer("k", f, nil); o != Taken {
			f.Release()
			if o == Unasked {
				a.unasked.Add(1)
			}
		}
		return nil
	}})
	a.start(t.Context())
	return a, prepare(y, Config{Stall: time.Hour, Idle: time.Hour})
}

func (a *asker) ask(ctx context.Context, timeout time.Duration) (Frame, error) {
	return a.requests.Do(ctx, "k", timeout, func(ctx context.Context, m *Mark) error {
		return a.Send(ctx, wire.LaneSync, Out{Code: 7, Payload: []byte("?"), Mark: m})
	})
}

// Threats L-08 and M-03: a peer that reads nothing, so that no question leaves,
// and answers all the same with keys that it guesses, has answered nothing: what
// it sent is not held for a question that never was put, however often it does so.
func TestAnAnswerBeforeItsQuestionHoldsNoMemory(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a, b := newAsker(t, bed.Link{Latency: 10 * time.Millisecond, Queue: 64 << 10, Buffer: 64 << 10})
		for range 4 { // more than is on its way unread
			send(t, a.side, wire.LaneSync, out(1, strings.Repeat("x", 200<<10)))
		}
		synctest.Wait()
		answer := sealed(7, strings.Repeat("z", testMax))
		for i := range 8 { // twice the budget
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { _, err := a.ask(ctx, time.Hour); ended <- err }()
			synctest.Wait()
			if _, err := b.conn.Raw().Write(answer); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
			select {
			case err := <-ended:
				t.Fatalf("round %d: the question has ended: %v", i, err)
			default:
			}
			cancel()
			if err := <-ended; !errors.Is(err, context.Canceled) {
				t.Fatalf("round %d: %v", i, err)
			}
			if used := a.conn.budget.Used(); used != 0 {
				t.Fatalf("round %d: %d bytes of the budget are taken", i, used)
			}
		}
		if n := a.unasked.Load(); n != 8 {
			t.Errorf("%d answers were taken for unasked, want 8", n)
		}
		a.Close("")
		b.conn.Close()
		a.ends(t)
	})
}

// A question that nobody waits for any more is not written, so its answer would
// be one that nobody asked for.
func TestAQuestionThatWasGivenUpIsNotSent(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a, b := newAsker(t, bed.Link{Latency: 10 * time.Millisecond, Queue: 64 << 10, Buffer: 64 << 10})
		for range 2 {
			send(t, a.side, wire.LaneSync, out(1, strings.Repeat("x", 300<<10)))
		}
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := a.ask(ctx, time.Hour); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("Do = %v", err)
		}
		if _, err := a.ask(t.Context(), time.Second); !errors.Is(err, ErrUnsent) || !errors.Is(err, wire.ErrOurs) {
			t.Fatalf("Do = %v, want ErrUnsent, which is ours", err)
		}
		send(t, a.side, wire.LaneSync, out(2, "end"))
		b.start(t.Context())
		for code := uint64(0); code != 2; {
			f := <-b.got
			if code = f.Code; code == 7 {
				t.Error("the question was sent")
			}
		}
		a.Close("")
		a.ends(t)
		b.ends(t)
	})
}

// Our questions do not stand in line behind our answers, and whoever asks waits
// for the peer, not for our uplink: the time counts from when the question left.
func TestQuestionsGoAheadOfAnswers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		// 64 KiB/s: what is queued takes a minute.
		a, b := newAsker(t, bed.Link{Latency: 10 * time.Millisecond, Rate: 64 << 10, Queue: 64 << 10, Buffer: 64 << 10})
		var mu sync.Mutex
		before := 0
		b.cfg.Handle = func(f Frame) error {
			defer f.Release()
			mu.Lock()
			defer mu.Unlock()
			if before++; f.Code == 7 {
				time.Sleep(8 * time.Second)
				b.Send(t.Context(), wire.LaneSync, out(7, "!"))
			}
			return nil
		}
		b.start(t.Context())
		const answers = 8
		for range answers {
			send(t, a.side, wire.LaneSync, out(1, strings.Repeat("x", 512<<10)))
		}
		time.Sleep(time.Second)
		began, left := time.Now(), time.Time{}
		const patience = 12 * time.Second
		f, err := a.ask(wire.OnSent(t.Context(), func(at time.Time) { left = at }), patience)
		if err != nil {
			t.Fatalf("Do = %v after %v: the time in our queue counted", err, time.Since(began))
		}
		f.Release()
		mu.Lock()
		if before > answers/2 {
			t.Errorf("the question came behind %d of %d answers", before-1, answers)
		}
		mu.Unlock()
		if wait, answer := left.Sub(began), time.Since(left); wait < time.Second || wait+answer < patience {
			t.Errorf("it left after %v and was answered %v later: nothing is shown by that", wait, answer)
		}
		a.Close("")
		b.Close("")
		a.ends(t)
		b.ends(t)
	})
}

// token is an answer of which is counted how often it is let go.
type token struct{ key, released int }

// In whatever order questions are put, leave, are answered, given up and closed:
// each answer that comes is somebody's once, who asked before it came, and none
// is left over; an answer to what has not left is not taken.
func TestEveryAnswerIsLetGoOnce(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		places := rapid.IntRange(1, 3).Draw(rt, "places")
		steps := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) [2]int {
			return [2]int{rapid.IntRange(0, 6).Draw(t, "step"), rapid.IntRange(0, 4).Draw(t, "key")}
		}), 1, 40).Draw(rt, "steps")
		bubble(t, func(t *testing.T) {
			type asked struct {
				cancel context.CancelFunc
				mark   *Mark
				put    chan error // what send gives
			}
			r := NewRequests[int, *token](places)
			var wg sync.WaitGroup
			var mu sync.Mutex
			byKey := map[int]*asked{} // the last that asked under each
			var all []*token
			got := map[*token]int{}
			left := map[int]bool{}
			closed := false
			for i, s := range steps {
				do, key := s[0], s[1]
				mu.Lock()
				q := byKey[key]
				mu.Unlock()
				switch do {
				case 0, 1: // ask, under a key of its own
					if q != nil {
						break
					}
					ctx, cancel := context.WithCancel(t.Context())
					q := &asked{cancel: cancel, put: make(chan error, 1)}
					mu.Lock()
					byKey[key] = q
					mu.Unlock()
					wg.Go(func() {
						defer cancel()
						v, err := r.Do(ctx, key, time.Hour, func(ctx context.Context, m *Mark) error {
							mu.Lock()
							q.mark = m
							mu.Unlock()
							if do == 0 {
								return nil // queued
							}
							select { // no room
							case err := <-q.put:
								return err
							case <-ctx.Done():
								return context.Cause(ctx)
							}
						})
						mu.Lock()
						defer mu.Unlock()
						if byKey[key] == q {
							delete(byKey, key)
							delete(left, key)
						}
						if err == nil {
							got[v]++
							v.released++
							if v.key != key {
								rt.Errorf("step %d: asked for %d, got %d", i, key, v.key)
							}
						}
					})
				case 2: // it leaves
					mu.Lock()
					if q != nil && q.mark != nil && !left[key] {
						q.mark.goes()
						left[key] = !closed
					}
					mu.Unlock()
				case 3, 4: // an answer comes
					v := &token{key: key}
					mu.Lock()
					all = append(all, v)
					o, may := r.Answer(key, v, nil), left[key]
					if o != Taken {
						v.released++
					} else if !may {
						rt.Errorf("step %d: an answer to what had not left was taken", i)
					}
					mu.Unlock()
				case 5: // whoever asks gives up
					if q != nil {
						q.cancel()
					}
				case 6:
					if i%3 == 0 {
						closed = true
						r.Close()
					} else if q != nil {
						select {
						case q.put <- wire.ErrQueueFull:
						default:
						}
					}
				}
				if i%2 == 0 {
					synctest.Wait()
				}
			}
			r.Close()
			mu.Lock()
			for _, q := range byKey {
				q.cancel()
			}
			mu.Unlock()
			wg.Wait()
			for _, v := range all {
				if v.released != 1 {
					rt.Errorf("an answer to %d was let go %d times", v.key, v.released)
				}
			}
			if len(r.places) != 0 || len(r.open) != 0 {
				rt.Errorf("%d places and %d questions are left", len(r.places), len(r.open))
			}
		})
	})
}
