package daemon

import (
	"context"
	"encoding/json"

	"github.com/starlingp2p/starling"
	"github.com/starlingp2p/starling/ledger/sequenced"
)

// sequencer is the service that makes blocks, on the one node that has the key.
type sequencer struct {
	make func(client *starling.Client) (*sequenced.Producer, error)
}

func (s *sequencer) Kind() string    { return "sequencer" }
func (s *sequencer) Needs() []string { return nil }

func (s *sequencer) Build(b *starling.Builder) (starling.Part, error) {
	p, err := s.make(b.Client())
	if err != nil {
		return nil, err
	}
	return &sequencerPart{p}, nil
}

type sequencerPart struct{ producer *sequenced.Producer }

func (s *sequencerPart) Run(ctx context.Context, ready func()) error {
	ready()
	return s.producer.Run(ctx)
}

// Methods implements starling.Methoder.
func (s *sequencerPart) Methods() []starling.Method {
	pause := func(on bool) func(context.Context, json.RawMessage) (any, error) {
		return func(context.Context, json.RawMessage) (any, error) {
			s.producer.Pause(on)
			return true, nil
		}
	}
	return []starling.Method{
		write("sequencer_pause", "Has the sequencer make no more blocks for now.", pause(true), true),
		write("sequencer_resume", "Has the sequencer make blocks again.", pause(false), true),
	}
}

// last is a service that is started after all others: when it runs, the node
// is ready.
type last struct {
	needs []string
	ready func() error
}

func (l *last) Kind() string                                   { return "ready" }
func (l *last) Needs() []string                                { return l.needs }
func (l *last) Build(*starling.Builder) (starling.Part, error) { return l, nil }

func (l *last) Run(ctx context.Context, ready func()) error {
	if err := l.ready(); err != nil {
		return err
	}
	ready()
	<-ctx.Done()
	return nil
}
