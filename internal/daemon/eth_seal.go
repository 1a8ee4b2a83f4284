package daemon

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/starlingp2p/starling"
	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/ledger"
	"github.com/starlingp2p/starling/ledger/ethereum"
)

// sealing is the service that makes a clique network's empty blocks.
type sealing struct {
	family *ethereum.Family
	ledger *ledger.Ledger
	key    ethereum.SealKey
	log    *slog.Logger

	client *starling.Client
	sealer *ethereum.Sealer
	heads  chan struct{} // of capacity 1
}

// newSealing reads the signer's key; nil where the config names none.
func (e *Ethereum) newSealing(dir *Datadir, fam *ethereum.Family, l *ledger.Ledger, log *slog.Logger) (*sealing, error) {
	if e.SignerKey == "" {
		return nil, nil
	}
	path := dir.resolve(e.SignerKey)
	text, err := readSecret(path)
	if err != nil {
		return nil, fmt.Errorf("network.ethereum.signer_key: %w", err)
	}
	key, err := ethereum.ParseSealKey(string(text))
	if err != nil {
		return nil, fmt.Errorf("network.ethereum.signer_key: key file %s: %w", path, withoutPackage(err))
	}
	s := &sealing{family: fam, ledger: l, key: key, log: log, heads: make(chan struct{}, 1)}
	if s.sealer, err = ethereum.NewSealer(s.config()); err != nil {
		return nil, fmt.Errorf("network.ethereum.signer_key: %w", withoutPackage(err))
	}
	return s, nil
}

func (s *sealing) config() ethereum.SealerConfig {
	return ethereum.SealerConfig{
		Family: s.family, Chain: s.ledger, Key: s.key, Heads: s.heads, Behind: s.behind, Logger: s.log,
		Submit: func(ctx context.Context, b chain.Block) error { return s.client.SubmitBlock(ctx, b) },
	}
}

// behind reports that there are blocks to fetch first.
func (s *sealing) behind() bool { return mustWait(s.client.Status().Sync) }

// mustWait reports whether a signer waits for the sync: a block on an old head is
// of no use. It does not wait for peers that claim more and deliver nothing, or
// anybody could stop it; nor for a block whose parent nobody has.
func mustWait(s starling.SyncStatus) bool {
	switch s.Mode {
	case "starting", "forward", "backward":
		return true
	case "behind":
		return s.Outdone
	case "stuck":
		switch s.Cause {
		case "few-peers", "slow-disk", "slow-import", "slow-verification": // it is ours to go on
			return true
		}
	}
	return false
}

func (s *sealing) Kind() string    { return "sealer" }
func (s *sealing) Needs() []string { return nil }

func (s *sealing) Build(b *starling.Builder) (starling.Part, error) {
	s.client = b.Client()
	return s, nil
}

func (s *sealing) Run(ctx context.Context, ready func()) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	events := s.client.Subscribe(ctx, 64)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ev := range events.C() {
			if _, ok := ev.(starling.HeadChanged); !ok {
				continue
			}
			select {
			case s.heads <- struct{}{}:
			default: // it will look anyway
			}
		}
	}()
	ready()
	err := s.sealer.Run(ctx)
	cancel()
	<-done
	return err
}
