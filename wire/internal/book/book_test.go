package book

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	libpeer "github.com/libp2p/go-libp2p/core/peer"
	"go.uber.org/goleak"

	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// conn is a connection that only knows its peer, and how it was closed.
type conn struct {
	network.Conn
	id     libpeer.ID
	closed bool
	code   network.ConnErrorCode
}

func (c *conn) RemotePeer() libpeer.ID { return c.id }
func (c *conn) IsClosed() bool         { return c.closed }
func (c *conn) CloseWithError(e network.ConnErrorCode) error {
	c.closed, c.code = true, e
	return nil
}

// session is on a link, and was dialled by us or by the peer.
type session struct {
	l    *Link[session, int]
	ours bool
}

func newBook(ctx context.Context, self libpeer.ID) *Book[session, int] {
	return New(ctx, self, func(s *session) (*Link[session, int], bool) { return s.l, s.ours }, func() int { return 0 })
}

// Threat H-07: of two sessions with one peer the one that the lower ID dialled
// stays, in whichever order they come; a second of the same dialler replaces the
// first.
func TestOfTwoSessionsBothSidesKeepTheSame(t *testing.T) {
	for _, c := range []struct {
		self, other        libpeer.ID
		first, second      bool // we dialled it
		why                peer.Reason
		takesPlaceOfTheOld bool
	}{
		{"a", "b", true, false, peer.Duplicate, false},
		{"a", "b", false, true, peer.OK, true},
		{"b", "a", true, false, peer.OK, true},
		{"b", "a", false, true, peer.Duplicate, false},
		{"a", "b", true, true, peer.OK, true},
		{"a", "b", false, false, peer.OK, true},
	} {
		b := newBook(t.Context(), c.self)
		first := &session{b.Link(&conn{id: c.other}), c.first}
		second := &session{b.Link(&conn{id: c.other}), c.second}
		if old, why := b.Claim(first); old != nil || why != peer.OK {
			t.Fatalf("the first: %v, %v", old, why)
		}
		old, why := b.Claim(second)
		if why != c.why || (old == first) != c.takesPlaceOfTheOld {
			t.Errorf("%+v: the second is %v, takes the place of %v", c, why, old)
		}
		kept := first
		if why == peer.OK {
			kept = second
		}
		b.Unclaim(first)
		if got := b.With(c.other); (kept == second) != (got == second) {
			t.Errorf("%+v: after the end of the first there is %v", c, got)
		}
	}
}

// A connection that has ended becomes no session, so none is left behind.
func TestWhatHasEndedCannotBeClaimed(t *testing.T) {
	b := newBook(t.Context(), "a")
	c := &conn{id: "b"}
	l := b.Link(c)
	if gone, s := b.Gone(c); gone != l || s != nil {
		t.Errorf("gone is %v with %v", gone, s)
	}
	if _, why := b.Claim(&session{l, true}); why != peer.LinkLost {
		t.Errorf("claimed after its end: %v", why)
	}
	c.closed = true
	if b.Link(c) != nil {
		t.Error("a closed connection is entered")
	}
	ending := b.Link(&conn{id: "b"})
	if !b.BeginEnding(ending) || b.BeginEnding(ending) {
		t.Error("a connection does not end once")
	}
	if _, why := b.Claim(&session{ending, true}); why != peer.Duplicate {
		t.Errorf("claimed as it ends: %v", why)
	}
	b.Farewell(func(s *session) { t.Errorf("to be closed: %v", s) }, time.Minute)
	if _, why := b.Claim(&session{b.Link(&conn{id: "c"}), true}); why != peer.Stopping {
		t.Errorf("claimed as we stop: %v", why)
	}
	if len(b.peers) != 0 {
		t.Errorf("%d peers are remembered with whom we have nothing", len(b.peers))
	}
}

// A dial waits for the connection that we are closing; a second is refused.
func TestOneDialAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBook(t.Context(), "a")
		c := &conn{id: "b"}
		b.BeginEnding(b.Link(c))
		time.AfterFunc(time.Second, func() { b.Gone(c) })
		began := time.Now()
		d, err := b.beginDial(t.Context(), "b")
		if err != nil || time.Since(began) != time.Second {
			t.Fatalf("after %v: %v", time.Since(began), err)
		}
		if _, err := b.beginDial(t.Context(), "b"); err == nil || err.(*peer.RefusedError).Reason != peer.AlreadyDialling {
			t.Errorf("a second dial: %v", err)
		}
		// An inbound connection waits for the dial of the lower ID.
		b.Reached(d, &conn{id: "b"})
		inbound := b.Link(&conn{id: "b"})
		time.AfterFunc(time.Second, func() { b.endDial(d) })
		began = time.Now()
		if err := b.Yield(t.Context(), inbound); err != nil || time.Since(began) != time.Second {
			t.Errorf("the inbound one waited %v: %v", time.Since(began), err)
		}
		if err := b.Yield(t.Context(), inbound); err != nil {
			t.Errorf("with no dial: %v", err)
		}
		if len(b.peers) != 0 {
			t.Errorf("%d peers are remembered with whom we have nothing", len(b.peers))
		}
	})
}

// However many sessions end, few are kept, and for a short time.
func TestPastSessionsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBook(t.Context(), "a")
		var last *conn
		var s *session
		for range 3 * MaxPast {
			last = &conn{id: "b"}
			s = &session{b.Link(last), true}
			b.Claim(s)
			if b.On(last) != nil {
				t.Fatal("a session is given before it is open")
			}
			b.Opened(s.l)
			b.Unclaim(s)
			b.Gone(last)
		}
		if len(b.past) != MaxPast {
			t.Errorf("%d sessions that ended are kept, want %d", len(b.past), MaxPast)
		}
		if b.On(last) != s {
			t.Error("the last session is forgotten at once")
		}
		time.Sleep(PastTime)
		if b.On(last) != nil {
			t.Error("it is remembered for ever")
		}
	})
}

// What simultaneous dials left is closed, but for what finds out by itself.
func TestSurplusConnectionsAreClosed(t *testing.T) {
	b := newBook(t.Context(), "a")
	keep, opening, dialled, left := &conn{id: "b"}, &conn{id: "b"}, &conn{id: "b"}, &conn{id: "b"}
	b.BeginOpening(b.Link(opening))
	d, err := b.beginDial(t.Context(), "b")
	if err != nil {
		t.Fatal(err)
	}
	b.Reached(d, dialled)
	b.Surplus([]network.Conn{keep, opening, dialled, left}, keep)
	if keep.closed || opening.closed || dialled.closed || !left.closed || left.code != network.ConnSupplanted {
		t.Errorf("closed: kept %v, opening %v, dialled %v, left %v", keep.closed, opening.closed, dialled.closed, left.closed)
	}
}

// The Host sees each end once, and none of a session that it did not take.
func TestALifeEndsOnce(t *testing.T) {
	var f Life
	if first, taken := f.End(wire.Closed{Reason: peer.Idle}); !first || taken {
		t.Errorf("the end: %v, %v", first, taken)
	}
	if first, _ := f.End(wire.Closed{Reason: peer.Useless}); first {
		t.Error("it ends twice")
	}
	if closed, ended := f.Take(); !ended || closed.Reason != peer.Idle {
		t.Errorf("taken too late it is %v, %v", closed, ended)
	}
}

// Once the end has begun nothing starts; it waits for what had started, and takes
// down what is up, the last first.
func TestTasksEndWithTheRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tasks := NewTasks(t.Context())
		ended := false
		tasks.Go(func() {
			<-tasks.Ctx.Done()
			time.Sleep(time.Second)
			ended = true
		})
		var down []int
		tasks.AtEnd(func() { down = append(down, 1) })
		tasks.AtEnd(func() {
			if tasks.Go(func() { t.Error("started after the end") }) {
				t.Error("Go says that it started")
			}
			down = append(down, 2)
		})
		tasks.End()
		if !ended {
			t.Error("End did not wait")
		}
		if !slices.Equal(down, []int{2, 1}) {
			t.Errorf("taken down in the order %v", down)
		}
	})
}
