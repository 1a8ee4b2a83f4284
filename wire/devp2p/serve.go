package devp2p

import (
	"context"
	"fmt"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/internal/turns"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/devp2p/eth"
	"github.com/starlingp2p/starling/wire/internal/framed"
)

// serve answers one request of the peer. What the Host refuses is answered by
// nothing: the protocol has no other word.
func (s *session) serve(f framed.Frame, code uint64) error {
	switch code {
	case eth.GetBlockHeadersMsg:
		return s.serveHeaders(f.Payload)
	case eth.GetBlockBodiesMsg:
		return s.serveBodies(f.Payload)
	case eth.GetReceiptsMsg:
		return s.serveReceipts(f.Payload)
	case eth.GetPooledTransactionsMsg:
		return s.serveTxs(f.Payload)
	}
	return fmt.Errorf("devp2p: message %d is no request", code)
}

// answer queues an answer, and waits for room. It goes out behind what was
// asked for before. The payload is the writer's from then on.
func (s *session) answer(code uint64, payload []byte) error {
	return s.send(s.ctx, wire.LaneSync, s.share, framed.Out{Code: code, Payload: payload, Spare: true})
}

// room is memory for an answer of size bytes, which may have been another's.
func (s *session) room(size int) []byte {
	if size += 1 << 10; size > turns.Bulk {
		return s.node.budget.Room(size)[:0]
	}
	return nil
}

// inTurn works on size bytes; when it is its turn if they are many.
func (s *session) inTurn(size int, work func()) {
	if size < turns.Bulk {
		work()
		return
	}
	s.node.budget.Turn(work)
}

// assemble puts an answer of about size bytes together; a large one when it is
// its turn.
func (s *session) assemble(size int, put func([]byte) []byte) (payload []byte) {
	s.inTurn(size, func() { payload = put(s.room(size)) })
	return payload
}

// mostAnswer is how many bytes of items an answer may have beside its head and
// id: what is over MaxMessage ends the link.
const mostAnswer = eth.MaxMessage - 1024

// hosted asks the Host. A refusal is the zero answer; only the end of the
// session is an error.
func hosted[R wire.Response](s *session, r wire.Request) (out R, err error) {
	resp, err := s.node.host.Serve(s.ctx, s, r)
	if s.ctx.Err() != nil {
		return out, context.Canceled
	}
	if got, ok := resp.(R); ok && err == nil {
		return got, nil
	}
	return out, nil
}

func (s *session) serveHeaders(b []byte) error {
	m, err := eth.DecodeGetBlockHeaders(b)
	if err != nil {
		return err
	}
	out := eth.BlockHeaders{ID: m.ID}
	size := 0
	if r, ok := rangeOf(m); ok {
		got, err := hosted[wire.Headers](s, wire.GetHeaders{Range: r})
		if err != nil {
			return err
		}
		out.Headers = make([][]byte, 0, min(len(got.Headers), r.Count))
		for _, h := range got.Headers[:cap(out.Headers)] {
			if out.Headers = append(out.Headers, h.Bytes); size+len(h.Bytes) > eth.SoftAnswer {
				break
			}
			size += len(h.Bytes)
		}
	}
	return s.answer(eth.BlockHeadersMsg, s.assemble(size, out.Append))
}

func (s *session) serveBodies(b []byte) error {
	m, err := eth.DecodeGetBlockBodies(b)
	if err != nil {
		return err
	}
	out := eth.BlockBodies{ID: m.ID}
	size := 0
	if len(m.Hashes) > 0 {
		got, err := hosted[wire.Bodies](s, wire.GetBodies{Hashes: m.Hashes, MaxBytes: eth.SoftAnswer})
		if err != nil {
			return err
		}
		whole := prefix(m.Hashes, got.Hashes, len(got.Bodies))
		out.Bodies = make([][]byte, 0, whole)
		for i, body := range got.Bodies[:whole] {
			if n := len(body.Body); n > mostAnswer || i > 0 && size+n > eth.MaxMessage/2 {
				break
			}
			out.Bodies = append(out.Bodies, body.Body)
			if size += len(body.Body); size > eth.SoftAnswer {
				break
			}
		}
	}
	return s.answer(eth.BlockBodiesMsg, s.assemble(size, out.Append))
}

// prefix is how many answers come first for what was asked: an answer ends
// where something is missing.
func prefix(asked, got []chain.Hash, n int) int {
	n = min(n, len(got), len(asked))
	for i := range n {
		if asked[i] != got[i] {
			return i
		}
	}
	return n
}

func (s *session) serveReceipts(b []byte) error {
	m, err := eth.DecodeGetReceipts(b, s.version)
	if err != nil {
		return err
	}
	out := eth.Receipts{ID: m.ID}
	size := 0
	if len(m.Hashes) > 0 {
		got, err := hosted[wire.Receipts](s, wire.GetReceipts{Hashes: m.Hashes, MaxBytes: eth.SoftAnswer})
		if err != nil {
			return err
		}
		whole := 0
		for _, block := range got.Receipts {
			whole += len(block)
		}
		s.inTurn(whole, func() { out.Blocks, size, out.Incomplete, err = pageOf(got, m, s.version) })
		if err != nil {
			return fmt.Errorf("devp2p: our receipts are malformed: %v", err)
		}
	}
	payload := s.assemble(size, func(b []byte) []byte {
		b, err = out.Append(b, s.version)
		return b
	})
	if err != nil {
		return fmt.Errorf("devp2p: our receipts are malformed: %v", err)
	}
	return s.answer(eth.ReceiptsMsg, payload)
}

func (s *session) serveTxs(b []byte) error {
	m, err := eth.DecodeGetPooledTransactions(b)
	if err != nil {
		return err
	}
	out := eth.PooledTransactions{ID: m.ID}
	size := 0
	if len(m.Hashes) > 0 {
		got, err := hosted[wire.TxList](s, wire.GetTxs{Hashes: m.Hashes, MaxBytes: eth.SoftAnswer, Pooled: true})
		if err != nil {
			return err
		}
		for _, tx := range got.Txs[:min(len(got.Txs), len(m.Hashes))] {
			n := len(tx.Bytes) + 4 // its head
			if size+n > mostAnswer {
				break
			}
			out.Txs = append(out.Txs, tx.Bytes)
			if size += n; size > eth.SoftAnswer {
				break
			}
		}
	}
	return s.answer(eth.PooledTransactionsMsg, s.assemble(size, out.Append))
}

// pageOf picks the receipts for an answer, and tells what they take in it. From
// eth/70 on the receipts of a block may be cut where the message would grow too
// large, and the first are left out that the peer has; before, a block that is
// too large ends the answer.
func pageOf(got wire.Receipts, m eth.GetReceipts, v eth.Version) (blocks [][]byte, size int, incomplete bool, err error) {
	for i, block := range got.Receipts[:prefix(m.Hashes, got.Hashes, len(got.Receipts))] {
		first := uint64(0)
		if i == 0 {
			first = m.First
		}
		n := len(block)
		if v < eth.V70 {
			if n, err = eth.ReceiptsSize(block, v); err != nil {
				return nil, 0, false, err
			}
			if n > mostAnswer || i > 0 && size+n > mostAnswer/2 {
				break
			}
		} else if first > 0 || size+n > mostAnswer {
			if block, incomplete, err = eth.CutReceipts(block, first, mostAnswer-size); err != nil {
				return nil, 0, false, err
			}
			if incomplete && eth.CountReceipts(block) == 0 {
				return blocks, size, false, nil
			}
			n = len(block)
		}
		blocks = append(blocks, block)
		if size += n; size > eth.SoftAnswer || incomplete {
			break
		}
	}
	return blocks, size, incomplete, nil
}
