package ethereum

import (
	"math/big"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	gethclique "github.com/ethereum/go-ethereum/consensus/clique"
	"github.com/ethereum/go-ethereum/core/rawdb"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/params"
	"pgregory.net/rapid"

	"github.com/starlingp2p/starling/chain"
)

// gethChain is a chain as geth's engine reads it.
type gethChain struct {
	config *params.ChainConfig
	byHash map[common.Hash]*types.Header
	line   []*types.Header
}

func newGethChain(f *Family) *gethChain {
	g := &gethChain{config: f.c.Chain, byHash: map[common.Hash]*types.Header{}}
	_, h, _ := decodeHeader(f.c.Genesis.Header.Bytes)
	g.add(h)
	return g
}

func (g *gethChain) add(h *types.Header) {
	g.byHash[h.Hash()] = h
	g.line = append(g.line, h)
}

func (g *gethChain) Config() *params.ChainConfig                        { return g.config }
func (g *gethChain) CurrentHeader() *types.Header                       { return g.line[len(g.line)-1] }
func (g *gethChain) GetHeader(hash common.Hash, _ uint64) *types.Header { return g.byHash[hash] }
func (g *gethChain) GetHeaderByHash(hash common.Hash) *types.Header     { return g.byHash[hash] }
func (g *gethChain) GetHeaderByNumber(n uint64) *types.Header           { return g.line[n] }

// Whatever is voted, in whatever order, geth's engine and this one take the same
// headers: signers come and go, the set shrinks under votes that were too few
// before, and checkpoints forget.
func TestVotesCountAsInGeth(t *testing.T) {
	const everybody = 7
	var left, joined, refused int
	rapid.Check(t, func(rt *rapid.T) {
		f := authority(t, rapid.IntRange(1, 5).Draw(rt, "signers"), rapid.SampledFrom([]uint64{7, 30, 1000}).Draw(rt, "epoch"), "test")
		geth := newGethChain(f)
		engine := gethclique.New(f.c.Chain.Clique, rawdb.NewMemoryDatabase())
		defer engine.Close()
		parent := f.c.Genesis.Header
		focus := rapid.IntRange(1, everybody).Draw(rt, "whom most votes are about")
		for range rapid.IntRange(10, 50).Draw(rt, "blocks") {
			s, err := f.clique.signersAfter(parent)
			if err != nil {
				rt.Fatal(err)
			}
			before := len(s.allowed)
			h := next(t, parent)
			number := h.Number.Uint64()
			about := focus
			if rapid.IntRange(0, 2).Draw(rt, "elsewhere") == 0 {
				about = rapid.IntRange(0, everybody).Draw(rt, "about")
			}
			if about > 0 {
				h.Coinbase = address(t, about)
			}
			if rapid.Bool().Draw(rt, "allow") {
				h.Nonce = voteAllow
			}
			if number%f.clique.epoch == 0 {
				h.Coinbase, h.Nonce, h.Extra = common.Address{}, voteDrop, make([]byte, vanityLen)
				for _, a := range s.sorted() {
					h.Extra = append(h.Extra, a[:]...)
				}
				h.Extra = append(h.Extra, make([]byte, sealLen)...)
			}
			// Somebody who may sign, where there is somebody; else whoever comes.
			start, by := rapid.IntRange(1, everybody).Draw(rt, "by"), 0
			for i := range everybody {
				k := (start+i-1)%everybody + 1
				if _, err := s.with(h, address(t, k), f.clique.epoch); err == nil {
					by = k
					break
				}
			}
			if by == 0 || rapid.IntRange(0, 9).Draw(rt, "a wrong one") == 0 {
				by = start
			}
			if !s.inTurn(number, address(t, by)) {
				h.Difficulty = big.NewInt(1)
			}
			b := sealedBy(t, h, key(t, by))
			theirs := engine.VerifyHeader(geth, h)
			_, ours := f.VerifyHeaders(parent, []chain.Header{b.Header})
			if theirs == nil && ours != nil && number < s.limit() {
				// Who signed just before may sign so early for geth, by an underflow in
				// its verifySeal, but its own sealer does not, and it takes no child.
				continue
			}
			if (theirs == nil) != (ours == nil) {
				rt.Fatalf("block %d: %v; geth says %v", number, ours, theirs)
			}
			if ours != nil {
				refused++
				continue
			}
			geth.add(h)
			parent = b.Header
			switch s, _ = f.clique.signersAfter(parent); {
			case len(s.allowed) < before:
				left++
			case len(s.allowed) > before:
				joined++
			}
		}
	})
	if left == 0 || joined == 0 || refused == 0 {
		t.Errorf("%d signers left, %d joined, %d headers were refused; want some of each", left, joined, refused)
	}
}

// A vote that asks for nothing new still has those counted that were cast
// before: too few then, and enough since the signers have become fewer.
func TestAVoteThatChangesNothingCountsTheOthers(t *testing.T) {
	a := sortedSigners(t, 4)
	s := &signers{allowed: map[common.Address]bool{a[0]: true, a[1]: true, a[2]: true}, recent: map[uint64]common.Address{}}
	s.votes = []vote{{by: a[0], about: a[1]}, {by: a[2], about: a[1]}} // cast when there were four
	n, err := s.with(&types.Header{Number: big.NewInt(9), Coinbase: a[1], Nonce: voteAllow}, a[1], defaultEpoch)
	if err != nil || n.allowed[a[1]] || len(n.votes) != 0 {
		t.Errorf("signers are %v with the votes %v, %v; want %s gone", n.sorted(), n.votes, err, a[1])
	}
}
