package reqresp

import (
	"errors"
	"io"
	"time"

	"github.com/starlingp2p/starling/wire/internal/codec"
)

// Stream is one fresh stream; network.Stream of libp2p is one. It buffers at
// least 16 KiB in each direction (multiplexers have 256 KiB), since an asker
// acknowledges while the server writes.
type Stream interface {
	io.Reader
	io.Writer
	// Close ends both directions after what was written; it does not wait.
	Close() error
	// Reset ends both directions at once: blocked reads and writes fail.
	Reset() error
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
}

// ErrTimeout: the other side did not answer, or not to the end, in time.
var ErrTimeout = errors.New("reqresp: no answer in time")

// Limits are the bounds of one exchange. The zero value has those of
// docs/wire/native.md, section 10.
type Limits struct {
	AnswerMax int           // bytes of an answer, in all; 0: 10 MiB; at most 10 MiB
	Exchange  time.Duration // from the request to the end of the answer; 0: 30 s
	First     time.Duration // to the request (serving) or to the answer's first frame (asking); 0: 10 s
	Frame     time.Duration // between frames, and what a frame gets besides its length; 0: 10 s
	MinRate   int           // bytes a second that a frame must move at; 0: 32 KiB
	AckEvery  int           // asking: bytes between acknowledgements; 0: 32 KiB; below 0: none
	Chunk     int           // serving: bytes of items to gather in a frame; 0: 128 KiB
	// Take, if it is set, is asked before a request of more than 2 KiB is read:
	// it blocks until there is memory for MaxRequest bytes, which are given
	// back once they are not needed any more, or errs.
	Take func() (giveBack func(), err error)
	// Memory, if it is set, grants what an answer takes as it arrives, when
	// asking. What it has granted at the end is the caller's to give back.
	Memory Memory
}

// Memory grants what one answer takes. It is used by one goroutine.
type Memory interface {
	codec.Memory
	// Expect is told the length of each frame before any of it is read. It may
	// block, and errs where the frame is not to be read.
	Expect(n int) error
}

// smallRequest is the packed length up to which a request needs no memory to be
// granted: it decodes to 44 KiB at most.
const smallRequest = 2 << 10

// ExchangeTime bounds one exchange where Limits do not say.
const ExchangeTime = 30 * time.Second

const (
	defaultFirst    = 10 * time.Second
	defaultFrame    = 10 * time.Second
	defaultMinRate  = 32 << 10
	defaultAckEvery = 32 << 10
	minAckEvery     = 4 << 10
	maxAckEvery     = 64 << 10
	defaultChunk    = 128 << 10
	unackedAnswer   = 256 << 10 // most that an asker gets which does not acknowledge
	endRoom         = 512       // bytes kept free for the End message
)

func (l Limits) withDefaults() Limits {
	if l.AnswerMax <= 0 || l.AnswerMax > codec.MaxAnswer {
		l.AnswerMax = codec.MaxAnswer
	}
	if l.Exchange <= 0 {
		l.Exchange = ExchangeTime
	}
	if l.First <= 0 {
		l.First = defaultFirst
	}
	if l.Frame <= 0 {
		l.Frame = defaultFrame
	}
	if l.MinRate <= 0 {
		l.MinRate = defaultMinRate
	}
	if l.AckEvery == 0 {
		l.AckEvery = defaultAckEvery
	}
	if l.AckEvery > 0 {
		l.AckEvery = clampAck(l.AckEvery)
	}
	if l.Chunk <= 0 {
		l.Chunk = defaultChunk
	}
	return l
}

func clampAck(n int) int { return min(max(n, minAckEvery), maxAckEvery) }

// frameTime is how long a frame of n bytes may take.
func (l Limits) frameTime(n int) time.Duration {
	return l.Frame + time.Duration(n)*time.Second/time.Duration(l.MinRate)
}
