package chaintest_test

import (
	"testing"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/chain/chaintest"
)

// factory makes in-memory chains. wrap, if not nil, stands between them and
// the suite.
func factory(wrap func(*chaintest.Chain) chain.Chain) chaintest.Factory {
	cfg := chaintest.Config{Seed: 1, MaxReorg: 8, Extra: true}
	maker := chaintest.NewChain(cfg)
	if wrap == nil {
		wrap = func(c *chaintest.Chain) chain.Chain { return c }
	}
	return chaintest.Factory{
		New: func(testing.TB) chain.Chain { return wrap(chaintest.NewChain(cfg)) },
		Child: func(_ testing.TB, parent chain.Header, branch uint64) chain.Block {
			return maker.Next(parent, chaintest.Make{Branch: branch})
		},
		Forge: func(_ testing.TB, b chain.Block) map[string]chain.Block {
			return map[string]chain.Block{"another's key": maker.Forge(b)}
		},
		Reopen: func(_ testing.TB, c chain.Chain) chain.Chain {
			return wrap(c.(interface{ Reopen() *chaintest.Chain }).Reopen())
		},
		MaxReorg: 8,
		Txs: func(b chain.Block) []chain.Tx {
			txs, err := chaintest.Txs(b.Body)
			if err != nil {
				panic(err)
			}
			return txs
		},
	}
}

func TestChainConforms(t *testing.T) {
	chaintest.Run(t, factory(nil))
}
