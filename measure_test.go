package starling

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/starlingp2p/starling/chain"
)

// together is a chain that verifies bodies together, and one by one not at all.
type together struct {
	chain.Chain
	err error
}

func (t together) VerifyBodies(bs []chain.Block) []error {
	return slices.Repeat([]error{t.err}, len(bs))
}

// terse is one that says nothing where all is well.
type terse struct{ chain.Chain }

func (terse) VerifyBodies([]chain.Block) []error { return nil }

// A chain that does not say of each body what it is has verified none, and says
// so in words of the node: no sender pays.
func TestBodiesOfWhichNothingIsSaidAreNotVerified(t *testing.T) {
	got := chain.VerifyBodies(importing{Chain: terse{}}, make([]chain.Block, 3))
	if len(got) != 3 || slices.ContainsFunc(got, func(err error) bool { return err == nil || errors.Is(err, chain.ErrInvalid) }) {
		t.Errorf("got %v, want three errors that are nobody's fault", got)
	}
}

// alone is one that knows no better.
type alone struct{ chain.Chain }

func (alone) VerifyBody(h chain.Header, _, _ []byte) error {
	if h.Ref.Number == 1 {
		return chain.ErrInvalid
	}
	return nil
}

// Bodies reach the chain's own role through what measures its imports.
func TestBodiesAreVerifiedTogetherWhereTheChainDoes(t *testing.T) {
	mine := errors.New("mine")
	blocks := make([]chain.Block, 3)
	blocks[1].Header.Ref.Number = 1
	for name, tt := range map[string]struct {
		c    chain.Chain
		want []error
	}{
		"together": {together{err: mine}, []error{mine, mine, mine}},
		"alone":    {alone{}, []error{nil, chain.ErrInvalid, nil}},
	} {
		if got := chain.VerifyBodies(importing{Chain: tt.c}, blocks); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
}

// patient is a chain whose headers are verified for as long as it is let.
type patient struct{ chain.Chain }

func (patient) VerifyHeadersContext(ctx context.Context, _ chain.Header, hs []chain.Header) (int, error) {
	return len(hs), context.Cause(ctx)
}

// The end of a sync reaches a chain that takes long over headers.
func TestTheEndReachesWhoVerifiesHeaders(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if n, err := chain.VerifyHeaders(ctx, importing{Chain: patient{}}, chain.Header{}, make([]chain.Header, 2)); n != 2 || !errors.Is(err, context.Canceled) {
		t.Errorf("VerifyHeaders = %d, %v; want 2 and the end", n, err)
	}
}
