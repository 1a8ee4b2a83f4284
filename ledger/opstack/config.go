package opstack

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/env"
	"github.com/starlingp2p/starling/ledger"
	"github.com/starlingp2p/starling/wire/opstack/codec"
	"github.com/starlingp2p/starling/wire/opstack/codec/rules"
)

// Fork is an entry of a network's schedule.
type Fork struct {
	Name string
	Time uint64 // Unix seconds; 0: from the genesis on; rules.Never: not scheduled
}

// forkNames are the forks of the OP Stack after Bedrock, oldest first.
var forkNames = []string{"regolith", "canyon", "delta", "ecotone", "fjord", "granite", "holocene", "isthmus", "jovian", "karst", "lagoon"}

// ForkNames lists the forks that a schedule may name, oldest first.
func ForkNames() []string { return slices.Clone(forkNames) }

// Genesis is where a network begins.
type Genesis struct {
	Number uint64
	Hash   chain.Hash // zero where Header is given
	Time   uint64     // Unix seconds
	// Header is the execution layer's header in RLP, where it is known; then
	// number, hash and time are its own.
	Header []byte
}

// Config describes a network. ChainID, BlockTime and Genesis are required.
type Config struct {
	Network   string        // its name; empty: the chain id in decimal
	ChainID   uint64        //
	BlockTime time.Duration // whole seconds
	Genesis   Genesis
	// Forks is the schedule; one that is left out is not scheduled, unless a
	// later one is: then it came with that, or before.
	Forks  []Fork
	Signer codec.Address // of blocks; zero: not known yet, see rules.Signers
	MaxAge time.Duration // of a gossiped block; 0: a minute
	Wall   env.Wall      // nil: the machine's clock
	Logger *slog.Logger  // gets an alarm when the sequencer signs twice; nil: nothing
}

// schedule fills in the forks that are left out, oldest first.
func (c Config) schedule() ([]Fork, error) {
	at := map[string]uint64{}
	var errs []error
	for _, f := range c.Forks {
		if !slices.Contains(forkNames, f.Name) {
			errs = append(errs, fmt.Errorf("opstack: fork %.40q is unknown: want one of %v", f.Name, forkNames))
		}
		if _, twice := at[f.Name]; twice {
			errs = append(errs, fmt.Errorf("opstack: fork %q is scheduled twice", f.Name))
		}
		at[f.Name] = f.Time
	}
	out := make([]Fork, len(forkNames))
	next := uint64(rules.Never)
	for i := len(forkNames) - 1; i >= 0; i-- {
		t, ok := at[forkNames[i]]
		switch {
		case !ok:
			t = next
		case t > next:
			errs = append(errs, fmt.Errorf("opstack: fork %s at %d comes after %s at %d: a fork includes those before it", forkNames[i], t, forkNames[i+1], next))
		}
		out[i] = Fork{forkNames[i], t}
		next = t
	}
	return out, errors.Join(errs...)
}

// rules is the configuration of the rules of gossip.
func (c Config) rules(forks []Fork, number, at uint64) rules.Config {
	when := func(name string) uint64 { return forks[slices.Index(forkNames, name)].Time }
	return rules.Config{
		ChainID: c.ChainID, BlockTime: c.BlockTime, GenesisNumber: number, GenesisTime: at,
		Forks:  rules.Forks{Canyon: when("canyon"), Ecotone: when("ecotone"), Isthmus: when("isthmus"), Jovian: when("jovian")},
		Signer: c.Signer, MaxAge: c.MaxAge, Wall: c.Wall, Logger: c.Logger,
	}
}

// formForks are the forks that change what a header or a body may be, as far as
// it is checked here.
var formForks = []string{"canyon", "ecotone", "isthmus", "jovian"}

// ledgerRules is the schedule as the ledger keeps it. Only formForks count: a
// node that learns of another fork late has stored nothing that it would judge
// differently, and need not go back.
func ledgerRules(forks []Fork) []ledger.Rule {
	var out []ledger.Rule
	for _, f := range forks {
		if f.Time != rules.Never && slices.Contains(formForks, f.Name) {
			out = append(out, ledger.Rule{Name: f.Name, From: f.Time, ByTime: true})
		}
	}
	return out
}
