package counterchain_test

import (
	"crypto/ed25519"
	"testing"
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/chain/chaintest"
	"github.com/starlingp2p/starling/examples/counterchain"
)

// region: conform

func TestCounterChainConforms(t *testing.T) {
	seed := make([]byte, ed25519.SeedSize) // never a real key's
	key := ed25519.NewKeyFromSeed(seed)
	seed[0] = 1
	stranger := ed25519.NewKeyFromSeed(seed)

	child := func(key ed25519.PrivateKey, parent chain.Header) chain.Block {
		return counterchain.Seal(key, parent, parent.Time.Add(time.Second), parent.Ref.Number)
	}
	chaintest.Run(t, chaintest.Factory{
		New: func(testing.TB) chain.Chain {
			return counterchain.New(key.Public().(ed25519.PublicKey))
		},
		Child: func(_ testing.TB, parent chain.Header, _ uint64) chain.Block {
			return child(key, parent)
		},
		Forge: func(_ testing.TB, b chain.Block) map[string]chain.Block {
			parent := chain.Header{Ref: chain.Ref{Number: b.Ref().Number - 1, Hash: b.Header.Parent}}
			return map[string]chain.Block{"a stranger's": child(stranger, parent)}
		},
		Linear: true, // and, in memory, without Reopen
	})
}
