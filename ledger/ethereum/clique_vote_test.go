package ethereum

import (
	"context"
	"math/big"
	"reflect"
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

// headerLine is a chain of headers from genesis on, without branches.
type headerLine []chain.Header

func (l headerLine) Status() chain.Status { return chain.Status{Head: l[len(l)-1].Ref} }

func (l headerLine) Header(_ context.Context, r chain.Ref) (chain.Header, error) {
	if r.Number < uint64(len(l)) && (r.Hash.IsZero() || l[r.Number].Ref == r) {
		return l[r.Number], nil
	}
	return chain.Header{}, chain.ErrNotFound
}

func (l headerLine) Headers(ctx context.Context, r chain.Range) (hs []chain.Header, err error) {
	h, err := l.Header(ctx, r.From)
	for ; err == nil && len(hs) < r.Count; h, err = l.Header(ctx, chain.Ref{Number: h.Ref.Number - 1, Hash: h.Parent}) {
		hs = append(hs, h)
	}
	if len(hs) == 0 {
		return nil, chain.ErrNotFound
	}
	return hs, nil
}

func (l headerLine) Block(context.Context, chain.Ref) (chain.Block, error) {
	return chain.Block{}, chain.ErrNotFound
}

func (l headerLine) Blocks(context.Context, chain.Range) ([]chain.Block, error) {
	return nil, chain.ErrNotFound
}

// Whatever is voted, in whatever order, geth's engine and this one take the same
// headers: signers come and go, the set shrinks under votes that were too few
// before, and checkpoints forget.
func TestVotesCountAsInGeth(t *testing.T) {
	const everybody = 7
	var left, joined, refused int
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(1, 5).Draw(rt, "signers")
		f := authority(t, n, rapid.SampledFrom([]uint64{7, 30, 1000}).Draw(rt, "epoch"), "test")
		geth := newGethChain(f)
		engine := gethclique.New(f.c.Chain.Clique, rawdb.NewMemoryDatabase())
		defer engine.Close()
		parent := f.c.Genesis.Header
		line := headerLine{parent}
		focus := rapid.IntRange(1, everybody).Draw(rt, "whom most votes are about")
		for range rapid.IntRange(10, 50).Draw(rt, "blocks") {
			s, err := f.clique.signersAfter(t.Context(), parent)
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
			switch s, _ = f.clique.signersAfter(t.Context(), parent); {
			case len(s.allowed) < before:
				left++
			case len(s.allowed) > before:
				joined++
			}
			line = append(line, parent)
		}
		// What is told from the stored headers alone is the same, wherever.
		for range 3 {
			at := rapid.SampledFrom(line).Draw(rt, "after a restart")
			want, err := f.clique.signersAfter(t.Context(), at)
			if err != nil {
				rt.Fatal(err)
			}
			fresh := authority(t, n, f.clique.epoch, "test")
			fresh.Attach(line)
			got, err := fresh.clique.signersAfter(t.Context(), at)
			if err != nil || !reflect.DeepEqual(got, want) {
				rt.Fatalf("after a restart the signers after block %v are %+v, %v; want %+v", at.Ref, got, err, want)
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
