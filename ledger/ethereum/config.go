package ethereum

import (
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"reflect"
	"slices"
	"strings"

	"github.com/ethereum/go-ethereum/params"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/env"
	"github.com/starlingp2p/starling/ledger"
)

// Config describes a network. Network, Chain and Genesis are required.
type Config struct {
	Network string
	// Chain holds the fork schedule and the consensus, as geth's genesis file
	// has them.
	Chain *params.ChainConfig
	// ExtraForks are the genesis' own: see Genesis.
	ExtraForks []uint64
	// Bomb and Engine are the genesis' own too.
	Bomb   *Bomb
	Engine string
	// Genesis is the block that everything descends from: see Genesis.Block.
	Genesis chain.Block
	Wall    env.Wall     // nil: the machine's clock
	Logger  *slog.Logger // nil: nothing
}

// Validate reports all that is wrong with the configuration.
func (c Config) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("ethereum: "+format, args...)) }
	if c.Network == "" || len(c.Network) > 64 {
		bad("network name %.80q has %d bytes, want 1 to 64", c.Network, len(c.Network))
	}
	if c.Chain == nil || c.Chain.ChainID == nil {
		bad("the chain configuration with its chainId is missing")
	} else if err := c.Chain.CheckConfigForkOrder(); err != nil {
		bad("fork schedule: %w", err)
	}
	if len(c.Genesis.Header.Bytes) == 0 {
		bad("the genesis block is missing")
	}
	return errors.Join(errs...)
}

// Rules is the fork schedule of a chain configuration, by its fields' names, and
// of extra forks, by their blocks.
func Rules(c *params.ChainConfig, extra ...uint64) []ledger.Rule {
	var rules []ledger.Rule
	for _, at := range extra {
		rules = append(rules, ledger.Rule{Name: fmt.Sprintf("extra-%d", at), From: at})
	}
	v := reflect.ValueOf(c).Elem()
	for i := range v.NumField() {
		name := v.Type().Field(i).Name
		switch at := v.Field(i).Interface().(type) {
		case *big.Int:
			if fork, ok := strings.CutSuffix(name, "Block"); ok && at != nil && at.IsUint64() {
				rules = append(rules, ledger.Rule{Name: strings.ToLower(fork), From: at.Uint64()})
			}
		case *uint64:
			if fork, ok := strings.CutSuffix(name, "Time"); ok && at != nil {
				rules = append(rules, ledger.Rule{Name: strings.ToLower(fork), From: *at, ByTime: true})
			}
		}
	}
	return rules
}

// Forks is the schedule as fork identifiers want it: the forks by block number
// and those by time.
func Forks(c *params.ChainConfig, extra ...uint64) (blocks, times []uint64) {
	for _, r := range Rules(c, extra...) {
		if r.ByTime {
			times = append(times, r.From)
		} else {
			blocks = append(blocks, r.From)
		}
	}
	slices.Sort(blocks)
	slices.Sort(times)
	return blocks, times
}
