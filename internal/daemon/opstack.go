package daemon

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"

	"github.com/starlingp2p/starling"
	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/internal/why"
	"github.com/starlingp2p/starling/ledger"
	family "github.com/starlingp2p/starling/ledger/opstack"
	"github.com/starlingp2p/starling/wire/opstack"
	"github.com/starlingp2p/starling/wire/opstack/codec"
)

// openOPStack opens a chain of the OP Stack on its own wire.
func openOPStack(s *stack, network Network, dir *Datadir, log *slog.Logger) error {
	cfg, err := network.OPStack.family(network.Name)
	if err != nil {
		return err
	}
	signing, err := network.OPStack.signing(dir)
	if err != nil {
		return err
	}
	if cfg.Signer, err = signing.sequencer(cfg.Signer); err != nil {
		return err
	}
	cfg.Logger = log.With("part", "opstack")
	fam, err := family.New(cfg)
	if err != nil {
		return fmt.Errorf("network.opstack: %w", err)
	}
	if s.ledger, err = ledger.Open(dir.Sub("chain"), ledger.Options{Family: fam, Logger: log.With("part", "ledger")}); err != nil {
		return err
	}
	s.closers = append(s.closers, s.ledger.Close)
	w, err := opWire(network, dir, fam, s.ledger.Status, log)
	if err != nil {
		return err
	}
	source, every, err := network.OPStack.source(dir)
	if err != nil {
		return fmt.Errorf("network.opstack: %w", err)
	}
	if source == nil && cfg.Signer == (codec.Address{}) {
		log.With("part", "opstack").Warn("no block can be checked: the sequencer's address is not known; set l1 to the JSON-RPC of an L1 node, or sequencer, in [network.opstack]")
	}
	s.findings = append(s.findings, unsigned(fam.Rules().Signers(), network.OPStack.sourceKey()))
	if source != nil {
		s.services = append(s.services, &signerWatch{source: source, every: every, signers: fam.Rules().Signers(), log: log.With("part", "opstack")})
	}
	feeder, err := network.OPStack.feeder(s.ledger, dir, log)
	if err != nil {
		return err
	}
	if feeder != nil {
		s.services = append(s.services, feeder)
		s.engine = feeder
		s.findings = append(s.findings, func(*Node) []why.Finding { return feeder.findings() })
	}
	if signing != nil {
		s.services = append(s.services, &opSequencer{signing: signing, make: func(c *starling.Client, signer family.Signer) (*family.Producer, error) {
			return opProducer(fam, s.ledger, c, signer, log)
		}})
	}
	s.wire, s.methods = w, func(n *Node) []starling.Method {
		return append((&opp2p{node: n, wire: w}).methods(), (&opPayloads{node: n, rules: fam.Rules()}).methods()...)
	}
	s.reasons, s.hold = opstack.Reasons(), fam.Rules().Config().MaxAge
	s.chain, s.interval, s.backwardOnly = feeder.tap(s.ledger), cfg.BlockTime, true
	s.txs, s.pending = fam.Txs, func() int { return 0 }
	return nil
}

// opWire makes the wire.
func opWire(network Network, dir *Datadir, fam *family.Family, status func() chain.Status, log *slog.Logger) (*opstack.Wire, error) {
	discoverOn, err := network.OPStack.discoverOn(&network)
	if err != nil {
		return nil, fmt.Errorf("network.listen: %w", err)
	}
	return opstack.New(opstack.Config{
		Rules: fam.Rules(), Status: status, Listen: network.Listen, Advertise: network.Advertise, NoListen: network.NoListen,
		KeyFile: dir.resolve(cmp.Or(network.KeyFile, filepath.Join("keys", "node.key"))), Agent: cmp.Or(network.OPStack.Agent, "starling/"+Version),
		AllowPrivate: network.AllowPrivate, NetRestrict: strings.Join(network.NetRestrict, ","),
		TLS: network.OPStack.TLS, Plaintext: network.OPStack.Plaintext, Mesh: network.OPStack.mesh(),
		DiscoverOn: discoverOn, DiscoverUDP: uint16(network.OPStack.DiscoveryUDP), Bootnodes: network.OPStack.Bootnodes, DiscoveryDB: dir.Sub("peers", "nodes"),
		Logger: log.With("part", "wire"), Libraries: librariesOf(log),
	})
}

// opProducer makes what seals blocks and hands them to the node.
func opProducer(fam *family.Family, l *ledger.Ledger, c *starling.Client, signer family.Signer, log *slog.Logger) (*family.Producer, error) {
	return family.NewProducer(family.ProducerConfig{
		Family: fam, State: l, Signer: signer, Publish: c.SubmitBlock, Logger: log.With("part", "sequencer"),
		Import: func(ctx context.Context, blocks []chain.Block) (n int, err error) {
			for ; n < len(blocks) && err == nil; n++ {
				err = c.ImportBlock(ctx, blocks[n])
			}
			return n, err
		},
	})
}

func checkOPStack(n *Network, p *problems) {
	n.OPStack.check(n, p)
	n.OPStack.checkDiscovery(n, p)
}

// loadOPKey reads a secp256k1 key of 64 hex digits.
func loadOPKey(path string) (codec.Key, error) {
	text, err := readSecret(path)
	if err != nil {
		return codec.Key{}, err
	}
	k, err := codec.ParseKey(string(text))
	if err != nil {
		return codec.Key{}, fmt.Errorf("key file %s: %w", path, withoutPackage(err))
	}
	return k, nil
}

// opstackProtocols are the wire's protocols on chain 10; another chain has its
// own number in their place.
func opstackProtocols() []string {
	const chainID = 10
	out := []string{codec.Protocols(chainID)[0]}
	for v := codec.V1; v <= codec.V4; v++ {
		out = append(out, codec.Topic(chainID, v))
	}
	return out
}
