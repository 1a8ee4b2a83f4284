package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/starlingp2p/starling"
	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/internal/why"
	"github.com/starlingp2p/starling/ledger"
	"github.com/starlingp2p/starling/ledger/ethereum"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/devp2p"
	"github.com/starlingp2p/starling/wire/native"
	"github.com/starlingp2p/starling/wire/ontology"
	"github.com/starlingp2p/starling/wire/opstack"
)

// stack is what one [[network]] table asks for: a chain and a wire, with what
// goes with them. Its opener fills it in from the top, so that what is open can
// be closed even if the rest does not open.
type stack struct {
	ledger *ledger.Ledger
	chain  chain.Chain
	pool   chain.TxPool // nil: none
	// consensus takes what comes on the consensus lane; nil: nobody.
	consensus chain.Consensus
	// seeds are the network's own, for a config that names none, and minPeers is
	// how many peers its nodes wait for; 0: one.
	seeds    []string
	minPeers int
	// syncPeers is how many peers a forward sync waits for; 0: one.
	syncPeers int
	syncWait  time.Duration // at most; 0: until they are there
	// static and trusted are of files beside the config.
	static, trusted []string
	wire            nodeWire
	interval        time.Duration // between two blocks
	// networkID is the number that the network's peers compare; 0: it has none.
	networkID uint64
	// hold is how long a block of ours waits for somebody to hear it; 0: interval.
	hold time.Duration
	// backwardOnly: nothing but a trusted block makes a chain of this kind.
	backwardOnly bool
	// unproven: nothing here tells a forged block, so none is passed on.
	unproven bool
	services []starling.Service // in an order in which they can be registered
	// methods are those of the RPC that only this wire has; nil: none.
	methods func(*Node) []starling.Method

	eth *ethereum.Family // nil: a chain of another kind

	// What the RPC asks of a chain beyond the contracts.
	txs     func(chain.Block) ([]chain.Tx, error) // of a block
	hashOf  func(tx []byte) (chain.Hash, bool)    // of a transaction
	pending func() int                            // transactions that wait

	// reasons are the words for people behind the reasons of verdicts; nil: none.
	reasons   map[string]string
	engine    *engineFeed   // feeds an execution client; nil: none
	engineAPI *engineServer // answers a consensus client; nil: none
	// findings are what "why" says of the parts beside the node.
	findings []func(*Node) []why.Finding

	closers []func() error // called in reverse
}

// nodeWire is a wire that tells who we are.
type nodeWire interface {
	wire.Wire
	wire.Identified
}

// wireKind is a wire that this program has, with the chain that goes with it.
type wireKind struct {
	name      string
	table     string // of the config, which describes its chain
	open      func(s *stack, n Network, dir *Datadir, log *slog.Logger) error
	protocols func() []string
	forms     []string // of addresses that it dials, as AddrForm names them
	example   string   // of such addresses
	// probe meets a stranger's node. The network's id matters to a wire on which
	// nobody answers without; 0: it is not known.
	probe func(ctx context.Context, address, agent string, network uint32) (wire.Probed, error)
	// byNetwork: nobody answers a stranger who does not name the network's id.
	byNetwork bool
	// marks reports whether an address, or a protocol that somebody speaks, is
	// of this wire and not of another that takes the same form; nil: no.
	marks func(text string) bool
	// find makes an address of one of the forms found, of which HOST:PORT is
	// completed by asking who is there; nil: this wire needs nothing more.
	find  func(ctx context.Context, text, agent string) (peer.Addr, error)
	found []string
	// check reports what is wrong with the tables of the wire's chain.
	check func(n *Network, p *problems)
	addrs addrParser
	// listens is where a node listens that is told a port alone; empty: as the
	// example of network.listen.
	listens string
	// listen checks what a node listens on and what it tells others: the key,
	// "listen" or "advertise", and the text.
	listen func(key, text string) error
}

// addrParser reads addresses as a wire does, without being one that runs.
type addrParser interface {
	ParseAddr(s string) (peer.Addr, error)
	wire.Locator
}

// wires are all of them. The first is the default.
func wires() []wireKind {
	return []wireKind{
		{
			name: native.Name, table: "network.sequenced", open: openNative, protocols: native.Protocols,
			forms: []string{"multiaddr"}, example: "/ip4/1.2.3.4/tcp/4001/p2p/ID", find: native.Find, found: []string{"host:port"},
			probe: func(ctx context.Context, address, agent string, _ uint32) (wire.Probed, error) {
				return native.Probe(ctx, address, agent)
			},
			marks: func(text string) bool { return slices.Contains(native.Protocols(), text) },
			check: func(n *Network, p *problems) { n.Sequenced.check(p) }, addrs: new(native.Wire), listen: multiaddrOf("tcp", "udp/quic-v1"),
		},
		{
			name: opstack.Name, table: "network.opstack", open: openOPStack, protocols: opstackProtocols,
			forms: []string{"multiaddr"}, example: "/ip4/1.2.3.4/tcp/9222/p2p/ID", find: opstack.Find, found: []string{"host:port", "enr"},
			probe: func(ctx context.Context, address, agent string, _ uint32) (wire.Probed, error) {
				return opstack.Probe(ctx, address, agent)
			},
			marks: opstack.Marks,
			check: checkOPStack, addrs: new(opstack.Wire), listen: multiaddrOf("tcp"),
		},
		{
			name: devp2p.Name, table: "network.ethereum", open: openEthereum, protocols: ethProtocols,
			forms: []string{"enode", "enr"}, example: "enode://ID@1.2.3.4:30303",
			probe: func(ctx context.Context, address, agent string, _ uint32) (wire.Probed, error) {
				return devp2p.Probe(ctx, address, agent)
			},
			check: func(n *Network, p *problems) { n.Ethereum.check(n, p) }, addrs: new(devp2p.Wire), listens: "0.0.0.0:30303", listen: checkHostPort,
		},
		{
			name: ontology.Name, table: "network.ontology", open: openOntology, protocols: ontProtocols,
			forms: []string{"host:port"}, example: "1.2.3.4:20338",
			probe: func(ctx context.Context, address, _ string, network uint32) (wire.Probed, error) {
				return ontology.Probe(ctx, address, network)
			},
			byNetwork: true,
			check:     func(n *Network, p *problems) { n.Ontology.check(n, p) }, addrs: new(ontology.Wire), listens: "0.0.0.0:20338", listen: checkHostPort,
		},
	}
}

// kind is the wire that a network asks for.
func (n *Network) kind() (wireKind, bool) {
	for i, w := range wires() {
		if n.Wire == w.name || n.Wire == "" && i == 0 {
			return w, true
		}
	}
	return wireKind{}, false
}

// openStack opens the chain and the wire that a network asks for.
func openStack(s *stack, n Network, dir *Datadir, log *slog.Logger) error {
	if w, ok := n.kind(); ok {
		return w.open(s, n, dir, log)
	}
	return fmt.Errorf("network.wire is %.80q, this program has %q", n.Wire, WireNames())
}

// WireNames are the wires that this program has.
func WireNames() (names []string) {
	for _, w := range wires() {
		names = append(names, w.name)
	}
	return names
}

// Protocols are the protocols of each wire, as this program speaks them.
func Protocols() map[string][]string {
	out := make(map[string][]string, len(wires()))
	for _, w := range wires() {
		out[w.name] = w.protocols()
	}
	return out
}

// checkInvariants looks through the whole ledger.
func (s *stack) checkInvariants(ctx context.Context) error { return s.ledger.CheckInvariants(ctx) }

func (s *stack) close() error {
	var errs []error
	for _, c := range slices.Backward(s.closers) {
		errs = append(errs, c())
	}
	return errors.Join(errs...)
}
