package framed

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/starlingp2p/starling/internal/turns"
	"github.com/starlingp2p/starling/sim/bed"
	"github.com/starlingp2p/starling/wire"
)

// busy is a Host whose turns are all taken until it is free.
type busy struct {
	wire.Host
	free chan struct{}
}

func (h busy) Turn(work func()) {
	<-h.free
	work()
}

// While others have the turn a large answer waits; what is small does not, nor
// what is urgent, whatever its size.
func TestLargeAnswersWaitForTheirTurn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ca, cb := pair(t, bed.Link{Latency: time.Millisecond})
		a, b := prepare(ca, Config{}), run(t, cb, Config{})
		host := busy{free: make(chan struct{})}
		a.conn.budget.Share(host)
		a.start(t.Context())
		large := strings.Repeat("x", turns.Bulk)
		for code, l := range []wire.Lane{wire.LaneConsensus, wire.LaneBlock, wire.LaneTx, wire.LaneSync} {
			m := out(byte(code), large)
			if !urgent(l) {
				m.Payload = m.Payload[1:]
			}
			send(t, a, l, m)
			if f := <-b.got; f.Code != uint64(code) {
				t.Fatalf("message %d came, want %d", f.Code, code)
			}
		}
		send(t, a, wire.LaneSync, out(9, large))
		time.Sleep(time.Second)
		synctest.Wait()
		select {
		case f := <-b.got:
			t.Fatalf("message %d came before its turn", f.Code)
		default:
		}
		close(host.free)
		if f := <-b.got; f.Code != 9 {
			t.Fatalf("message %d came, want 9", f.Code)
		}
	})
}

// What was put together before a large answer does not wait for its turn.
func TestNothingWaitsForTheTurnOfAnother(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ca, cb := pair(t, bed.Link{Latency: time.Millisecond})
		a, b := prepare(ca, Config{}), run(t, cb, Config{})
		host := busy{free: make(chan struct{})}
		a.conn.budget.Share(host)
		send(t, a, wire.LaneBlock, out(7, "block"))
		send(t, a, wire.LaneSync, out(9, strings.Repeat("x", turns.Bulk)))
		a.start(t.Context())
		if f := <-b.got; f.Code != 7 {
			t.Fatalf("message %d came, want 7", f.Code)
		}
		close(host.free)
		if f := <-b.got; f.Code != 9 {
			t.Fatalf("message %d came, want 9", f.Code)
		}
	})
}

// What is urgent passes a large answer of its own session that was put off.
func TestUrgentMessagesPassALargeAnswer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ca, _ := pair(t, bed.Link{})
		a := prepare(ca, Config{})
		send(t, a, wire.LaneSync, out(8, "headers"))
		send(t, a, wire.LaneSync, out(9, strings.Repeat("x", turns.Bulk)))
		if _, err := a.batch(nil); err != nil || a.large.Code != 9 {
			t.Fatalf("message %d was put off, %v; want 9", a.large.Code, err)
		}
		send(t, a, wire.LaneTx, out(6, "transactions"))
		send(t, a, wire.LaneConsensus, out(5, "vote"))
		for _, want := range []uint64{5, 9, 6} {
			if m, ok := a.nextOut(); !ok || uint64(m.Code) != want {
				t.Errorf("message %d goes next, want %d", m.Code, want)
			}
		}
	})
}
