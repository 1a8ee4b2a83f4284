package ontology

import (
	"errors"
	"time"

	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/ontology/codec"
)

// membersFresh is how old a question for members may be.
const membersFresh = time.Hour

// onGetMembers answers a question for members of the consensus subnet, of which
// we are none and know none: with an empty list, if it is signed, fresh and
// meant for us. That a question is not we hold against nobody, since its sender
// may know us by an older identity, or have a key of a kind that we cannot
// check; a seed, which signs nothing, we cannot tell from others.
func (s *session) onGetMembers(m codec.GetMembers) {
	age := s.node.cfg.Wall.Now().Sub(time.Unix(int64(m.Time), 0)).Abs()
	if m.Time == 0 || age > membersFresh || m.From != s.kad || m.To != s.node.identity.Load().kad {
		return
	}
	if s.tooEarly(&s.toldMembers) {
		return
	}
	s.work(workServe, func() {
		if m.Verify() == nil {
			s.post(s.ctx, wire.LaneHousekeeping, codec.CmdMembers, codec.Members{}.Append(nil))
		}
	})
}

// onMembers takes in an answer that we never ask for.
func (s *session) onMembers(codec.Members) {
	s.chargeUnasked(errors.New("ontology: members were not asked for"))
}
