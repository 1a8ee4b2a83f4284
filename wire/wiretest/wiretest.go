package wiretest

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// Factory makes a place where wires of one kind can reach each other, calls
// run once with it, and cleans up. It is called for each check anew. A place
// in a bubble of testing/synctest makes the suite quick.
type Factory func(t *testing.T, run func(World))

// World is a place where wires can reach each other.
type World struct {
	// New makes a wire that has not run yet.
	New func(Options) (wire.Wire, error)
	// Raw connects to the address of a running wire below any handshake of the
	// wire's; nil: what needs that is not checked.
	Raw func(ctx context.Context, a peer.Addr) (net.Conn, error)
	// Patience is how long a check may rest to see that something stays as it
	// is: a minute where time is virtual; 0: checks that need it are cut short.
	Patience time.Duration
	// Stranger is an address in the wire's form where nobody listens.
	Stranger string
	// Block makes the block of number n with a body of about size bytes, always
	// the same, for wires that do not carry any bytes as a block; nil: BlockOf.
	Block func(n byte, size int) chain.Block
	// Asks are requests that the wire carries, in place of those that follow from
	// its Caps, for wires whose messages do not carry any bytes; nil: those.
	Asks []Ask
	// Consensus makes a consensus message of a text, always the same, for wires
	// that do not carry any bytes as one; nil: the text itself.
	Consensus func(text string) []byte
	// Carried is what is left of a refusal on its way, for wires with fewer codes
	// of their own; nil: all of it.
	Carried func(wire.Refusal) wire.Refusal
	// Kinds gives requests with true answers to them, for wires that do not carry
	// any bytes as headers, bodies or transactions; nil: those of the suite.
	Kinds func(wire.Caps) ([]wire.Request, []wire.Response)
	// NetworkText is how a refusal names the network that a peer told; nil: as is.
	NetworkText func(string) string
	// BlindIdentity says that a dialler cannot tell a peer of another identity
	// from one that closes the link: then the handshake has just failed.
	BlindIdentity bool
	// NoStatus says that peers of this wire do not tell each other, when they
	// meet, which chain they are on.
	NoStatus bool
}

// Ask is a request, and what becomes of it on its way: what the other side's
// Host is asked and answers, and what the asker gets.
type Ask struct {
	Request, Served wire.Request
	Gives, Gets     wire.Response
}

// Options say what wire to make.
type Options struct {
	Number  uint64     // of its identity; equal numbers are the same peer
	Genesis chain.Hash // of its chain
	Network string     // the network's name
	Topics  []string   // application topics, where the wire is wire.Topical
}

// Check is one rule of the contracts.
type Check struct {
	Name string
	// Rule says what a wire that fails the check does not do.
	Rule string
	run  func(*lab) error
	// needs says whether the rule applies to a wire.
	needs func(wire.Caps, World) bool
}

// Run checks every rule against the wires of a factory.
func Run(t *testing.T, f Factory) {
	for _, c := range Checks() {
		t.Run(c.Name, func(t *testing.T) {
			if err := c.Try(t, f); err != nil {
				t.Errorf("rule: %s\n%v", c.Rule, err)
			}
		})
	}
}

// Try checks one rule and says how it was broken; nil if it holds, or does not
// apply.
func (c Check) Try(t *testing.T, f Factory) (err error) {
	f(t, func(w World) {
		l := &lab{world: w}
		var cancel context.CancelFunc
		l.ctx, cancel = context.WithTimeout(context.Background(), time.Minute+10*w.Patience)
		defer cancel()
		if c.needs != nil {
			probe, perr := w.New(Options{Number: 999, Genesis: genesis, Network: network})
			if perr != nil {
				err = perr
				return
			}
			if !c.needs(probe.Caps(), w) {
				return
			}
		}
		err = c.run(l)
		if serr := l.stopAll(); err == nil {
			err = serr
		}
		cancel()
		l.settle()
	})
	return err
}

// Checks lists the rules, in the order in which Run tries them.
func Checks() []Check {
	var all []Check
	for _, part := range [][]Check{basicChecks(), sessionChecks(), refusalChecks(), requestChecks(), gossipChecks(), stallChecks(), hogChecks(), hostileChecks(), stopChecks()} {
		all = append(all, part...)
	}
	return all
}

// NeedsRaw reports whether a check needs World.Raw.
func NeedsRaw(name string) bool {
	for _, c := range hostileChecks() {
		if c.Name == name {
			return true
		}
	}
	return false
}
