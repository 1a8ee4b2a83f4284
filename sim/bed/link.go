package bed

import (
	"fmt"
	"time"
)

// Link is what one direction between two hosts is like. The zero value is
// instant and loses nothing.
type Link struct {
	Rate    int64         // bytes per second; 0: no limit but that of the hosts
	Latency time.Duration // one way
	Jitter  time.Duration // up to so much more, drawn for each segment; order is kept on streams

	// Loss is the share of segments that are lost, 0 to 1. A datagram is gone;
	// a segment of a stream comes one RTO later (doubling where it is lost
	// again), what was sent behind it waits for it, and the sender slows down.
	Loss float64
	// RTO is the delay of a retransmission; 0: twice the round trip, at least
	// 200 ms.
	RTO time.Duration

	// Queue bounds the bytes that wait at the sender: beyond them a stream's
	// Write blocks and a datagram is dropped. 0: 1 MiB.
	Queue int
	// Window is the initial congestion window in bytes, which slow start
	// doubles each round trip. 0: 40 kB; negative: none, everything is sent at
	// once.
	Window int
	// Buffer bounds the bytes that a stream's receiver has not read. 0: 4 MiB.
	Buffer int
}

const (
	maxSegment    = 8 << 10 // a host's links take turns at so many bytes
	segmentTax    = 60      // bytes of framing per segment, beside 4.5 %
	defaultQueue  = 1 << 20
	defaultWindow = 40_000 // what a cold connection carries in its first flight
	maxWindow     = 16 << 20
	defaultBuffer = 4 << 20
	minRTO        = 200 * time.Millisecond
	maxResends    = 8 // of one segment; then it comes
	queueDelay    = 100 * time.Millisecond
)

// wireBytes is what size bytes cost on the wire.
func wireBytes(size int) int { return size + size*45/1000 + segmentTax }

// withDefaults fills in what is zero and cuts what is out of bounds.
func (l Link) withDefaults() Link {
	l.Rate = max(l.Rate, 0)
	l.Latency = max(l.Latency, 0)
	l.Jitter = max(l.Jitter, 0)
	l.Loss = min(max(l.Loss, 0), 1)
	if l.RTO <= 0 {
		l.RTO = max(minRTO, 4*l.Latency)
	}
	if l.Queue <= 0 {
		l.Queue = defaultQueue
	}
	if l.Window == 0 {
		l.Window = defaultWindow
	}
	if l.Buffer <= 0 {
		l.Buffer = defaultBuffer
	}
	return l
}

// txTime is how long size bytes take at rate bytes per second; rate 0: no time.
func txTime(size int, rate int64) int64 {
	if rate <= 0 {
		return 0
	}
	return int64(size) * int64(time.Second) / rate
}

// Mode is how a fault shows.
type Mode uint8

const (
	// Silent: bytes stop, no error is seen, dials time out. What was under way
	// arrives once the fault ends, as on a stream that resends.
	Silent Mode = iota + 1
	// Break: connections are reset at once, dials are refused.
	Break
)

func (m Mode) String() string {
	switch m {
	case 0:
		return "none"
	case Silent:
		return "silent"
	case Break:
		return "break"
	}
	return fmt.Sprintf("mode %d", uint8(m))
}

// Traffic counts what a host sent and received since it was made.
type Traffic struct {
	Sent, Received         uint64 // bytes of payload
	WireSent, WireReceived uint64 // with framing, and with what was sent again
	Resent                 uint64 // segments of streams that were lost and sent again
	Lost                   uint64 // datagrams lost on links from this host, or in a fault
	Dropped                uint64 // datagrams and messages that found a queue of this host full
	Refused                uint64 // dials that this host refused
}
