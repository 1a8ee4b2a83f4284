package codec

import (
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/starlingp2p/starling/wire"
)

// End closes an answer. Code 0 is "ok".
type End struct {
	Code       wire.RefusalCode // 0, or one of the six; others read as internal
	Limit      string           // the name of a limit, at most MaxName bytes
	RetryAfter time.Duration    // in whole milliseconds, at most 1 h; 0: it does not say
	Text       string           // for people, at most MaxText bytes; cleaned when decoded
}

const maxRetryAfter = time.Hour

// EndOf is the End that tells of a refusal. One without a code is told as
// internal: no refusal must read as "ok".
func EndOf(r *wire.Refusal) End {
	code := r.Code
	if code == 0 {
		code = wire.RefusedInternal
	}
	return End{Code: code, Limit: r.Limit, RetryAfter: r.RetryAfter, Text: r.Text}
}

// Refusal is what an asker is told, nil for "ok".
func (e End) Refusal() *wire.Refusal {
	if e.Code == 0 {
		return nil
	}
	return &wire.Refusal{Code: e.Code, Limit: e.Limit, RetryAfter: e.RetryAfter, Text: e.Text}
}

// retryMillis is RetryAfter as it travels: rounded up, so that nobody comes
// back too early.
func (e End) retryMillis() uint64 {
	d := min(max(e.RetryAfter, 0), maxRetryAfter)
	return uint64((d + time.Millisecond - 1) / time.Millisecond)
}

func appendEnd(dst []byte, num protowire.Number, e End) []byte {
	e.Limit, e.Text = cutText(e.Limit, MaxName), cutText(e.Text, MaxText)
	dst = appendHead(dst, num, sizeUint(1, uint64(e.Code))+sizeBytes(2, len(e.Limit))+sizeUint(3, e.retryMillis())+sizeBytes(4, len(e.Text)))
	dst = appendUint(dst, 1, uint64(e.Code))
	dst = appendText(dst, 2, e.Limit, MaxName)
	dst = appendUint(dst, 3, e.retryMillis())
	return appendText(dst, 4, e.Text, MaxText)
}

// end reads the current field as an End message.
func (c *cursor) end() *End {
	e := new(End)
	in := cursor{msg: "end", rest: c.bytes()}
	for in.next() {
		switch in.num {
		case 1:
			code := in.uint64()
			if code > uint64(wire.RefusedInternal) {
				code = uint64(wire.RefusedInternal)
			}
			e.Code = wire.RefusalCode(code)
		case 2:
			e.Limit = in.text(MaxName)
		case 3:
			e.RetryAfter = time.Duration(in.saturated(uint64(maxRetryAfter/time.Millisecond))) * time.Millisecond
		case 4:
			e.Text = in.text(MaxText)
		}
	}
	c.take(in.err)
	return e
}
