package framed

import (
	"fmt"
	"time"

	"github.com/starlingp2p/starling/internal/turns"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/internal/intake"
)

// sealTax is what a codec adds to a message at most, beside the sixth that
// compression may: beyond that a buffer grows.
const sealTax = 1 << 10

// write sends what is queued until the link ends. Frames are put together to
// batches, so that small ones share a write; a batch is bounded, so that a
// message of a high lane waits for little. It reports whether the stream ends
// behind a whole frame.
func (l *Link) write() bool {
	var buf []byte
	for {
		select {
		case <-l.done:
			return true
		default:
		}
		var err error
		if buf, err = l.batch(buf[:0]); err != nil {
			l.finish(End{Reason: peer.Internal, Detail: peer.Clean(err.Error())}, nil)
			return false
		}
		if len(buf) == 0 {
			if cap(buf) > keepBuffer {
				l.conn.budget.Reuse(buf) // kept while large messages follow each other, and no longer
				buf = nil
			}
			select {
			case <-l.q.wake:
			case <-l.done:
				return true
			}
			continue
		}
		if err := l.flush(buf); err != nil {
			l.unsent(err)
			return false
		}
		for _, m := range l.asked {
			m.left()
		}
		l.asked = l.asked[:0]
	}
}

func (l *Link) batch(buf []byte) ([]byte, error) {
	for len(buf) < batchBytes {
		m, ok := l.nextOut()
		if !ok {
			break
		}
		inTurn := len(m.Payload) >= turns.Bulk && !urgent(m.lane)
		if inTurn && len(buf) > 0 {
			l.large = m // what is put together goes out before it waits
			break
		}
		if m.Mark != nil {
			if !m.Mark.leaves() {
				continue
			}
			l.asked = append(l.asked, m.Mark)
		}
		if room := len(m.Payload) + len(m.Payload)/6 + sealTax; len(buf) == 0 && cap(buf) < room && room > batchBytes {
			l.conn.budget.Reuse(buf)
			buf = l.conn.budget.Room(room)[:0]
		}
		var err error
		if seal := func() { buf, err = l.conn.codec.Seal(buf, m.Code, m.Payload) }; inTurn {
			l.conn.budget.Turn(seal)
		} else {
			seal()
		}
		if err != nil {
			return nil, fmt.Errorf("framed: seal message %d of %d bytes: %w", m.Code, len(m.Payload), err)
		}
		if m.Spare {
			l.conn.budget.Reuse(m.Payload)
		}
	}
	return buf, nil
}

// nextOut is what goes next: before a large answer that was put off, what stands in
// no line.
func (l *Link) nextOut() (Out, bool) {
	if l.large.Payload == nil {
		return l.q.next()
	}
	if m, ok := l.q.nextUrgent(); ok {
		return m, true
	}
	m := l.large
	l.large = Out{}
	return m, true
}

// urgent tells the lanes that stand in no line with answers, however large their
// messages are.
func urgent(l wire.Lane) bool {
	return l == wire.LaneConsensus || l == wire.LaneBlock || l == asks
}

// flush writes in steps, each within the time that the remote may take to
// read. Once the link has ended, what is left of it has little time in all.
func (l *Link) flush(b []byte) error {
	var last time.Time
	for len(b) > 0 {
		step := b[:min(len(b), batchBytes)]
		b = b[len(step):]
		if last.IsZero() {
			l.conn.raw.SetWriteDeadline(time.Now().Add(l.cfg.Stall))
			if _, ended := l.End(); ended {
				last = time.Now().Add(farewellTime)
				l.conn.raw.SetWriteDeadline(last)
			}
		}
		if _, err := l.conn.raw.Write(step); err != nil {
			return err
		}
	}
	return nil
}

// unsent ends the link for an error of its writer. If the remote has closed
// it, the reader finds a better reason among what came before.
func (l *Link) unsent(err error) {
	if _, ended := l.End(); ended {
		return
	}
	if intake.IsTimeout(err) {
		detail := fmt.Sprintf("nothing was read for %v", l.cfg.Stall)
		l.cfg.Fault(&wire.Fault{Offense: peer.NotReading, Err: fmt.Errorf("framed: %s", detail)})
		l.finish(End{Reason: peer.Slow, Detail: detail}, nil)
		return
	}
	late := time.NewTimer(farewellTime)
	defer late.Stop()
	select {
	case <-l.done:
	case <-late.C:
		l.finish(End{Reason: peer.LinkLost, ByRemote: true, Detail: peer.Clean(err.Error())}, nil)
	}
}
