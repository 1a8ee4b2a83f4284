package reqresp

import (
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/internal/codec"
)

// output gathers items into frames and hands them to a sender.
type output struct {
	o       *sender
	most    int // bytes of the whole answer
	total   int // bytes of finished frames
	count   int // items in this frame
	frames  int
	buf     *codec.Buffer // PackedHead bytes of room, then the frame's body
	scratch *codec.Buffer
}

var headRoom [codec.PackedHead]byte

func newOutput(o *sender, most int) *output {
	out := &output{o: o, most: most, buf: codec.TakeBuffer(), scratch: codec.TakeBuffer()}
	out.buf.B = append(out.buf.B, headRoom[:]...)
	return out
}

func (u *output) free() {
	u.buf.Free()
	u.scratch.Free()
}

func (u *output) body() int { return len(u.buf.B) - codec.PackedHead }

// room prepares for an item of n bytes, and reports whether it still fits the answer.
func (u *output) room(n int) (bool, error) {
	if u.total+u.body()+n > u.most || u.frames >= codec.MaxFrames-1 {
		return false, nil
	}
	if u.body() > 0 && (u.body()+n > u.o.l.Chunk || u.count == codec.MaxItems) {
		if err := u.flush(); err != nil {
			return false, err
		}
	}
	u.count++
	return true, nil
}

// flush writes the frame.
func (u *output) flush() error {
	u.total += u.body()
	u.frames++
	if err := u.o.write(codec.SealPacked(u.buf.B, u.scratch)); err != nil {
		return err
	}
	if cap(u.buf.B) > 1<<20 { // one large item must not hold its memory for the rest
		u.buf.B = nil
	}
	u.buf.B, u.count = append(u.buf.B[:0], headRoom[:]...), 0
	return nil
}

// finish writes the last frame.
func (u *output) finish(e codec.End) error {
	u.buf.B = codec.AppendAnswerEnd(u.buf.B, e)
	return u.flush()
}

// items writes the items of a response, as many as fit, and gives the end
// that follows them.
func (u *output) items(resp wire.Response) (codec.End, error) {
	sent, total, err := 0, 0, error(nil)
	switch r := resp.(type) {
	case wire.Headers:
		total = len(r.Headers)
		sent, err = u.each(total, func(i int) int { return codec.SizeAnswerHeader(r.Headers[i]) },
			func(b []byte, i int) []byte { return codec.AppendAnswerHeader(b, r.Headers[i]) })
	case wire.Blocks:
		total = len(r.Blocks)
		sent, err = u.each(total, func(i int) int { return codec.SizeAnswerBlock(r.Blocks[i]) },
			func(b []byte, i int) []byte { return codec.AppendAnswerBlock(b, r.Blocks[i]) })
	case wire.Bodies:
		total = min(len(r.Bodies), len(r.Hashes))
		sent, err = u.each(total, func(i int) int { return codec.SizeAnswerBody(r.Bodies[i]) },
			func(b []byte, i int) []byte { return codec.AppendAnswerBody(b, r.Hashes[i], r.Bodies[i]) })
	case wire.TxList:
		total = len(r.Txs)
		sent, err = u.each(total, func(i int) int { return codec.SizeAnswerTx(r.Txs[i].Bytes) },
			func(b []byte, i int) []byte { return codec.AppendAnswerTx(b, r.Txs[i].Bytes) })
	case wire.Addrs:
		total = len(r.Addrs)
		sent, err = u.each(total, func(i int) int { return codec.MaxScheme + codec.MaxAddrText + 16 },
			func(b []byte, i int) []byte { return codec.AppendAnswerAddr(b, r.Addrs[i]) })
	case wire.AppResponse:
		if len(r.Bytes) > codec.MaxApp {
			return codec.End{Code: wire.RefusedInternal, Text: "application answer over its bound"}, nil
		}
		total = 1
		sent, err = u.each(1, func(int) int { return codec.SizeAnswerTx(r.Bytes) },
			func(b []byte, _ int) []byte { return codec.AppendAnswerApp(b, r.Bytes) })
	default:
		return codec.End{Code: wire.RefusedInternal}, nil
	}
	if err == nil && sent == 0 && total > 0 {
		return codec.End{Code: wire.RefusedLimit, Limit: "answer-bytes"}, nil
	}
	return codec.End{}, err
}

// each writes items until one does not fit, and says how many.
func (u *output) each(n int, size func(int) int, add func([]byte, int) []byte) (int, error) {
	for i := range n {
		fits, err := u.room(size(i))
		if !fits || err != nil {
			return i, err
		}
		u.buf.B = add(u.buf.B, i)
	}
	return n, nil
}
