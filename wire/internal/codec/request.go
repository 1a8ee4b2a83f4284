package codec

import (
	"fmt"
	"math"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// Request is one request on its way. Ask is nil where it is of a kind that we
// do not know: it is answered with "unsupported".
type Request struct {
	Ask       wire.Request
	AnswerMax uint64 // bytes that the asker takes in all; 0: MaxAnswer
	AckEvery  uint64 // bytes after which the asker acknowledges; 0: never
}

// maxCount is where counts, skips and bounds of a request saturate.
const maxCount = math.MaxInt32

// AppendRequest appends a Request message. It is wire.ErrUnsupported for a
// kind that the wire has no message for, wire.ErrTooLarge for more than the
// wire can ask at once.
func AppendRequest(dst []byte, r Request) ([]byte, error) {
	start := len(dst)
	var err error
	switch ask := r.Ask.(type) {
	case wire.GetHeaders:
		dst = appendRange(dst, 1, ask.Range)
	case wire.GetBlocks:
		dst = appendRange(dst, 2, ask.Range)
	case wire.GetBodies:
		dst = appendHashes(dst, 3, ask.Hashes)
	case wire.GetBlocksByHash:
		dst = appendHashes(dst, 4, ask.Hashes)
	case wire.GetTxs:
		dst = appendHashes(dst, 5, ask.Hashes)
	case wire.GetAddrs:
		n := uint64(max(ask.Max, 0))
		dst = appendUint(appendHead(dst, 6, sizeUint(1, n)), 1, n)
	case wire.AppRequest:
		dst, err = appendApp(dst, 7, ask)
	default:
		return dst, fmt.Errorf("codec: request %T: %w", r.Ask, wire.ErrUnsupported)
	}
	if err != nil {
		return dst[:start], err
	}
	dst = appendUint(dst, 14, r.AnswerMax)
	dst = appendUint(dst, 15, r.AckEvery)
	if n := len(dst) - start; n > MaxRequest {
		return dst[:start], fmt.Errorf("codec: request of %d bytes, bound %d: %w", n, MaxRequest, wire.ErrTooLarge)
	}
	return dst, nil
}

// DecodeRequest reads a Request message of at most MaxRequest bytes. Counts
// and bounds saturate at 2^31-1. An application request's Bytes alias b.
func DecodeRequest(b []byte) (Request, error) {
	if len(b) > MaxRequest {
		return Request{}, fault(peer.BadFrame, "request of %d bytes, bound %d", len(b), MaxRequest)
	}
	var r Request
	c := cursor{msg: "request", rest: b}
	for c.next() {
		switch c.num {
		case 1:
			c.ask(&r, wire.GetHeaders{Range: c.rangeOf()})
		case 2:
			c.ask(&r, wire.GetBlocks{Range: c.rangeOf()})
		case 3:
			c.ask(&r, wire.GetBodies{Hashes: c.hashes()})
		case 4:
			c.ask(&r, wire.GetBlocksByHash{Hashes: c.hashes()})
		case 5:
			c.ask(&r, wire.GetTxs{Hashes: c.hashes()})
		case 6:
			c.ask(&r, wire.GetAddrs{Max: c.addrs()})
		case 7:
			c.ask(&r, c.app())
		case 14:
			r.AnswerMax = c.uint64()
		case 15:
			r.AckEvery = c.uint64()
		}
	}
	if c.err != nil {
		return Request{}, c.err
	}
	return r, nil
}

// ask notes the one kind that a request has.
func (c *cursor) ask(r *Request, ask wire.Request) {
	if r.Ask != nil {
		c.fail("two kinds: %s and %s", wire.KindOf(r.Ask), wire.KindOf(ask))
		return
	}
	r.Ask = ask
}

func appendRange(dst []byte, num protowire.Number, r chain.Range) []byte {
	count, skip, most := uint64(max(r.Count, 0)), uint64(max(r.Skip, 0)), uint64(max(r.MaxBytes, 0))
	n := sizeUint(1, r.From.Number) + sizeHash(2, r.From.Hash) + sizeUint(3, count) + sizeUint(4, skip) + sizeUint(6, most)
	if r.Reverse {
		n += sizeUint(5, 1)
	}
	dst = appendHead(dst, num, n)
	dst = appendUint(dst, 1, r.From.Number)
	dst = appendHash(dst, 2, r.From.Hash)
	dst = appendUint(dst, 3, count)
	dst = appendUint(dst, 4, skip)
	dst = appendBool(dst, 5, r.Reverse)
	return appendUint(dst, 6, most)
}

// rangeOf reads the current field as a Range message.
func (c *cursor) rangeOf() chain.Range {
	var r chain.Range
	in := cursor{msg: "range", rest: c.bytes()}
	for in.next() {
		switch in.num {
		case 1:
			r.From.Number = in.uint64()
		case 2:
			r.From.Hash = in.hash()
		case 3:
			r.Count = int(in.saturated(maxCount))
		case 4:
			r.Skip = int(in.saturated(maxCount))
		case 5:
			r.Reverse = in.bool()
		case 6:
			r.MaxBytes = int(in.saturated(maxCount))
		}
	}
	c.take(in.err)
	return r
}

// take makes the error of an inner message this one's.
func (c *cursor) take(err error) {
	if c.err == nil {
		c.err = err
	}
}

func appendHashes(dst []byte, num protowire.Number, hashes []chain.Hash) []byte {
	n := len(hashes) * len(chain.Hash{})
	dst = appendHead(dst, num, sizeBytes(1, n))
	if n == 0 {
		return dst
	}
	dst = appendHead(dst, 1, n)
	for i := range hashes {
		dst = append(dst, hashes[i][:]...)
	}
	return dst
}

// hashes reads the current field as a Hashes message.
func (c *cursor) hashes() []chain.Hash {
	in := cursor{msg: "hashes", rest: c.bytes()}
	var raw []byte
	for in.next() {
		if in.num == 1 {
			raw = in.bytes()
		}
	}
	if len(raw)%len(chain.Hash{}) != 0 {
		in.fail("%d bytes are no whole number of hashes", len(raw))
	}
	c.take(in.err)
	if c.err != nil || len(raw) == 0 {
		return nil
	}
	hashes := make([]chain.Hash, len(raw)/len(chain.Hash{}))
	for i := range hashes {
		copy(hashes[i][:], raw[i*len(chain.Hash{}):])
	}
	return hashes
}

// addrs reads the current field as an Addrs message.
func (c *cursor) addrs() int {
	in := cursor{msg: "addrs", rest: c.bytes()}
	most := 0
	for in.next() {
		if in.num == 1 {
			most = int(in.saturated(maxCount))
		}
	}
	c.take(in.err)
	return most
}

func appendApp(dst []byte, num protowire.Number, a wire.AppRequest) ([]byte, error) {
	if len(a.Protocol) > MaxName || len(a.Bytes) > MaxApp {
		return dst, fmt.Errorf("codec: application request %.*q of %d bytes, bounds %d and %d: %w",
			MaxName, a.Protocol, len(a.Bytes), MaxName, MaxApp, wire.ErrTooLarge)
	}
	dst = appendHead(dst, num, sizeBytes(1, len(a.Protocol))+sizeBytes(2, len(a.Bytes)))
	dst = appendText(dst, 1, a.Protocol, MaxName)
	return appendBytes(dst, 2, a.Bytes), nil
}

// app reads the current field as an App message.
func (c *cursor) app() wire.AppRequest {
	var a wire.AppRequest
	in := cursor{msg: "app", rest: c.bytes()}
	for in.next() {
		switch in.num {
		case 1:
			a.Protocol = in.name(MaxName)
		case 2:
			a.Bytes = in.bytes()
		}
	}
	if len(a.Bytes) > MaxApp {
		in.fail("%d bytes, bound %d", len(a.Bytes), MaxApp)
	}
	c.take(in.err)
	return a
}
