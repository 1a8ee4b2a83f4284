package chaintest_test

import (
	"context"
	"maps"
	"slices"
	"testing"

	"go.uber.org/goleak"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/chain/chaintest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// config is that of every chain here.
var config = chaintest.Config{Seed: 1, MaxReorg: 8, Extra: true}

// mutant is the chain in memory with some of its methods replaced: each that
// is nil is the chain's own.
type mutant struct {
	*chaintest.Chain
	status        func() chain.Status
	header        func(context.Context, chain.Ref) (chain.Header, error)
	block         func(context.Context, chain.Ref) (chain.Block, error)
	headers       func(context.Context, chain.Range) ([]chain.Header, error)
	blocks        func(context.Context, chain.Range) ([]chain.Block, error)
	check         func(chain.Block) chain.Verdict
	verifyHeaders func(chain.Header, []chain.Header) (int, error)
	verifyBody    func(h chain.Header, body, extra []byte) error
	imports       func(context.Context, []chain.Block) (int, error)
	stage         func(context.Context, []chain.Block) error
	staged        func(context.Context) ([]chain.Ref, error)
	tx            func(context.Context, chain.Hash) (chain.Tx, error)
	reopen        func() *chaintest.Chain
	reopened      bool
}

// or is replaced where there is one, else own.
func or[F any](replaced F, there bool, own F) F {
	if there {
		return replaced
	}
	return own
}

func (m *mutant) Status() chain.Status { return or(m.status, m.status != nil, m.Chain.Status)() }

func (m *mutant) Header(ctx context.Context, r chain.Ref) (chain.Header, error) {
	return or(m.header, m.header != nil, m.Chain.Header)(ctx, r)
}

func (m *mutant) Block(ctx context.Context, r chain.Ref) (chain.Block, error) {
	return or(m.block, m.block != nil, m.Chain.Block)(ctx, r)
}

func (m *mutant) Headers(ctx context.Context, r chain.Range) ([]chain.Header, error) {
	return or(m.headers, m.headers != nil, m.Chain.Headers)(ctx, r)
}

func (m *mutant) Blocks(ctx context.Context, r chain.Range) ([]chain.Block, error) {
	return or(m.blocks, m.blocks != nil, m.Chain.Blocks)(ctx, r)
}

func (m *mutant) Check(b chain.Block) chain.Verdict {
	return or(m.check, m.check != nil, m.Chain.Check)(b)
}

func (m *mutant) VerifyHeaders(parent chain.Header, hs []chain.Header) (int, error) {
	return or(m.verifyHeaders, m.verifyHeaders != nil, m.Chain.VerifyHeaders)(parent, hs)
}

func (m *mutant) VerifyBody(h chain.Header, body, extra []byte) error {
	return or(m.verifyBody, m.verifyBody != nil, m.Chain.VerifyBody)(h, body, extra)
}

func (m *mutant) Import(ctx context.Context, blocks []chain.Block) (int, error) {
	return or(m.imports, m.imports != nil, m.Chain.Import)(ctx, blocks)
}

func (m *mutant) Stage(ctx context.Context, blocks []chain.Block) error {
	return or(m.stage, m.stage != nil, m.Chain.Stage)(ctx, blocks)
}

func (m *mutant) Staged(ctx context.Context) ([]chain.Ref, error) {
	return or(m.staged, m.staged != nil, m.Chain.Staged)(ctx)
}

func (m *mutant) Tx(ctx context.Context, h chain.Hash) (chain.Tx, error) {
	return or(m.tx, m.tx != nil, m.Chain.Tx)(ctx, h)
}

// factory makes chains in memory, changed by mutate unless that is nil.
func factory(mutate func(m *mutant)) chaintest.Factory {
	maker := chaintest.NewChain(config)
	wrap := func(c *chaintest.Chain, reopened bool) chain.Chain {
		m := &mutant{Chain: c, reopened: reopened}
		if mutate == nil {
			return c
		}
		mutate(m)
		return m
	}
	return chaintest.Factory{
		New: func(testing.TB) chain.Chain { return wrap(chaintest.NewChain(config), false) },
		Child: func(_ testing.TB, parent chain.Header, branch uint64) chain.Block {
			return maker.Next(parent, chaintest.Make{Branch: branch})
		},
		Forge: func(_ testing.TB, b chain.Block) map[string]chain.Block {
			return map[string]chain.Block{"another's key": maker.Forge(b)}
		},
		Reopen: func(_ testing.TB, c chain.Chain) chain.Chain {
			m, ok := c.(*mutant)
			switch {
			case !ok:
				return wrap(c.(*chaintest.Chain).Reopen(), true)
			case m.reopen != nil:
				return wrap(m.reopen(), true)
			}
			return wrap(m.Reopen(), true)
		},
		MaxReorg: config.MaxReorg,
		Txs: func(b chain.Block) []chain.Tx {
			txs, err := chaintest.Txs(b.Body)
			if err != nil {
				panic(err)
			}
			return txs
		},
		Pool: func(_ testing.TB, n int) (chain.TxPool, []chain.Tx) {
			return chaintest.NewPool(), poolTxs(n)
		},
	}
}

func TestChainConforms(t *testing.T) {
	chaintest.Run(t, factory(nil))
}

// TestSuiteTellsEachBrokenRule runs the suite on chains that break one
// sentence of the contracts each, and wants the rule of that sentence to say
// so. What follows from a broken sentence may break others; a mutant that
// broke most of them would show nothing.
func TestSuiteTellsEachBrokenRule(t *testing.T) {
	rules := chaintest.Rules()
	untold := map[string]bool{}
	for _, r := range rules {
		untold[r.Name] = true
	}
	for _, m := range slices.Concat(readerMutants(), rangeMutants(), checkerMutants(), importerMutants(), branchMutants(), poolMutants()) {
		if _, ok := untold[m.rule]; !ok {
			t.Errorf("a mutant names the rule %q, which is not there", m.rule)
			continue
		}
		t.Run(m.rule+"/"+m.does, func(t *testing.T) {
			f := m.factory()
			var broken []string
			for _, r := range rules {
				if r.Check(chaintest.NewEnv(t, f)) != nil {
					broken = append(broken, r.Name)
				}
			}
			if !slices.Contains(broken, m.rule) {
				t.Errorf("the suite reports %v, want %s among them", broken, m.rule)
			}
			if len(broken) > len(rules)/2 {
				t.Errorf("the mutant breaks %d of %d rules, so it shows nothing about one: %v", len(broken), len(rules), broken)
			}
		})
		untold[m.rule] = false
	}
	for _, name := range slices.Sorted(maps.Keys(untold)) {
		if untold[name] {
			t.Errorf("no mutant breaks %s", name)
		}
	}
}

// breaks is a mutant: the rule that it breaks, and how.
type breaks struct {
	rule, does string
	mutate     func(m *mutant)
	pool       func(*chaintest.Pool) chain.TxPool
}

func (b breaks) factory() chaintest.Factory {
	f := factory(b.mutate)
	if b.pool != nil {
		f.Pool = func(_ testing.TB, n int) (chain.TxPool, []chain.Tx) {
			return b.pool(chaintest.NewPool()), poolTxs(n)
		}
	}
	return f
}
