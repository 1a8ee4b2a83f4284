package daemon

import (
	"maps"
	"slices"
	"time"

	"github.com/starlingp2p/starling/chain"
	family "github.com/starlingp2p/starling/ledger/opstack"
	"github.com/starlingp2p/starling/wire/opstack/codec"
)

// OPStack is the [network.opstack] table: a chain of the OP Stack.
type OPStack struct {
	ChainID       uint64   `toml:"chain_id,omitzero" comment:"the chain's number; this and all below are the same on every node" example:"10"`
	BlockTime     Duration `toml:"block_time,omitzero" comment:"the pause between two blocks, in whole seconds" default:"2s"`
	GenesisNumber uint64   `toml:"genesis_number,omitempty" comment:"the number of the first block" default:"0"`
	GenesisHash   string   `toml:"genesis_hash,omitempty" comment:"the hash of the first block" example:"0x0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20"`
	GenesisTime   uint64   `toml:"genesis_time,omitzero" comment:"the time of the first block, in Unix seconds" example:"1686068903"`
	Sequencer     string   `toml:"sequencer,omitempty" comment:"the address whose signature makes a block authentic" example:"0xAAAA45d9549EDA09E70937013520214382Ffc4A2"`
	// Forks is the fork schedule.
	Forks map[string]uint64 `toml:"forks,omitempty" comment:"from when the rules of a fork count, in Unix seconds; 0: from the first block" example:"canyon=1704992401"`
}

// defaultOPBlockTime is OP Mainnet's.
const defaultOPBlockTime = 2 * time.Second

func (o *OPStack) check(p *problems) {
	if o.ChainID == 0 {
		p.bad("network.opstack.chain_id is missing; it is part of every topic and signature of the chain")
	}
	if d := time.Duration(o.BlockTime); d%time.Second != 0 || d > time.Hour {
		p.bad("network.opstack.block_time is %v, want whole seconds, at most an hour", d)
	}
	if o.GenesisTime == 0 {
		p.bad("network.opstack.genesis_time is missing; block numbers are told from it")
	}
	if h, err := chain.ParseHash(o.GenesisHash); err != nil || h.IsZero() {
		p.bad("network.opstack.genesis_hash is %.80q, want the first block's hash, 64 hex digits behind 0x", o.GenesisHash)
	}
	known := family.ForkNames()
	for _, name := range slices.Sorted(maps.Keys(o.Forks)) {
		if !slices.Contains(known, name) {
			p.bad("network.opstack.forks has %.40q, want one of %q", name, known)
		}
	}
	if _, err := codec.ParseAddress(o.Sequencer); o.Sequencer != "" && err != nil {
		p.bad("network.opstack.sequencer: %w", withoutPackage(err))
	}
}

// family describes the chain to its ledger family.
func (o *OPStack) family(name string) (family.Config, error) {
	cfg := family.Config{Network: name, ChainID: o.ChainID, BlockTime: time.Duration(o.BlockTime)}
	if cfg.BlockTime == 0 {
		cfg.BlockTime = defaultOPBlockTime
	}
	hash, err := chain.ParseHash(o.GenesisHash)
	if err != nil {
		return cfg, err
	}
	cfg.Genesis = family.Genesis{Number: o.GenesisNumber, Hash: hash, Time: o.GenesisTime}
	for _, name := range slices.Sorted(maps.Keys(o.Forks)) {
		cfg.Forks = append(cfg.Forks, family.Fork{Name: name, Time: o.Forks[name]})
	}
	if o.Sequencer != "" {
		cfg.Signer, err = codec.ParseAddress(o.Sequencer)
	}
	return cfg, err
}
