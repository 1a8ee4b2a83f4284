package codec

import (
	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// Answer gathers the frames of an answer: each DecodeAnswer adds to it. End is
// nil until the last frame.
type Answer struct {
	Headers []chain.Header
	Blocks  []chain.Block
	Hashes  []chain.Hash // of Bodies, one each
	Bodies  []wire.Body
	Txs     []chain.Tx // only Bytes are filled in
	Addrs   []peer.Addr
	App     []byte
	HasApp  bool // an application's answer came, though it may be empty
	End     *End
}

// The fields of an Answer message.
const (
	fieldHeaders = 1
	fieldBlocks  = 2
	fieldBodies  = 3
	fieldTxs     = 4
	fieldAddrs   = 5
	fieldApp     = 6
	fieldEnd     = 15
)

// Append functions for the items of an Answer message. None of the items is empty.

// AppendAnswerHeader appends one header.
func AppendAnswerHeader(dst []byte, h chain.Header) []byte {
	return AppendHeader(appendHead(dst, fieldHeaders, sizeHeader(h)), h)
}

// AppendAnswerBlock appends one block.
func AppendAnswerBlock(dst []byte, b chain.Block) []byte {
	return AppendBlock(appendHead(dst, fieldBlocks, SizeBlock(b)), b)
}

// AppendAnswerBody appends one body.
func AppendAnswerBody(dst []byte, h chain.Hash, b wire.Body) []byte {
	dst = appendHead(dst, fieldBodies, sizeHash(1, h)+sizeBytes(2, len(b.Body))+sizeBytes(3, len(b.Extra)))
	dst = appendHash(dst, 1, h)
	dst = appendBytes(dst, 2, b.Body)
	return appendBytes(dst, 3, b.Extra)
}

// AppendAnswerTx appends one transaction.
func AppendAnswerTx(dst []byte, raw []byte) []byte { return appendItem(dst, fieldTxs, raw) }

// AppendAnswerAddr appends one address.
func AppendAnswerAddr(dst []byte, a peer.Addr) []byte {
	a.Scheme, a.Text = cutText(a.Scheme, MaxScheme), cutText(a.Text, MaxAddrText)
	dst = appendHead(dst, fieldAddrs, sizeBytes(1, len(a.Scheme))+sizeBytes(2, len(a.Text)))
	dst = appendText(dst, 1, a.Scheme, MaxScheme)
	return appendText(dst, 2, a.Text, MaxAddrText)
}

// AppendAnswerApp appends an application's answer, which may be empty.
func AppendAnswerApp(dst []byte, data []byte) []byte { return appendItem(dst, fieldApp, data) }

// AppendAnswerEnd appends the end.
func AppendAnswerEnd(dst []byte, e End) []byte { return appendEnd(dst, fieldEnd, e) }

// SizeAnswerHeader and SizeAnswerBlock are how many bytes an item takes.
func SizeAnswerHeader(h chain.Header) int { return sizeItem(fieldHeaders, sizeHeader(h)) }

// SizeAnswerBlock is how many bytes AppendAnswerBlock appends.
func SizeAnswerBlock(b chain.Block) int { return sizeItem(fieldBlocks, SizeBlock(b)) }

// SizeAnswerBody is how many bytes AppendAnswerBody appends.
func SizeAnswerBody(b wire.Body) int {
	return sizeItem(fieldBodies, sizeItem(1, len(chain.Hash{}))+sizeBytes(2, len(b.Body))+sizeBytes(3, len(b.Extra)))
}

// SizeAnswerTx is how many bytes AppendAnswerTx appends.
func SizeAnswerTx(raw []byte) int { return sizeItem(fieldTxs, len(raw)) }

// DecodeAnswer reads one Answer message and adds it to a. It has at most
// MaxItems items. What it adds aliases b, but for addresses and the end. On
// error a is left half-changed and of no use.
func DecodeAnswer(b []byte, a *Answer) error {
	if a.End != nil {
		return fault(peer.BadEncoding, "answer: a frame after its end")
	}
	items := 0
	c := cursor{msg: "answer", rest: b}
	for c.next() {
		switch c.num {
		case fieldHeaders, fieldBlocks, fieldBodies, fieldTxs, fieldAddrs:
			if items++; items > MaxItems {
				c.fail("over %d items", MaxItems)
				continue
			}
			c.item(a)
		case fieldApp:
			if a.HasApp {
				c.fail("two answers of an application")
				continue
			}
			a.App, a.HasApp = c.bytes(), true
			if len(a.App) > MaxApp {
				c.fail("application answer of %d bytes, bound %d", len(a.App), MaxApp)
			}
		case fieldEnd:
			a.End = c.end()
		}
	}
	return c.err
}

// item adds the current field to the list that it is of.
func (c *cursor) item(a *Answer) {
	raw := c.repeated()
	if c.err != nil {
		return
	}
	switch c.num {
	case fieldHeaders:
		h, err := DecodeHeader(raw)
		c.take(err)
		a.Headers = append(a.Headers, h)
	case fieldBlocks:
		b, err := DecodeBlock(raw)
		c.take(err)
		a.Blocks = append(a.Blocks, b)
	case fieldBodies:
		h, b, err := decodeBody(raw)
		c.take(err)
		a.Hashes = append(a.Hashes, h)
		a.Bodies = append(a.Bodies, b)
	case fieldTxs:
		if len(raw) == 0 {
			c.fail("empty transaction")
			return
		}
		a.Txs = append(a.Txs, chain.Tx{Bytes: raw})
	case fieldAddrs:
		addr, err := decodeAddr(raw)
		c.take(err)
		a.Addrs = append(a.Addrs, addr)
	}
}

func decodeBody(b []byte) (chain.Hash, wire.Body, error) {
	var h chain.Hash
	var out wire.Body
	c := cursor{msg: "body", rest: b}
	for c.next() {
		switch c.num {
		case 1:
			h = c.hash()
		case 2:
			out.Body = c.bytes()
		case 3:
			out.Extra = c.bytes()
		}
	}
	if c.err == nil && h.IsZero() {
		c.fail("no hash")
	}
	return h, out, c.err
}

func decodeAddr(b []byte) (peer.Addr, error) {
	var a peer.Addr
	c := cursor{msg: "addr", rest: b}
	for c.next() {
		switch c.num {
		case 1:
			a.Scheme = c.name(MaxScheme)
		case 2:
			a.Text = c.name(MaxAddrText)
		}
	}
	if c.err == nil && (a.Scheme == "" || a.Text == "") {
		c.fail("no scheme or no text")
	}
	return a, c.err
}
