package daemon

import (
	"fmt"
	"log/slog"
	"path/filepath"

	"github.com/starlingp2p/starling"
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
	cfg.Logger = log.With("part", "opstack")
	fam, err := family.New(cfg)
	if err != nil {
		return fmt.Errorf("network.opstack: %w", err)
	}
	if s.ledger, err = ledger.Open(dir.Sub("chain"), ledger.Options{Family: fam, Logger: log.With("part", "ledger")}); err != nil {
		return err
	}
	s.closers = append(s.closers, s.ledger.Close)
	keyFile := network.KeyFile
	if keyFile == "" {
		keyFile = filepath.Join("keys", "node.key")
	}
	w, err := opstack.New(opstack.Config{
		Rules: fam.Rules(), Status: s.ledger.Status, Listen: network.Listen, Advertise: network.Advertise, NoListen: network.NoListen,
		KeyFile: dir.resolve(keyFile), Agent: "starling/" + Version, AllowPrivate: network.AllowPrivate, Logger: log.With("part", "wire"),
		Libraries: librariesOf(log),
	})
	if err != nil {
		return err
	}
	s.wire, s.methods = w, func(n *Node) []starling.Method { return (&opp2p{node: n, wire: w}).methods() }
	s.chain, s.interval, s.backwardOnly = s.ledger, cfg.BlockTime, true
	s.txs, s.pending = fam.Txs, func() int { return 0 }
	return nil
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
