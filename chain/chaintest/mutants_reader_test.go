package chaintest_test

import (
	"context"
	"errors"
	"math"
	"sync"
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/chain/chaintest"
)

var errPlain = errors.New("went wrong")

func readerMutants() []breaks {
	return []breaks{
		{rule: "status-of-a-fresh-chain", does: "earliest is above the head", mutate: func(m *mutant) {
			m.status = func() chain.Status {
				s := m.Chain.Status()
				s.Earliest = s.Head.Number + 1
				return s
			}
		}},
		{rule: "status-follows-import", does: "the genesis is the head", mutate: func(m *mutant) {
			m.status = func() chain.Status {
				s := m.Chain.Status()
				s.Genesis = s.Head.Hash
				return s
			}
		}},
		{rule: "status-follows-import", does: "the weight stays", mutate: func(m *mutant) {
			m.status = func() chain.Status {
				s := m.Chain.Status()
				s.Weight = chain.Weight{}
				return s
			}
		}},
		{rule: "block-by-hash", does: "a number above the head hides the hash", mutate: func(m *mutant) {
			m.block = func(ctx context.Context, r chain.Ref) (chain.Block, error) {
				if !r.Hash.IsZero() && r.Number > m.Status().Head.Number+8 {
					return chain.Block{}, chain.ErrNotFound
				}
				return m.Chain.Block(ctx, r)
			}
		}},
		{rule: "block-by-number", does: "a number gives no extra", mutate: func(m *mutant) {
			m.block = func(ctx context.Context, r chain.Ref) (chain.Block, error) {
				b, err := m.Chain.Block(ctx, r)
				if r.Hash.IsZero() {
					b.Extra = nil
				}
				return b, err
			}
		}},
		{rule: "header-is-the-blocks", does: "the header has another time", mutate: func(m *mutant) {
			m.header = func(ctx context.Context, r chain.Ref) (chain.Header, error) {
				h, err := m.Chain.Header(ctx, r)
				h.Time = h.Time.Add(time.Second)
				return h, err
			}
		}},
		{rule: "not-found", does: "the error is not ErrNotFound", mutate: func(m *mutant) {
			m.header = func(ctx context.Context, r chain.Ref) (chain.Header, error) {
				h, err := m.Chain.Header(ctx, r)
				if err != nil {
					err = errPlain
				}
				return h, err
			}
		}},
		{rule: "not-found", does: "the highest number means the head", mutate: func(m *mutant) {
			m.block = func(ctx context.Context, r chain.Ref) (chain.Block, error) {
				if r.Hash.IsZero() && r.Number == math.MaxUint64 {
					r = m.Status().Head
				}
				return m.Chain.Block(ctx, r)
			}
		}},
		{rule: "values-may-be-kept", does: "a buffer is used again", mutate: func(m *mutant) {
			var scratch []byte
			m.blocks = func(ctx context.Context, r chain.Range) ([]chain.Block, error) {
				out, err := m.Chain.Blocks(ctx, r)
				if len(out) > 0 {
					scratch = append(scratch[:0], out[0].Body...)
					out[0].Body = scratch
				}
				return out, err
			}
		}},
		{rule: "context-ends-reads", does: "an ended context is not found", mutate: func(m *mutant) {
			m.headers = func(ctx context.Context, r chain.Range) ([]chain.Header, error) {
				if ctx.Err() != nil {
					return nil, chain.ErrNotFound
				}
				return m.Chain.Headers(ctx, r)
			}
		}},
		{rule: "reads-while-importing", does: "the head is told before it is stored", mutate: headTooEarly},
	}
}

// headTooEarly tells block 44 as the head while it is being imported, until
// somebody has looked for it.
func headTooEarly(m *mutant) {
	var mu sync.Mutex
	var early chain.Ref
	looked := make(chan struct{})
	var once sync.Once
	m.status = func() chain.Status {
		mu.Lock()
		defer mu.Unlock()
		s := m.Chain.Status()
		if early.Number > s.Head.Number {
			s.Head = early
		}
		return s
	}
	m.header = func(ctx context.Context, r chain.Ref) (chain.Header, error) {
		h, err := m.Chain.Header(ctx, r)
		if err != nil {
			once.Do(func() { close(looked) })
		}
		return h, err
	}
	m.imports = func(ctx context.Context, blocks []chain.Block) (int, error) {
		if n := len(blocks); n > 0 && blocks[n-1].Ref().Number == 44 {
			mu.Lock()
			early = blocks[n-1].Ref()
			mu.Unlock()
			<-looked
		}
		return m.Chain.Import(ctx, blocks)
	}
}

// ranged replaces both range methods by ones that change the question, or the
// answer.
func ranged(m *mutant, ask func(*chain.Range), answer func(r chain.Range, n int) (keep int, err error)) {
	if ask == nil {
		ask = func(*chain.Range) {}
	}
	if answer == nil {
		answer = func(_ chain.Range, n int) (int, error) { return n, nil }
	}
	m.blocks = func(ctx context.Context, r chain.Range) ([]chain.Block, error) {
		ask(&r)
		out, err := m.Chain.Blocks(ctx, r)
		if err != nil {
			return nil, err
		}
		n, err := answer(r, len(out))
		return out[:n], err
	}
	m.headers = func(ctx context.Context, r chain.Range) ([]chain.Header, error) {
		blocks := r
		ask(&blocks)
		out, err := m.Chain.Headers(ctx, blocks)
		if err != nil {
			return nil, err
		}
		n, err := answer(blocks, len(out))
		return out[:n], err
	}
}

func rangeMutants() []breaks {
	return []breaks{
		{rule: "range-forward", does: "from a hash the first is left out", mutate: func(m *mutant) {
			m.blocks = func(ctx context.Context, r chain.Range) ([]chain.Block, error) {
				out, err := m.Chain.Blocks(ctx, r)
				if !r.From.Hash.IsZero() && !r.Reverse && len(out) > 0 {
					out = out[1:]
				}
				return out, err
			}
		}},
		{rule: "range-hash-counts", does: "the number counts", mutate: func(m *mutant) {
			ranged(m, func(r *chain.Range) { r.From.Hash = chain.Hash{} }, nil)
		}},
		{rule: "range-ends-at-head", does: "a range past the head is not found", mutate: func(m *mutant) {
			ranged(m, nil, func(r chain.Range, n int) (int, error) {
				if n < r.Count && !r.Reverse && r.MaxBytes == 0 {
					return 0, chain.ErrNotFound
				}
				return n, nil
			})
		}},
		{rule: "range-count-zero", does: "zero means one", mutate: func(m *mutant) {
			ranged(m, func(r *chain.Range) { r.Count = max(r.Count, 1) }, nil)
		}},
		{rule: "range-skip", does: "skip is the distance", mutate: func(m *mutant) {
			ranged(m, func(r *chain.Range) { r.Skip = max(r.Skip-1, 0) }, nil)
		}},
		{rule: "range-reverse", does: "reverse is ignored", mutate: func(m *mutant) {
			ranged(m, func(r *chain.Range) { r.Reverse = false }, nil)
		}},
		{rule: "range-max-bytes", does: "the block that passes it is given", mutate: func(m *mutant) {
			m.blocks = func(ctx context.Context, r chain.Range) ([]chain.Block, error) {
				out, err := m.Chain.Blocks(ctx, r)
				if want := r.Count; r.MaxBytes > 1 && err == nil {
					r.MaxBytes, r.Count = 0, len(out)+1
					if out, err = m.Chain.Blocks(ctx, r); len(out) > want {
						out = out[:want]
					}
				}
				return out, err
			}
		}},
		{rule: "range-gives-one", does: "a block over the bound is not given", mutate: func(m *mutant) {
			m.blocks = func(ctx context.Context, r chain.Range) ([]chain.Block, error) {
				out, err := m.Chain.Blocks(ctx, r)
				if r.MaxBytes > 0 && len(out) == 1 && out[0].Size() > r.MaxBytes {
					out = nil
				}
				return out, err
			}
		}},
		{rule: "range-not-found", does: "nothing is no error", mutate: func(m *mutant) {
			m.headers = func(ctx context.Context, r chain.Range) ([]chain.Header, error) {
				out, err := m.Chain.Headers(ctx, r)
				if errors.Is(err, chain.ErrNotFound) {
					err = nil
				}
				return out, err
			}
		}},
		{rule: "range-does-not-wrap", does: "a great skip comes round to zero", mutate: func(m *mutant) {
			m.blocks = func(ctx context.Context, r chain.Range) ([]chain.Block, error) {
				out, err := m.Chain.Blocks(ctx, r)
				if r.Skip == math.MaxInt && len(out) < r.Count {
					out = append(out, m.Genesis())
				}
				return out, err
			}
		}},
		{rule: "range-does-not-wrap", does: "the answer is made as long as the question", mutate: func(m *mutant) {
			m.blocks = func(ctx context.Context, r chain.Range) ([]chain.Block, error) {
				if r.Count > math.MaxInt32 {
					return nil, errPlain // what make would do, without doing it
				}
				return m.Chain.Blocks(ctx, r)
			}
		}},
	}
}

var _ chain.Chain = (*chaintest.Chain)(nil)
