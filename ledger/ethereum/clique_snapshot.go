package ethereum

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"

	"github.com/starlingp2p/starling/chain"
)

// signers are those that may sign after some block, and the votes to change
// that (EIP-225). Once others have it, it is never changed: see with.
type signers struct {
	number  uint64
	allowed map[common.Address]bool
	recent  map[uint64]common.Address // who signed lately, by block
	votes   []vote                    // in order
}

// vote is one signer's wish about an address.
type vote struct {
	by, about common.Address
	allow     bool
}

// Votes are told by the nonce.
var (
	voteAllow = types.BlockNonce{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	voteDrop  = types.BlockNonce{}
)

const (
	vanityLen = 32
	sealLen   = 65
)

// signersOf are those that a checkpoint's header lists.
func signersOf(ref chain.Ref, extra []byte) (*signers, error) {
	n := len(extra) - vanityLen - sealLen
	if n < common.AddressLength || n%common.AddressLength != 0 {
		return nil, fmt.Errorf("the extra data of checkpoint %v has %d bytes, which lists no signers", ref, len(extra))
	}
	s := &signers{number: ref.Number, allowed: map[common.Address]bool{}, recent: map[uint64]common.Address{}}
	for list := extra[vanityLen : vanityLen+n]; len(list) > 0; list = list[common.AddressLength:] {
		s.allowed[common.Address(list[:common.AddressLength])] = true
	}
	return s, nil
}

// sorted lists the signers in order.
func (s *signers) sorted() []common.Address {
	return slices.SortedFunc(maps.Keys(s.allowed), common.Address.Cmp)
}

// inTurn reports whether it is the address's turn to sign that block.
func (s *signers) inTurn(number uint64, a common.Address) bool {
	all := s.sorted()
	return len(all) > 0 && all[number%uint64(len(all))] == a
}

// limit is in how many blocks in a row each signer may sign one.
func (s *signers) limit() uint64 { return uint64(len(s.allowed)/2 + 1) }

// clone is a copy that may be changed.
func (s *signers) clone() *signers {
	return &signers{number: s.number, allowed: maps.Clone(s.allowed), recent: maps.Clone(s.recent), votes: slices.Clone(s.votes)}
}

// concerns reports whether an address is a signer, or is voted about.
func (s *signers) concerns(a common.Address) bool {
	return s.allowed[a] || slices.ContainsFunc(s.votes, func(v vote) bool { return v.about == a })
}

// with is the signers after one more block, which by has signed.
func (s *signers) with(h *types.Header, by common.Address, epoch uint64) (*signers, error) {
	n := s.clone()
	if err := n.take(h, by, epoch); err != nil {
		return nil, err
	}
	return n, nil
}

// pass makes s the signers after one more block, who signed it and what it votes
// left out: a checkpoint forgets the votes, and the oldest of those that signed
// lately may sign again.
func (s *signers) pass(number, epoch uint64) {
	s.number = number
	if number%epoch == 0 {
		s.votes = nil
	}
	if limit := s.limit(); number >= limit {
		delete(s.recent, number-limit)
	}
}

// take makes s the signers after one more block, which by has signed. After an
// error s is of no use.
func (s *signers) take(h *types.Header, by common.Address, epoch uint64) error {
	number := h.Number.Uint64()
	s.pass(number, epoch)
	if !s.allowed[by] {
		return fmt.Errorf("it is signed by %s, who may not sign", by)
	}
	for _, recent := range s.recent { // whether, not which: the order has no effect
		if recent == by {
			return fmt.Errorf("it is signed by %s, who signed one of the last %d blocks", by, s.limit()-1)
		}
	}
	s.recent[number] = by
	allow, err := voteOf(h.Nonce)
	if err != nil {
		return err
	}
	about := h.Coinbase
	// One vote for each signer and address: a new one takes the old one's place.
	s.votes = slices.DeleteFunc(s.votes, func(v vote) bool { return v.by == by && v.about == about })
	if s.allowed[about] != allow {
		s.votes = append(s.votes, vote{by, about, allow})
	}
	s.count(about, number)
	return nil
}

// count makes the change that a majority wants. All votes about an address are
// for the one change that there can be, whatever the header at hand asks for:
// even if its own vote is for nothing new, the others may be enough by now.
func (s *signers) count(about common.Address, number uint64) {
	allow, votes := !s.allowed[about], 0
	for _, v := range s.votes {
		if v.about == about {
			votes++
		}
	}
	if votes <= len(s.allowed)/2 {
		return
	}
	if allow {
		s.allowed[about] = true
	} else {
		delete(s.allowed, about)
		if limit := s.limit(); number >= limit {
			delete(s.recent, number-limit)
		}
	}
	s.votes = slices.DeleteFunc(s.votes, func(v vote) bool { return v.about == about || !allow && v.by == about })
}

func voteOf(n types.BlockNonce) (allow bool, err error) {
	switch n {
	case voteAllow:
		return true, nil
	case voteDrop:
		return false, nil
	}
	return false, errors.New("its nonce is no vote")
}
