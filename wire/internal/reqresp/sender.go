package reqresp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/starlingp2p/starling/peer"
)

// A read of acknowledgements that returns within this had them waiting: they
// tell nothing about the round trip.
const waitedLeast = 50 * time.Microsecond

// sender writes the frames of one answer: in pieces, as the peer's window
// lets it, and reads the acknowledgements that come back. One goroutine uses
// it.
type sender struct {
	s     Stream
	l     Limits
	end   time.Time
	w     *Window // nil: off, and acknowledgements are left unread
	every int     // the asker acknowledges after so many bytes

	sent, acked int    // bytes
	marks       []mark // when what was written, oldest first; unacknowledged only
	partial     []byte // of a varint
}

// mark says when the bytes up to an offset had been written.
type mark struct {
	upTo int
	at   time.Time
}

var errAcked = errors.New("reqresp: acknowledged more than was sent")

// write blocks until frame is written.
func (o *sender) write(frame []byte) error {
	late := time.Now().Add(o.l.frameTime(len(frame)))
	if late.After(o.end) {
		late = o.end
	}
	o.s.SetWriteDeadline(late)
	if o.w == nil || o.every == 0 {
		return o.put(frame)
	}
	o.s.SetReadDeadline(late)
	for len(frame) > 0 {
		piece := frame[:min(len(frame), pieceBytes, o.every)]
		for !o.w.take(len(piece), o.sent-o.acked, o.every) {
			if err := o.await(); err != nil {
				return err
			}
		}
		o.sent += len(piece)
		if err := o.put(piece); err != nil {
			return err
		}
		o.marks = append(o.marks, mark{o.sent, time.Now()})
		frame = frame[len(piece):]
	}
	return nil
}

func (o *sender) put(b []byte) error {
	if _, err := o.s.Write(b); err != nil {
		if isTimeout(err) {
			return fmt.Errorf("%w: %w", ErrTimeout, err)
		}
		return fmt.Errorf("reqresp: write answer: %w", err)
	}
	return nil
}

// await blocks for acknowledgements.
func (o *sender) await() error {
	var buf [64]byte
	before := time.Now()
	n, err := o.s.Read(buf[:])
	now := time.Now()
	if aerr := o.note(now, buf[:n], now.Sub(before) >= waitedLeast); aerr != nil {
		return aerr
	}
	if err != nil && n == 0 {
		if isTimeout(err) {
			return fmt.Errorf("%w: %w", ErrTimeout, err)
		}
		return fmt.Errorf("reqresp: read acknowledgement: %w", err)
	}
	return nil
}

// note takes in acknowledgements.
func (o *sender) note(now time.Time, b []byte, waited bool) error {
	total := 0
	for _, c := range b {
		o.partial = append(o.partial, c)
		if c >= 0x80 {
			if len(o.partial) == 4 {
				return faulty(peer.BadEncoding, "acknowledgement of over 4 bytes")
			}
			continue
		}
		v, _ := binary.Uvarint(o.partial)
		if c == 0 {
			return faulty(peer.BadEncoding, "acknowledgement of nothing, or not minimal")
		}
		o.partial = o.partial[:0]
		if int(v) > o.sent-o.acked-total {
			return faulty(peer.BadEncoding, "%w", errAcked)
		}
		total += int(v)
	}
	if total == 0 {
		return nil
	}
	o.acked += total
	var trip time.Duration
	for len(o.marks) > 0 && o.marks[0].upTo <= o.acked {
		trip = now.Sub(o.marks[0].at)
		o.marks = o.marks[1:]
	}
	if !waited {
		trip = 0
	}
	o.w.acked(now, total, trip)
	return nil
}

// settle waits, after the last frame, until the asker has closed the stream,
// and gives back what this answer holds of the window.
func (o *sender) settle() {
	if o.w == nil || o.every == 0 {
		return
	}
	late := time.Now().Add(o.l.Frame)
	if late.After(o.end) {
		late = o.end
	}
	o.s.SetReadDeadline(late)
	for o.sent-o.acked >= o.every {
		if err := o.await(); err != nil {
			break
		}
	}
}

// free gives back the window, however the answer ended.
func (o *sender) free() {
	if o.w != nil && o.every > 0 {
		o.w.release(o.sent - o.acked)
		o.acked = o.sent
	}
}
