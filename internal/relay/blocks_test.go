package relay

import (
	"context"
	"testing"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/wire"
)

// asker notes what is asked of a peer that has nothing.
type asker struct {
	wire.Session
	asked wire.Request
}

func (s *asker) Request(_ context.Context, r wire.Request) (wire.Response, error) {
	s.asked = r
	return nil, &wire.Refusal{Code: wire.RefusedNotFound}
}

// What lies beside the bodies of announced blocks would be thrown away: it is not
// asked for, and a block does not fail for want of it.
func TestOnlyBodiesOfAnnouncedBlocksAreAskedFor(t *testing.T) {
	var (
		r Relay
		s asker
	)
	h := blockHeader(head + 1)
	if out := r.seekBodies(t.Context(), &courier{session: &s}, FetchBodies{Headers: []chain.Header{h}}); !out.Failed {
		t.Errorf("of a peer that has nothing: %+v", out)
	}
	if rq, ok := s.asked.(wire.GetBodies); !ok || !rq.BodiesOnly || len(rq.Hashes) != 1 || rq.Hashes[0] != h.Ref.Hash || len(rq.Headers) != 1 {
		t.Errorf("asked %+v", s.asked)
	}
}
