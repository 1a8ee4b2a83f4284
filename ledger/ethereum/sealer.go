package ethereum

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/consensus/misc/eip1559"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/internal/pause"
)

// wiggle is by how much a signer out of turn waits at most for each that may
// sign at once (go-ethereum consensus/clique, wiggleTime).
const wiggle = 500 * time.Millisecond

// SealKey is a clique signer's key.
type SealKey struct{ key *ecdsa.PrivateKey }

// ParseSealKey reads 64 hex digits.
func ParseSealKey(text string) (SealKey, error) {
	key, err := crypto.HexToECDSA(strings.TrimPrefix(strings.TrimSpace(text), "0x"))
	if err != nil {
		return SealKey{}, errors.New("ethereum: a signer's key is 64 hex digits") // what it is stays here
	}
	return SealKey{key}, nil
}

// Address is the signer that the key is of.
func (k SealKey) Address() common.Address { return crypto.PubkeyToAddress(k.key.PublicKey) }

// SealerConfig configures a Sealer. Family, Chain, Key and Submit must be set.
type SealerConfig struct {
	Family *Family
	Chain  chain.Reader
	Key    SealKey
	// Submit imports a block durably and then hands it to the network, without
	// waiting for that.
	Submit func(context.Context, chain.Block) error
	// Heads tells that the head may have changed; nil: nobody does, and it is
	// looked at every period.
	Heads <-chan struct{}
	// Behind reports that the chain is still being fetched, while nothing is
	// sealed; nil: never.
	Behind func() bool
	Rand   *rand.Rand   // nil: a fresh one
	Logger *slog.Logger // nil: nothing
}

// Sealer makes the empty blocks of a private clique network, as one of its
// signers: in its turn when the period is over, out of turn a little later, and
// not while it signed lately. An empty block changes no state, so its state root
// is its parent's: that is all that a node that executes nothing can make.
type Sealer struct {
	c      SealerConfig
	last   chain.Block // made last; only Run touches it and the next
	warned bool
}

// NewSealer checks the configuration.
func NewSealer(c SealerConfig) (*Sealer, error) {
	if c.Family == nil || c.Chain == nil || c.Key.key == nil || c.Submit == nil {
		return nil, errors.New("ethereum: SealerConfig needs Family, Chain, Key and Submit")
	}
	q := c.Family.clique
	if q == nil {
		return nil, errors.New("ethereum: this network is not sealed by clique signers")
	}
	if q.period == 0 {
		return nil, errors.New("ethereum: the network's clique period is 0, which is sealed for transactions only; a sealer of empty blocks needs 1 or more")
	}
	if c.Rand == nil {
		c.Rand = rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return &Sealer{c: c}, nil
}

// Period is the least time between two blocks; 0 where the network has none.
func (f *Family) Period() time.Duration {
	if f.clique == nil {
		return 0
	}
	return time.Duration(f.clique.period) * time.Second
}

// Run seals until ctx ends, and gives its cause. It must be called once.
func (s *Sealer) Run(ctx context.Context) error {
	var (
		said string
		p    plan
		over chain.Ref // the block that p is for the child of
	)
	for {
		parent, err := s.c.Chain.Header(ctx, s.c.Chain.Status().Head)
		// A plan stands until there is another head: made anew at each word of
		// one, it would put the block off again and again.
		if err == nil && (over != parent.Ref || p.idle != "") {
			p, err = s.plan(ctx, parent)
			over = parent.Ref
		}
		wait := s.c.Family.Period() // another look, where there is nothing to do
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			p.idle = err.Error()
		case p.idle == "":
			wait = max(0, p.at.Sub(s.c.Family.c.Wall.Now()))
		}
		if p.idle != said {
			said = p.idle
			s.c.Logger.Debug("sealing", "height", parent.Ref.Number+1, "turn", p.turn, "reason", said)
		}
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-s.c.Heads:
			t.Stop()
			continue
		case <-ctx.Done():
			t.Stop()
			return context.Cause(ctx)
		}
		if p.idle != "" || s.c.Chain.Status().Head != parent.Ref {
			continue
		}
		if s.behind() { // which came up while the block waited for its time
			over = chain.Ref{}
			continue
		}
		if err := s.seal(ctx, parent, p); err != nil && ctx.Err() == nil {
			s.c.Logger.Warn("no block this time", "height", parent.Ref.Number+1, "err", err)
			if pause.For(ctx, s.c.Family.Period()) != nil {
				return context.Cause(ctx)
			}
		}
	}
}

// plan says when to seal the block after parent, and how.
type plan struct {
	at     time.Time
	turn   bool
	listed []common.Address // where it is a checkpoint
	idle   string           // why not to; empty: at at
}

func (s *Sealer) behind() bool { return s.c.Behind != nil && s.c.Behind() }

// plan is EIP-225's rule for a signer.
func (s *Sealer) plan(ctx context.Context, parent chain.Header) (plan, error) {
	if s.behind() {
		return plan{idle: "the chain is being fetched"}, nil
	}
	if s.c.Family.reached(s.c.Chain.Status().Weight.Big()) {
		return plan{idle: "the Merge is reached, and no signer seals from there on"}, nil
	}
	q, who, number := s.c.Family.clique, s.c.Key.Address(), parent.Ref.Number+1
	after, err := q.signersAfter(ctx, parent)
	if err != nil {
		return plan{}, err
	}
	if !after.allowed[who] {
		if !s.warned {
			s.warned = true
			s.c.Logger.Warn("our key is of no signer of this network: nothing is sealed until the signers vote for it", "addr", who.Hex())
		}
		return plan{idle: fmt.Sprintf("%s is none of the %d signers", who, len(after.allowed))}, nil
	}
	for seen, recent := range after.recent { // whether, not which: the order has no effect
		if limit := after.limit(); recent == who && (number < limit || seen > number-limit) {
			return plan{idle: "it signed lately, and others are to follow"}, nil
		}
	}
	p := plan{at: parent.Time.Add(s.c.Family.Period()), turn: after.inTurn(number, who)}
	if now := s.c.Family.c.Wall.Now(); p.at.Before(now) {
		p.at = now
	}
	if !p.turn {
		p.at = p.at.Add(time.Duration(s.c.Rand.Int64N(int64(wiggle) * int64(after.limit()))))
	}
	if number%q.epoch == 0 {
		p.listed = after.sorted()
	}
	return p, nil
}

// seal makes the block and submits it. One that could not be imported is tried
// again as it is: its height is spent.
func (s *Sealer) seal(ctx context.Context, parent chain.Header, p plan) error {
	if s.last.Header.Parent != parent.Ref.Hash || s.last.Ref().Number == 0 {
		b, err := s.build(parent, p)
		if err != nil {
			return err
		}
		s.last = b
	}
	return s.c.Submit(ctx, s.last)
}

func (s *Sealer) build(parent chain.Header, p plan) (chain.Block, error) {
	f := s.c.Family
	_, up, err := decodeHeader(parent.Bytes)
	if err != nil {
		return chain.Block{}, err
	}
	h := &types.Header{
		ParentHash: common.Hash(parent.Ref.Hash), UncleHash: types.EmptyUncleHash, Root: up.Root, TxHash: types.EmptyTxsHash, ReceiptHash: types.EmptyReceiptsHash,
		Difficulty: otherDifficulty, Number: new(big.Int).SetUint64(parent.Ref.Number + 1), GasLimit: up.GasLimit,
		Time: max(up.Time+f.clique.period, uint64(f.c.Wall.Now().Unix())), Extra: make([]byte, vanityLen),
	}
	if p.turn {
		h.Difficulty = turnDifficulty
	}
	copy(h.Extra, "starling")
	for _, a := range p.listed {
		h.Extra = append(h.Extra, a[:]...)
	}
	h.Extra = append(h.Extra, make([]byte, sealLen)...)
	if c := f.c.Chain; c.IsLondon(h.Number) {
		h.BaseFee = eip1559.CalcBaseFee(c, up)
		if !c.IsLondon(up.Number) { // EIP-1559: the limit doubles at the fork
			h.GasLimit *= c.ElasticityMultiplier()
		}
	}
	if err := f.form(h); err != nil {
		return chain.Block{}, fmt.Errorf("ethereum: clique ends at this network's fork: %w", err)
	}
	if err := Seal(h, func(hash []byte) ([]byte, error) { return crypto.Sign(hash, s.c.Key.key) }); err != nil {
		return chain.Block{}, err
	}
	return emptyBlock(h)
}
