package devp2p

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/devp2p/eth"
	"github.com/starlingp2p/starling/wire/internal/framed"
)

// pagedShare is the part of the decode budget that receipts may take which come
// page by page: a peer decides how long they stay.
const pagedShare = 4

// pageWait is how long a page waits for memory. The memory is held while the peer
// is asked for the next, and so it must not be what Budget.More has for one at a
// time: that peer would hold up all who decode.
const pageWait = 2 * time.Second

// paging is the pages of one block, and the memory that they take.
type paging struct {
	eth.Pages
	node *node
	held int64
	give func() // nil: nothing is held
}

// pagingOf is for a block by its hash, and its header where that is known.
func (n *node) pagingOf(h chain.Hash, headers []chain.Header) *paging {
	var header []byte
	if len(headers) > 0 && headers[0].Ref.Hash == h {
		header = headers[0].Bytes
	}
	return &paging{Pages: eth.PagesOf(header), node: n}
}

// grow takes n bytes in all.
func (p *paging) grow(ctx context.Context, n int) error {
	more := int64(n) - p.held
	if most := p.node.budget.Size() / pagedShare; p.node.paged.Add(more) > most {
		p.node.paged.Add(-more)
		return fmt.Errorf("devp2p: %w for receipts of %d bytes beside others of at most %d", framed.ErrStarved, n, most)
	}
	ctx, cancel := context.WithTimeout(ctx, pageWait)
	defer cancel()
	give, err := p.node.budget.Take(ctx, n)
	if err != nil {
		p.node.paged.Add(-more)
		return fmt.Errorf("devp2p: %w for receipts of %d bytes: %w", framed.ErrStarved, n, err)
	}
	if p.give != nil {
		p.give()
	}
	p.give, p.held = give, int64(n)
	return nil
}

// done gives all back; the list is the caller's to account for.
func (p *paging) done() {
	if p.give != nil {
		p.give()
		p.node.paged.Add(-p.held)
	}
}

// askReceipts asks for receipts, from eth/70 on page by page: a block whose
// receipts do not fit one answer is asked for again, from where they ended.
// headers, where they are known, are those of hashes.
func (s *session) askReceipts(ctx context.Context, hashes []chain.Hash, headers []chain.Header) (out wire.Receipts, err error) {
	if len(hashes) == 0 {
		return out, nil
	}
	hashes = hashes[:min(len(hashes), eth.MaxReceipts)]
	pages := s.node.pagingOf(hashes[0], headers)
	defer pages.done()
	for {
		blocks, more, err := s.askPage(ctx, hashes, pages)
		switch {
		case errors.Is(err, eth.ErrSmallPages), errors.Is(err, wire.ErrTooLarge):
			return out, none()
		case err != nil:
			return out, err
		case more:
			continue
		}
		if pages.Begun() && len(blocks) > 0 {
			out.Hashes, out.Receipts = hashes[:1:1], [][]byte{pages.List()}
			hashes, blocks, headers = hashes[1:], blocks[1:], headers[min(1, len(headers)):]
		}
		s.addReceipts(&out, hashes, headers, blocks, pages.Begun())
		if len(out.Hashes) == 0 {
			return out, none()
		}
		return out, nil // whoever asked asks for the rest
	}
}

// addReceipts puts the blocks of an answer to those that they are of. A short
// answer without headers is taken for the first ones; but not late, behind a block
// that took several answers: meanwhile the peer may have come to lack any.
func (s *session) addReceipts(out *wire.Receipts, hashes []chain.Hash, headers []chain.Header, blocks [][]byte, late bool) {
	at, told := placeReceipts(hashes, headers, blocks)
	if late && !told && len(blocks) < len(hashes) {
		return
	}
	for i, b := range blocks {
		k := i
		if told {
			if k = at[i]; k < 0 {
				continue
			}
		}
		out.Hashes, out.Receipts = append(out.Hashes, hashes[k]), append(out.Receipts, b)
	}
	s.strangers("receipts", at)
}

// askPage asks for receipts from where the pages of the first block ended. More
// says that the first block has more of them; else blocks are those that are
// whole. The first of them is in pages, if that has begun.
func (s *session) askPage(ctx context.Context, hashes []chain.Hash, pages *paging) (blocks [][]byte, more bool, err error) {
	err = s.ask(ctx, eth.GetReceiptsMsg, eth.ReceiptsMsg, func(id uint64) []byte {
		return eth.GetReceipts{ID: id, First: pages.Count(), Hashes: hashes}.Append(nil, s.version)
	}, func(b []byte) error {
		m, err := eth.DecodeReceipts(b, s.version, len(hashes))
		if err != nil || len(m.Blocks) == 0 {
			return err
		}
		blocks = m.Blocks
		if m.Incomplete {
			blocks = blocks[:len(blocks)-1]
		}
		more = len(blocks) == 0
		if more || pages.Begun() {
			grow := func(n int) error { return pages.grow(ctx, n) }
			if err := pages.Add(m.Blocks[0], more, grow); err != nil {
				return err
			}
			m.Blocks[0] = nil
		}
		for i := range blocks {
			blocks[i] = append([]byte(nil), blocks[i]...) // it outlives the frame
		}
		return nil
	})
	return blocks, more, err
}
