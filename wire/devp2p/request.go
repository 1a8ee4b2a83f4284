package devp2p

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/ethereum/go-ethereum/crypto"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/devp2p/eth"
	"github.com/starlingp2p/starling/wire/internal/framed"
)

// question is what a request and its answer have in common: the answer's code
// and the id.
type question struct {
	code, id uint64
}

// Request implements wire.Session. An empty answer is a Refusal: the peer has
// nothing of that, or is not in the mood.
func (s *session) Request(ctx context.Context, r wire.Request) (wire.Response, error) {
	switch r := r.(type) {
	case wire.GetHeaders:
		return s.askHeaders(ctx, r.Range)
	case wire.GetBodies:
		if s.node.w.cfg.WithReceipts && !r.BodiesOnly {
			return s.askContents(ctx, r)
		}
		bodies, err := s.askBodies(ctx, r)
		if err != nil {
			return nil, err
		}
		return bodies, nil
	case wire.GetReceipts:
		receipts, err := s.askReceipts(ctx, r.Hashes, nil)
		if err != nil {
			return nil, err
		}
		return receipts, nil
	case wire.GetTxs:
		return s.askTxs(ctx, r.Hashes)
	}
	return nil, fmt.Errorf("devp2p: %s request: %w", wire.KindOf(r), wire.ErrUnsupported)
}

// ask sends a request and gives its answer to decode, on the caller's goroutine.
func (s *session) ask(ctx context.Context, code uint64, answer uint64, payload func(id uint64) []byte, decode func([]byte) error) error {
	id := s.asked.Add(1)
	f, err := s.requests.Do(ctx, question{answer, id}, requestTime, func(ctx context.Context, m *framed.Mark) error {
		return s.send(ctx, wire.LaneSync, s.share, framed.Out{Code: code, Payload: payload(id), Mark: m})
	})
	if err != nil {
		return err
	}
	defer f.Release()
	err = decode(f.Payload)
	var fault *wire.Fault
	if errors.As(err, &fault) {
		s.finish(err)
	}
	return err
}

// none is the refusal that an empty answer is.
func none() error { return &wire.Refusal{Code: wire.RefusedNotFound} }

func (s *session) askHeaders(ctx context.Context, r chain.Range) (wire.Response, error) {
	count := min(r.Count, eth.MaxHeaders)
	if count <= 0 {
		return wire.Headers{}, nil
	}
	var out []chain.Header
	err := s.ask(ctx, eth.GetBlockHeadersMsg, eth.BlockHeadersMsg, func(id uint64) []byte {
		return eth.GetBlockHeaders{ID: id, Origin: r.From, Amount: uint64(count), Skip: uint64(max(r.Skip, 0)), Reverse: r.Reverse}.Append(nil)
	}, func(b []byte) error {
		m, err := eth.DecodeBlockHeaders(b, count)
		if err != nil {
			return err
		}
		for _, raw := range m.Headers {
			h, err := eth.ParseHeader(append([]byte(nil), raw...)) // it outlives the frame
			if err != nil {
				return err
			}
			out = append(out, h)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(out) == 0 {
		return nil, none()
	}
	return wire.Headers{Headers: out}, nil
}

// askBodies asks for bodies.
func (s *session) askBodies(ctx context.Context, r wire.GetBodies) (out wire.Bodies, err error) {
	hashes := r.Hashes
	if len(hashes) == 0 {
		return out, nil
	}
	hashes = hashes[:min(len(hashes), eth.MaxBodies)]
	err = s.ask(ctx, eth.GetBlockBodiesMsg, eth.BlockBodiesMsg, func(id uint64) []byte {
		return eth.GetBlockBodies{ID: id, Hashes: hashes}.Append(nil)
	}, func(b []byte) error {
		m, err := eth.DecodeBlockBodies(b, len(hashes))
		if err != nil {
			return err
		}
		at, told := placeBodies(hashes, r.Headers, m.Bodies)
		for i, body := range m.Bodies {
			k := i
			if told {
				if k = at[i]; k < 0 {
					continue
				}
			}
			out.Hashes = append(out.Hashes, hashes[k])
			out.Bodies = append(out.Bodies, wire.Body{Body: append([]byte(nil), body...)})
		}
		s.strangers("bodies", at)
		return nil
	})
	if err == nil && len(out.Bodies) == 0 {
		err = none()
	}
	return out, err
}

// askContents asks for bodies and their receipts at once, and joins them.
func (s *session) askContents(ctx context.Context, rq wire.GetBodies) (wire.Response, error) {
	type result struct {
		receipts wire.Receipts
		err      error
	}
	got := make(chan result, 1)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		r, err := s.askReceipts(ctx, rq.Hashes, rq.Headers)
		got <- result{r, err}
	}()
	bodies, err := s.askBodies(ctx, rq)
	if err != nil {
		cancel()
	}
	r := <-got // so that nothing is left behind
	if err != nil {
		return nil, err
	}
	if r.err != nil {
		return nil, r.err
	}
	both := joined(bodies, r.receipts)
	if len(both.Bodies) == 0 {
		return nil, none()
	}
	return both, nil
}

func (s *session) askTxs(ctx context.Context, hashes []chain.Hash) (wire.Response, error) {
	if len(hashes) == 0 {
		return wire.TxList{}, nil
	}
	hashes = hashes[:min(len(hashes), eth.MaxTxLookups)]
	var out wire.TxList
	err := s.ask(ctx, eth.GetPooledTransactionsMsg, eth.PooledTransactionsMsg, func(id uint64) []byte {
		return eth.GetPooledTransactions{ID: id, Hashes: hashes}.Append(nil)
	}, func(b []byte) error {
		m, err := eth.DecodePooledTransactions(b, len(hashes))
		if err != nil {
			return err
		}
		out.Txs = txsOf(m.Txs)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(out.Txs) == 0 {
		return nil, none()
	}
	return out, nil
}

// txsOf makes transactions of their bytes, which are copied.
func txsOf(raw [][]byte) []chain.Tx {
	out := make([]chain.Tx, len(raw))
	for i, b := range raw {
		b = append([]byte(nil), b...)
		out[i] = chain.Tx{Hash: chain.Hash(crypto.Keccak256Hash(eth.Hashed(b))), Kind: eth.TxKind(b), Bytes: b}
	}
	return out
}

// rangeOf makes a request for headers what the Host is asked; false if it asks
// for nothing.
func rangeOf(m eth.GetBlockHeaders) (chain.Range, bool) {
	r := chain.Range{From: m.Origin, Count: int(min(m.Amount, eth.MaxHeaders)), Reverse: m.Reverse, MaxBytes: eth.SoftAnswer}
	if m.Skip > math.MaxInt32 {
		r.Count = min(r.Count, 1) // the second is past any chain's end (CVE-2024-32972)
	} else {
		r.Skip = int(m.Skip)
	}
	return r, r.Count > 0
}
