package ethereum

import (
	"fmt"
	"math/big"

	"github.com/ethereum/go-ethereum/consensus/ethash"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/params"

	"github.com/starlingp2p/starling/ledger"
)

// Bomb is what Ethereum Classic did about the difficulty bomb, in place of the
// delays that Ethereum's forks have.
type Bomb struct {
	Pause  uint64 `json:"pause"`  // the block from which on it stands still (ECIP-1010)
	Length uint64 `json:"length"` // for how many blocks; then it goes on, so many behind
	End    uint64 `json:"end"`    // the block from which on there is none (ECIP-1041); 0: never
}

// bombPeriod is after how many blocks the bomb doubles (Yellow Paper, 4.3.4).
const bombPeriod = 100_000

// rules are the changes of the bomb in a fork schedule. Fork identifiers do not
// have them: where a change is a fork of its own, it is an extra one.
func (b *Bomb) rules() []ledger.Rule {
	if b == nil {
		return nil
	}
	rules := []ledger.Rule{{Name: "bomb-pause", From: b.Pause}}
	if on := b.Pause + b.Length; on >= b.Pause {
		rules = append(rules, ledger.Rule{Name: "bomb-goes-on", From: on})
	}
	if b.End != 0 {
		rules = append(rules, ledger.Rule{Name: "bomb-end", From: b.End})
	}
	return rules
}

// add puts the bomb of block number on top of the rest of its difficulty.
func (b *Bomb) add(number uint64, rest *big.Int) *big.Int {
	at := number
	switch {
	case b.End != 0 && number >= b.End:
		return rest
	case number < b.Pause:
	case number-b.Pause < b.Length:
		at = b.Pause
	default:
		at = number - b.Length
	}
	if periods := at / bombPeriod; periods > 1 {
		rest.Add(rest, new(big.Int).Lsh(big.NewInt(1), uint(periods-2)))
	}
	return rest
}

// maxWork is the highest number of a block that has a difficulty to be worked
// for. Far below it the bomb is larger than any difficulty can be, and to
// compute that of any number takes any amount of memory.
const maxWork = 1 << 32

// difficulty is what the header after parent must have at a time, under proof
// of work: the formulas of Frontier, Homestead (EIP-2) and Byzantium (EIP-100),
// with the bomb as Ethereum's forks have delayed it (EIP-649, 1234, 2384, 3554,
// 4345 and 5133) or as Bomb says.
func (f *Family) difficulty(time uint64, parent *types.Header) (*big.Int, error) {
	number := parent.Number.Uint64() + 1
	if number > maxWork {
		return nil, fmt.Errorf("its number is %d, at most %d under proof of work", number, uint64(maxWork))
	}
	if f.c.Bomb == nil {
		return ethash.CalcDifficulty(f.c.Chain, time, parent), nil
	}
	// The formula of the block's time for a block so low that it has no bomb.
	formula := new(params.ChainConfig)
	at := new(big.Int).SetUint64(number)
	if f.c.Chain.IsHomestead(at) {
		formula.HomesteadBlock = new(big.Int)
	}
	if f.c.Chain.IsByzantium(at) {
		formula.ByzantiumBlock = new(big.Int)
	}
	low := &types.Header{Number: new(big.Int), Time: parent.Time, Difficulty: parent.Difficulty, UncleHash: parent.UncleHash}
	return f.c.Bomb.add(number, ethash.CalcDifficulty(formula, time, low)), nil
}

// checkDifficulty checks a header's difficulty against the rule. That somebody
// has worked for it, it cannot tell: the seal of ethash is not checked.
func (f *Family) checkDifficulty(parent, h *types.Header) error {
	if f.c.Engine != "" {
		return nil // the rule is another's, and nobody knows it here
	}
	want, err := f.difficulty(h.Time, parent)
	if err == nil && want.Cmp(h.Difficulty) != 0 {
		err = fmt.Errorf("its difficulty is %v, want %v", h.Difficulty, want)
	}
	return err
}
