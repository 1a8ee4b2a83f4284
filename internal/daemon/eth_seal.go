package daemon

import (
	"context"
	"fmt"
	"log/slog"
	"time"

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
	wait   patience      // of the sealer's goroutine
}

// How long a signer waits for blocks that others claim.
const (
	sealPatience = 2 * time.Minute  // without a new head
	sealAnyway   = 20 * time.Minute // not at all, after it waited in vain
)

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

// behind reports that there are blocks to fetch first. Only the sealer calls it.
func (s *sealing) behind() bool {
	st := s.client.Status()
	if isOurs(st.Sync) {
		return true
	}
	wait, inVain := s.wait.more(time.Now(), st.Chain.Head, mustWait(st.Sync))
	if inVain {
		s.log.Warn("blocks are sealed again: peers claim more and deliver nothing", "head", st.Chain.Head.String(), "waited", sealPatience)
	}
	return wait
}

// patience bounds the wait for blocks that others claim. The zero value has not
// waited yet.
type patience struct {
	head  chain.Ref
	since time.Time // when it first waited at head; zero: it has not
	until time.Time // it waits for nobody
}

// more reports whether to wait on, of one that must wait or not. The wait counts
// from the first at a head, also where it was interrupted. inVain says that it has
// just come to its end.
func (p *patience) more(now time.Time, head chain.Ref, must bool) (wait, inVain bool) {
	if head != p.head {
		p.head, p.since = head, time.Time{}
	}
	switch {
	case !must || now.Before(p.until):
		return false, false
	case p.since.IsZero():
		p.since = now
	case now.Sub(p.since) >= sealPatience:
		p.until, p.since = now.Add(sealAnyway), time.Time{}
		return false, true
	}
	return true, false
}

// isOurs reports that the chain is being read or written, which no peer draws out.
func isOurs(s starling.SyncStatus) bool {
	switch s.Cause {
	case "slow-disk", "slow-import", "slow-verification":
		return s.Mode == "stuck"
	}
	return s.Mode == "starting"
}

// mustWait reports whether a signer waits for what others claim to have: a block
// on an old head is of no use. It does so within its patience, or anybody could
// stop it; and not at all while peers are known to deliver nothing, nor for a
// block whose parent nobody has.
func mustWait(s starling.SyncStatus) bool {
	switch s.Mode {
	case "forward", "backward":
		return true
	case "behind":
		return s.Outdone
	case "stuck":
		return s.Cause == "few-peers" // it is ours to go on
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
