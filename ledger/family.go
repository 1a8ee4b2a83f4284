package ledger

import (
	"math"

	"github.com/starlingp2p/starling/chain"
)

// Family says what the blocks of a kind of network are and when they are
// authentic. It keeps no chain data: the Ledger does. Its methods are called
// concurrently.
//
// A Family may also be an Executor, a Weigher, a Lister or a chain.BodiesChecker.
type Family interface {
	// Spec is constant: it identifies the network.
	Spec() Spec
	// Checker is what the node asks before it relays or imports. The Ledger
	// hands these calls on.
	chain.Checker
	// DecodeHeader makes a header of its encoding and computes its hash. It is
	// strict: bytes left over are an error. b is kept.
	DecodeHeader(b []byte) (chain.Header, error)
	// Txs lists the transactions of a block whose body was verified, in order.
	// They may share the body's memory. Nil where a family has none to find. No
	// chain has the same transaction twice; branches may share some.
	Txs(b chain.Block) ([]chain.Tx, error)
}

// Spec identifies a network and the rules that it runs under.
type Spec struct {
	Network string      // as in chain.Status
	Genesis chain.Block // the block that everything descends from; any number
	Rules   []Rule      // the fork schedule, in any order; names are unique
}

// Rule is an entry of the fork schedule: from when a named set of rules counts.
type Rule struct {
	Name   string
	From   uint64 // a block number, or Unix seconds where ByTime
	ByTime bool
}

// Never is the From of a rule that is not scheduled.
const Never = math.MaxUint64

// Lister is a role of a Family that lists the transactions of several blocks
// quicker together than one by one.
type Lister interface {
	// TxsOf is Txs of each block.
	TxsOf(bs []chain.Block) (txs [][]chain.Tx, errs []error)
}

// Weigher is a role of a Family: it decides what a block weighs in the fork
// choice. Without it a block weighs its number.
type Weigher interface {
	// Weight is that of the chain up to h, whose parent's is parent. It is pure.
	Weight(parent chain.Weight, h chain.Header) chain.Weight
}

// Executor is a role of a Family with state. It is called from the importing
// goroutine, and must be deterministic.
type Executor interface {
	// GenesisState is the state after the genesis block.
	GenesisState() []Write
	// Execute computes what a block changes. An error that wraps
	// chain.ErrInvalid refuses the block; any other is our own trouble. A key
	// occurs at most once in the result.
	Execute(s State, b chain.Block) ([]Write, error)
}

// State is the state after some block.
type State interface {
	// Get is the value under key, nil where there is none. The result is not
	// to be changed.
	Get(key []byte) ([]byte, error)
}

// Write sets a key of the state; a nil Value removes it.
type Write struct{ Key, Value []byte }
