package daemon

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"github.com/starlingp2p/starling"
	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/ledger"
	"github.com/starlingp2p/starling/ledger/sequenced"
	"github.com/starlingp2p/starling/wire/native"
)

// openNative opens a sequenced chain on the native wire.
func openNative(s *stack, network Network, dir *Datadir, log *slog.Logger) error {
	family, err := newFamily(network, log)
	if err != nil {
		return err
	}
	if s.ledger, err = ledger.Open(dir.Sub("chain"), ledger.Options{Family: family, Logger: log.With("part", "ledger")}); err != nil {
		return err
	}
	s.closers = append(s.closers, s.ledger.Close)
	pool, err := sequenced.NewPool(context.Background(), sequenced.PoolConfig{
		Family: family, State: s.ledger, Journal: dir.Sub("chain", "pool.journal"), Logger: log.With("part", "pool"),
	})
	if err != nil {
		return err
	}
	s.closers = append(s.closers, pool.Close)
	if s.wire, err = newNativeWire(network, s.ledger.Status, dir, log); err != nil {
		return err
	}
	s.chain, s.pool, s.interval = s.ledger, pool, family.Config().BlockInterval
	s.txs, s.hashOf = family.Txs, sequenced.HashOf
	s.pending = func() int { n, _ := pool.Len(); return n }
	s.services = []starling.Service{&poolKeeper{pool: pool, log: log.With("part", "pool")}}
	file := network.Sequenced.ProduceKey
	if file == "" {
		return nil
	}
	key, err := loadSeed(dir.resolve(file))
	if err != nil {
		return fmt.Errorf("network.sequenced.produce_key: %w", err)
	}
	if want, _ := network.Sequenced.Key(); !want.Equal(key.Public()) {
		return fmt.Errorf("network.sequenced.produce_key: the key in %s is not that of the sequencer %s; restore the right one, or take the key out of the config to run a follower", file, network.Sequenced.Sequencer)
	}
	s.services = append(s.services, &sequencer{make: func(c *starling.Client) (*sequenced.Producer, error) {
		return sequenced.NewProducer(sequenced.ProducerConfig{
			Family: family, State: s.ledger, Pool: pool, Key: key, Publish: c.SubmitBlock, Logger: log.With("part", "sequencer"),
		})
	}})
	return nil
}

func newFamily(network Network, log *slog.Logger) (*sequenced.Family, error) {
	s := network.Sequenced
	key, err := s.Key()
	if err != nil {
		return nil, err
	}
	alloc := make(map[sequenced.Address]uint64, len(s.Alloc))
	for text, amount := range s.Alloc {
		a, err := sequenced.ParseAddress(text)
		if err != nil {
			return nil, fmt.Errorf("network.sequenced.alloc: %w", err)
		}
		alloc[a] = amount
	}
	var forks []ledger.Rule
	for _, name := range slices.Sorted(maps.Keys(s.Forks)) {
		forks = append(forks, ledger.Rule{Name: name, From: s.Forks[name]})
	}
	return sequenced.New(sequenced.Config{
		Forks: forks, Network: network.Name, SequencerKey: key, GenesisTime: s.GenesisTime, BlockInterval: time.Duration(s.BlockInterval),
		Alloc: alloc, MaxBlockBytes: int(s.MaxBlock), Logger: log.With("part", "sequenced"),
	})
}

func newNativeWire(network Network, status func() chain.Status, dir *Datadir, log *slog.Logger) (*native.Wire, error) {
	keyFile := network.KeyFile
	if keyFile == "" {
		keyFile = filepath.Join("keys", "node.key")
	}
	rate, burst := int(network.Limits.PeerRate), starling.DefaultPeerBurst
	if rate == 0 {
		rate = starling.DefaultPeerRate
	}
	if network.Limits.NoBudgets {
		rate, burst = 0, 0
	}
	return native.New(native.Config{
		ServeRate: rate, ServeBurst: burst,
		Network: network.Name, Status: status, Listen: network.Listen, Advertise: network.Advertise,
		KeyFile: dir.resolve(keyFile), Agent: "starling/" + Version,
		NoListen: network.NoListen, NoDHT: network.NoDiscovery, MDNS: network.MDNS, AllowPrivate: network.AllowPrivate,
		ServeUnpaced: network.Limits.NoBudgets, Logger: log.With("part", "wire"), Libraries: librariesOf(log),
	})
}
