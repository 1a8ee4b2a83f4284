package ethereum

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"sync/atomic"
	"time"

	"github.com/ethereum/go-ethereum/core/types"
	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/env"
	"github.com/starlingp2p/starling/ledger"
	"github.com/starlingp2p/starling/peer"
)

// Family is a network of this package. It is safe for concurrent use.
type Family struct {
	c      Config
	clique *clique // nil: another consensus
	reader atomic.Pointer[chain.Reader]
	merged atomic.Bool // the genesis block or what was attached is past the Merge
	totals *lru.Cache[chain.Hash, *big.Int]
}

var (
	_ ledger.Family  = (*Family)(nil)
	_ ledger.Weigher = (*Family)(nil)
)

// New makes the family of a network.
func New(c Config) (*Family, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if c.Wall == nil {
		c.Wall = env.SystemWall()
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	f := &Family{c: c}
	f.totals, _ = lru.New[chain.Hash, *big.Int](rememberTotals)
	h, err := f.same(c.Genesis.Header)
	if err != nil {
		return nil, fmt.Errorf("ethereum: genesis: %w", err)
	}
	f.merged.Store(f.reached(h.Difficulty))
	if c.Chain.Clique != nil {
		if f.clique, err = newClique(c.Chain.Clique, c.Genesis.Header, h.Extra, &f.reader); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// Attach gives the family the chain whose headers it may read, to know clique's
// signers and the total difficulty after a restart, and the parents of blocks
// that nobody sealed.
func (f *Family) Attach(r chain.Reader) {
	f.reader.Store(&r)
	if f.reached(r.Status().Weight.Big()) {
		f.merged.Store(true)
	}
}

// Spec implements ledger.Family.
func (f *Family) Spec() ledger.Spec {
	return ledger.Spec{Network: f.c.Network, Genesis: f.c.Genesis, Rules: append(Rules(f.c.Chain, f.c.ExtraForks...), f.c.Bomb.rules()...)}
}

// Config is what the family was made of.
func (f *Family) Config() Config { return f.c }

// Proven reports whether something proves this network's blocks: signers, or a
// target. Nothing here proves those of proof of work, whose seal is not checked.
func (f *Family) Proven() bool { return f.clique != nil || f.NeedsTarget() }

// Weight implements ledger.Weigher: the total difficulty. Blocks after the Merge
// have none and count one each, so that a longer branch weighs more.
func (f *Family) Weight(parent chain.Weight, ch chain.Header) (w chain.Weight) {
	_, h, err := decodeHeader(ch.Bytes)
	if err != nil {
		return parent
	}
	d := h.Difficulty
	if d.Sign() == 0 && ch.Ref.Number > 0 {
		d = big.NewInt(1)
	}
	sum := new(big.Int).Add(parent.Big(), d)
	if sum.BitLen() > 256 {
		return parent
	}
	sum.FillBytes(w[:])
	return w
}

// maxAhead is how far a block's time may be ahead of ours (geth allows 15 s,
// consensus/ethash).
const maxAhead = 15 * time.Second

// Check implements chain.Checker. After the Merge nobody gossips blocks. Under
// proof of work a block is accepted if it is near our head, its parent is here and
// all but its seal is right: which proves nothing (Proven), so it may be imported, as the sync would,
// but who passes it on loses the peers that do check seals.
func (f *Family) Check(b chain.Block) chain.Verdict {
	h, err := f.same(b.Header)
	if err != nil {
		return chain.RejectedAt(peer.Fatal, "bad-header")
	}
	if afterMerge(h) && f.mayMerge() {
		return chain.Ignored("not-gossiped")
	}
	if b.Header.Time.After(f.c.Wall.Now().Add(maxAhead)) {
		v := chain.RejectedAt(peer.Low, "in-the-future")
		v.Clock = true
		return v
	}
	if err := f.form(h); err != nil {
		return chain.Rejected("bad-form")
	}
	if f.clique == nil {
		if v := f.follows(b.Header, h); v.Action != chain.Accept {
			return v
		}
	} else if err := f.clique.vouch(b.Header.Ref, h); errors.Is(err, errUnknownSigners) {
		return chain.Ignored("unknown-signer")
	} else if err != nil {
		return chain.Rejected("bad-seal")
	}
	if len(b.Extra) > 0 {
		return chain.Rejected("extra-in-gossip")
	}
	if err := f.verifyBody(b.Header, b.Body, nil); err != nil {
		return chain.Rejected("bad-body")
	}
	return chain.Accepted()
}

// furthestBelow is how far under our head a block without a seal may be: geth up to
// v1.13 takes no older ones (eth/fetcher, maxUncleDist). Deep down, where the
// difficulty was low, children without end could be made of every block.
const furthestBelow = 7

// follows checks a header without a seal against its parent, which must be here,
// and near the head: what lies below a block that anybody can make is no target.
// Where not even the difficulty can be checked, one block could outweigh all others.
func (f *Family) follows(ch chain.Header, h *types.Header) chain.Verdict {
	r := f.reader.Load()
	if f.mayMerge() || f.c.Engine != "" || r == nil || ch.Ref.Number == 0 {
		return chain.Ignored("work-not-checked")
	}
	if ch.Ref.Number+furthestBelow < (*r).Status().Head.Number {
		return chain.Ignored("too-old")
	}
	pc, err := (*r).Header(context.Background(), chain.Ref{Number: ch.Ref.Number - 1, Hash: ch.Parent})
	if err != nil {
		return chain.Ignored("unknown-parent")
	}
	_, parent, err := decodeHeader(pc.Bytes)
	if err != nil {
		return chain.Ignored("unknown-parent")
	}
	if err := f.verifyHeader(context.Background(), &batch{}, pc, parent, ch, h); err != nil {
		return chain.Rejected("does-not-follow")
	}
	return chain.Accepted()
}
