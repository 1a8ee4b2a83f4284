package opstack

import (
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire/opstack/codec"
)

// Threat L-07: a branch that shares ancestors and is longer is followed where the
// sequencer signed its tip, up to the depth that the ledger undoes; beyond it the
// head stays, and whoever passed the block on is not charged: it is authentic.
func TestAForkIsFollowedUpToADepth(t *testing.T) {
	ours := branchOf(anchor, 100, 0, keyOf(1))
	for _, tt := range []struct {
		name   string
		shared int
		moves  bool
	}{
		{"ten blocks deep", 90, true},
		{"deeper than is undone", 60, false}, // the ledger of these tests undoes 16
	} {
		t.Run(tt.name, func(t *testing.T) {
			theirs := append(ours[:tt.shared:tt.shared], branchOf(ours[tt.shared-1].Ref(), 101-tt.shared, 1, keyOf(1))...)
			inBubble(t, func(p *place) {
				n := p.whole(1<<8, ours)
				b, publish := p.member(2<<8, codec.V4)
				serve(b, script{number: func(number uint64, st network.Stream) { write(st, theirs[number-1]) }})
				n.join(b)
				p.await(time.Minute, "a mesh", func() bool { return n.Mesh(codec.V4) > 0 })
				time.Sleep(3 * time.Second)
				publish(message(t, theirs[100]))
				if tt.moves {
					n.reaches(5*time.Minute, theirs)
				} else {
					time.Sleep(5 * time.Minute)
					n.reaches(0, ours)
				}
				if h := n.heard(); len(h.charges) > 0 {
					t.Errorf("charged with %v", h.charges)
				}
			})
		})
	}
}

// Threats L-06 and L-07: a longer branch that the sequencer did not sign moves
// nothing and is not even asked for; its deliverer pays (high).
func TestAForkThatNobodySignedMovesNothing(t *testing.T) {
	ours := branchOf(anchor, 100, 0, keyOf(1))
	theirs := append(ours[:90:90], branchOf(ours[89].Ref(), 30, 1, keyOf(2))...)
	inBubble(t, func(p *place) {
		n := p.whole(1<<8, ours)
		b, publish := p.member(2<<8, codec.V4)
		serve(b, script{number: func(number uint64, st network.Stream) {
			t.Errorf("block %d was asked for", number)
			write(st, theirs[number-1])
		}})
		n.join(b)
		p.await(time.Minute, "a mesh", func() bool { return n.Mesh(codec.V4) > 0 })
		time.Sleep(3 * time.Second)
		publish(message(t, theirs[len(theirs)-1]))
		time.Sleep(2 * time.Minute)
		n.reaches(0, ours)
		h := n.heard()
		if got := h.charges[peer.ID(b.ID().String())]; len(got) != 1 || got[peer.InvalidGossip] != peer.High {
			t.Errorf("charged with %v, want %s (%s)", got, peer.InvalidGossip, peer.High)
		}
		if refs, err := n.ledger.Staged(t.Context()); err != nil || len(refs) > 0 {
			t.Errorf("staged: %v, %v", refs, err)
		}
	})
}
