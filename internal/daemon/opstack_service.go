package daemon

import (
	"context"
	"log/slog"
	"time"

	"github.com/starlingp2p/starling"
	family "github.com/starlingp2p/starling/ledger/opstack"
	"github.com/starlingp2p/starling/wire/opstack/codec/rules"
)

// signerWatch is the service that follows who signs the blocks of an OP Stack
// chain.
type signerWatch struct {
	source  family.Source
	every   time.Duration
	signers *rules.Signers
	log     *slog.Logger
}

func (s *signerWatch) Kind() string                                   { return "signer" }
func (s *signerWatch) Needs() []string                                { return nil }
func (s *signerWatch) Build(*starling.Builder) (starling.Part, error) { return s, nil }

// Run asks until ctx ends. That the source does not answer stops nothing.
func (s *signerWatch) Run(ctx context.Context, ready func()) error {
	ready()
	if c, ok := s.source.(interface{ Close() }); ok {
		defer c.Close()
	}
	return ended(ctx, family.WatchSigner(ctx, s.source, s.every, s.signers, s.log))
}

// opSequencer is the service that makes the blocks of a private chain of the
// OP Stack, on the one node that has the key.
type opSequencer struct {
	signing  *opSigning
	make     func(client *starling.Client, signer family.Signer) (*family.Producer, error)
	producer *family.Producer
}

func (s *opSequencer) Kind() string    { return "sequencer" }
func (s *opSequencer) Needs() []string { return nil }

func (s *opSequencer) Build(b *starling.Builder) (starling.Part, error) {
	signer, err := s.signing.open(context.Background())
	if err != nil {
		return nil, err
	}
	p, err := s.make(b.Client(), signer)
	if err != nil {
		s.signing.closed()
		return nil, err
	}
	s.producer = p
	return s, nil
}

func (s *opSequencer) Run(ctx context.Context, ready func()) error {
	defer s.signing.closed()
	ready()
	return ended(ctx, s.producer.Run(ctx))
}

// ended is the error of what runs until ctx ends: none, if that is why.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}
