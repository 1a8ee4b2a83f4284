package rules

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"time"

	"github.com/starlingp2p/starling/env"
	"github.com/starlingp2p/starling/wire/opstack/codec"
)

const (
	// DefaultMaxAge is how old a gossiped block may be (op-node's
	// p2p.gossip.timestamp.threshold).
	DefaultMaxAge = 60 * time.Second
	// MaxAhead is how far in the future it may be.
	MaxAhead = 5 * time.Second
	// MaxPerHeight is how many distinct blocks of one height are relayed.
	MaxPerHeight = 6
	// SeenHeights is how many heights are remembered, for each version.
	SeenHeights = 1000
	// Never is the time of a fork that is not scheduled.
	Never = math.MaxUint64
)

// Forks are the forks that matter to what travels, as Unix seconds; Never
// where one is not scheduled. A fork is not earlier than the one before.
type Forks struct{ Canyon, Ecotone, Isthmus, Jovian uint64 }

// Config describes a network. ChainID and BlockTime are required.
type Config struct {
	ChainID       uint64
	BlockTime     time.Duration // whole seconds
	GenesisNumber uint64        // of the L2 genesis
	GenesisTime   uint64        // Unix seconds
	Forks         Forks         // the zero value: all from the start
	Signer        codec.Address // the zero address: none is configured
	MaxAge        time.Duration // whole seconds; 0: DefaultMaxAge
	Wall          env.Wall      // nil: the machine's clock
	Logger        *slog.Logger  // gets an alarm when the sequencer signs twice; nil: nothing
}

func (c Config) withDefaults() Config {
	if c.MaxAge == 0 {
		c.MaxAge = DefaultMaxAge
	}
	if c.Wall == nil {
		c.Wall = env.SystemWall()
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// Window is how long after its making a block may be accepted: whoever
// remembers what was seen must remember it for longer.
func (c Config) Window() time.Duration { return c.withDefaults().MaxAge + MaxAhead }

// Validate reports all that is wrong with the configuration.
func (c Config) Validate() error {
	c = c.withDefaults()
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("opstack: "+format, args...)) }
	if c.ChainID == 0 {
		bad("chain id is 0: give the network's")
	}
	if c.BlockTime < time.Second || c.BlockTime%time.Second != 0 || c.BlockTime > time.Hour {
		bad("block time is %v, want whole seconds from 1s to 1h", c.BlockTime)
	}
	if c.MaxAge < time.Second || c.MaxAge%time.Second != 0 {
		bad("gossip timestamp threshold is %v, want whole seconds, at least 1s", c.MaxAge)
	}
	if kept := SeenHeights * c.BlockTime; kept < c.Window() {
		bad("gossip timestamp threshold %v: blocks of %d heights are remembered, which is %v with a block every %v; want at least %v, or old blocks could be relayed again and again: lower the threshold", c.MaxAge, SeenHeights, kept, c.BlockTime, c.Window())
	}
	f := c.Forks
	if f.Canyon > f.Ecotone || f.Ecotone > f.Isthmus || f.Isthmus > f.Jovian {
		bad("forks are out of order: canyon %d, ecotone %d, isthmus %d, jovian %d", f.Canyon, f.Ecotone, f.Isthmus, f.Jovian)
	}
	return errors.Join(errs...)
}

// VersionAt is the payload's version at a time in Unix seconds.
func (c Config) VersionAt(t uint64) codec.Version {
	switch {
	case t >= c.Forks.Isthmus && c.Forks.Isthmus != Never:
		return codec.V4
	case t >= c.Forks.Ecotone && c.Forks.Ecotone != Never:
		return codec.V3
	case t >= c.Forks.Canyon && c.Forks.Canyon != Never:
		return codec.V2
	}
	return codec.V1
}

// TimeAt is the time of the block of a number, in Unix seconds: blocks of the
// OP Stack come at a fixed pace. False for numbers before the genesis, or past
// what can be counted.
func (c Config) TimeAt(number uint64) (uint64, bool) {
	if number < c.GenesisNumber {
		return 0, false
	}
	n, pace := number-c.GenesisNumber, uint64(c.BlockTime/time.Second)
	if n > (math.MaxUint64-c.GenesisTime)/pace {
		return 0, false
	}
	return c.GenesisTime + n*pace, true
}

// Target is the number of the block that is due at a time; false before the
// genesis.
func (c Config) Target(now time.Time) (uint64, bool) {
	s := now.Unix()
	if s < 0 || uint64(s) < c.GenesisTime {
		return 0, false
	}
	return c.GenesisNumber + (uint64(s)-c.GenesisTime)/uint64(c.BlockTime/time.Second), true
}
