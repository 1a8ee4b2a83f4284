package eth

import (
	"errors"
	"fmt"

	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// The receipts of a block are bytes that its gas has paid for: 8 gas for a byte
// of a log, 375 for a log and as much for each topic (Yellow Paper, appendix G),
// 4500 at least for a transaction (EIP-2780; 21000 before), of which the encoding
// takes 41, 33 and 61 bytes at most. So none costs less than 8 gas. A refund
// gives up to half of it back (go-ethereum params, RefundQuotient; a fifth since
// EIP-3529), so the gas that a header tells may be half of what was paid.
const leastGas = 8 / 2 // for a byte

// mostPaged bounds the receipts of a block whose gas is not known, or cannot be.
const mostPaged = 64 << 20

// Pages of a block may be small at first. From then on they must bring leastPage
// on average: geth's are of 10 MiB, others' of 2 MiB.
const (
	freePages = 8
	leastPage = 256 << 10
)

// ErrSmallPages: the receipts of a block come in too many pages.
var ErrSmallPages = errors.New("eth: the pages of a block's receipts are too small")

// fieldGasUsed is the place of the gas used in a header's list (Yellow Paper, 4.3).
const fieldGasUsed = 10

// GasUsed reads what a header says of the gas that its block used.
func GasUsed(header []byte) (gas uint64, err error) {
	c := message(header)
	for range fieldGasUsed {
		c.raw()
	}
	if gas = c.uint(); c.err != nil {
		return 0, bad("header's gas used: %v", c.err)
	}
	return gas, nil
}

// Pages puts the receipts of one block together that come in several answers
// (EIP-7975). Each page is read once. One goroutine uses it.
type Pages struct {
	most  int
	known bool   // most is what the block's gas pays for
	buf   []byte // room for the list's head, and the receipts
	count int    // receipts
	pages int
}

// PagesOf is for the receipts of the block with that header; nil: not known.
func PagesOf(header []byte) Pages {
	p := Pages{most: mostPaged}
	if gas, err := GasUsed(header); err == nil && gas/leastGas < mostPaged {
		p.most, p.known = int(gas/leastGas)+maxHead, true
	}
	return p
}

// Count is how many receipts have come; the next page begins there.
func (p *Pages) Count() uint64 { return uint64(p.count) }

// Begun reports whether there has been a page.
func (p *Pages) Begun() bool { return p.pages > 0 }

// Add takes the next page, of which it keeps nothing; more says that it is not
// the last. Before it takes memory it asks for it: grow is called with what is
// taken in all from then on. A page that brings nothing though more are to come
// is a Fault, and so is one that brings more than the gas of the block has paid for.
func (p *Pages) Add(page []byte, more bool, grow func(n int) error) error {
	c := message(page)
	n := c.count(len(page))
	if c.err != nil {
		return bad("receipts of a block: %v", c.err)
	}
	got := max(len(p.buf)-maxHead, 0) + len(c.b)
	p.pages++
	switch {
	case n == 0 && more:
		return &wire.Fault{Offense: peer.ShortAnswer, Err: errors.New("eth: a page of receipts is empty, and more are to come")}
	case (got > p.most || p.count+n > mostReceipts) && p.known:
		return &wire.Fault{Offense: peer.WrongBlock, Err: fmt.Errorf("eth: %d receipts of %d bytes, the block's gas pays for %d bytes", p.count+n, got, p.most)}
	case got > p.most || p.count+n > mostReceipts:
		return fmt.Errorf("eth: receipts of a block: %w: %d of %d bytes, at most %d bytes", wire.ErrTooLarge, p.count+n, got, p.most)
	case more && got/leastPage < p.pages-freePages:
		return fmt.Errorf("%w: %d bytes in %d pages", ErrSmallPages, got, p.pages)
	}
	if need := maxHead + got; need > cap(p.buf) {
		if more {
			need = min(need+need/2, maxHead+p.most) // or all would be copied with each page
		}
		if err := grow(need); err != nil {
			return err
		}
		p.buf = append(make([]byte, 0, need), p.buf...)
	}
	if len(p.buf) == 0 {
		p.buf = p.buf[:maxHead]
	}
	p.buf = append(p.buf, c.b...)
	p.count += n
	return nil
}

// List is the list of all receipts. It holds the memory of the pages, which are
// not added to any more.
func (p *Pages) List() []byte {
	if len(p.buf) == 0 {
		return []byte{0xc0}
	}
	head := appendHead(make([]byte, 0, maxHead), len(p.buf)-maxHead)
	from := maxHead - len(head)
	copy(p.buf[from:], head)
	return p.buf[from:]
}
