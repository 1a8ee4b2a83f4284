package daemon

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"time"

	"github.com/starlingp2p/starling"
	"github.com/starlingp2p/starling/internal/why"
	"github.com/starlingp2p/starling/ledger"
	family "github.com/starlingp2p/starling/ledger/ontology"
	"github.com/starlingp2p/starling/wire/ontology"
)

// ontBlockTime is about how often Ontology's networks make a block.
const ontBlockTime = 6 * time.Second

// ontologyKey is the file of the identity on Ontology's wire, seen from the datadir.
const ontologyKey = "keys/ontology.key"

// openOntology opens a network of Ontology's kind on its own wire.
func openOntology(s *stack, network Network, dir *Datadir, log *slog.Logger) error {
	o := network.Ontology
	read := func(path string) ([]byte, error) { return readBounded(dir.resolve(path), maxConfigBytes) }
	n, err := o.network(&network, read)
	if err != nil {
		return fmt.Errorf("network.ontology.config: %w", err)
	}
	fam, err := family.New(n)
	if err != nil {
		return fmt.Errorf("network.ontology: %w", err)
	}
	if s.ledger, err = ledger.Open(dir.Sub("chain"), ledger.Options{Family: fam, Logger: log.With("part", "ledger")}); err != nil {
		return err
	}
	s.closers = append(s.closers, s.ledger.Close)
	if err := fam.Attach(context.Background(), s.ledger); err != nil {
		return err
	}
	pool, err := o.pool(network.Preset, s.ledger, dir.Sub("chain", "pool.journal"), log.With("part", "pool"))
	if err != nil {
		return err
	}
	s.closers = append(s.closers, pool.Close)
	reserved, mask, err := o.restrict(read)
	if err != nil {
		return err
	}
	listen, err := oneListen(network.Listen)
	if err != nil {
		return err
	}
	advertise, err := oneListen(network.Advertise)
	if err != nil {
		return err
	}
	recent := ""
	if o.RecentFile != "" {
		recent = dir.resolve(o.RecentFile)
	}
	s.wire, err = ontology.New(ontology.Config{
		Magic: n.Magic, Status: s.ledger.Status, Header: s.ledger.Header, Listen: listen, ConsensusListen: o.ConsensusListen, Advertise: advertise,
		NodeKeyFile: dir.resolve(ontologyKey), Mask: mask, ReservedOnly: o.ReservedOnly, Reserved: reserved, RecentFile: recent, Logger: log.With("part", "wire"),
		StateRoots: network.Preset != "" || o.StateRootFrom != 0, StateRootFrom: o.stateRootFrom(network.Preset),
	})
	if err != nil {
		return err
	}
	s.seeds, s.minPeers = o.seeds(n), n.MinPeers()
	s.syncPeers = cmp.Or(o.SyncPeers, s.minPeers)
	s.chain, s.interval = s.ledger, ontBlockTime
	s.pool, s.consensus = pool, family.NewConsensus(fam, s.ledger)
	s.txs, s.hashOf = fam.Txs, family.HashOf
	s.pending = func() int { n, _ := pool.Len(); return n }
	s.services = []starling.Service{&poolKeeper{pool: pool, log: log.With("part", "pool")}}
	s.methods, s.findings = ontMethods, []func(*Node) []why.Finding{inTheClear}
	return nil
}

// readBounded reads a file that the config names.
func readBounded(path string, most int64) ([]byte, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w; relative paths are seen from the datadir", err)
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(raw)) > most {
		err = fmt.Errorf("%s has more than %d bytes", path, most)
	}
	return raw, err
}

// ontProtocols are the releases that the wire speaks to.
func ontProtocols() []string { return []string{"v1.0.0", ontology.DefaultSoft} }
