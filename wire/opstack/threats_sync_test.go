package opstack

import (
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/opstack/codec"
)

// lie is one way in which a peer that is in the topic answers for blocks other
// than it should, and what that costs it.
type lie struct {
	name   string
	number func(all, forged []chain.Block, n uint64, st network.Stream)
	ranged func(all, forged []chain.Block, q wire.GetBlocks, st network.Stream)
	costs  costs // one of these at least; empty: nothing
}

// costs are offenses and how severe each is.
type costs = map[peer.Offense]peer.Severity

// write answers as an op-node does.
func write(st network.Stream, b chain.Block) {
	if e, err := codec.EnvelopeOf(b); err == nil {
		codec.WriteAnswer(st, e)
	}
}

var lies = []lie{
	{
		name:   "L-01 another number",
		number: func(all, _ []chain.Block, n uint64, st network.Stream) { write(st, all[n%50]) },
		costs:  costs{peer.WrongBlock: peer.Fatal},
	},
	{
		name: "L-03 every other block",
		number: func(all, _ []chain.Block, n uint64, st network.Stream) {
			if n%2 == 0 {
				codec.WriteRefusal(st, codec.ResultNotFound)
				return
			}
			write(st, all[n-1])
		},
	},
	{
		name: "L-03 a hole",
		ranged: func(all, _ []chain.Block, q wire.GetBlocks, st network.Stream) {
			blocks := inBlocks(all, q)
			if len(blocks) > 4 {
				blocks = append(blocks[:3:3], blocks[4:]...)
			}
			st.Write(answerOf(blocks...))
		},
		costs: costs{peer.ShortAnswer: peer.Mid},
	},
	{
		name: "L-03 always few",
		ranged: func(all, _ []chain.Block, q wire.GetBlocks, st network.Stream) {
			blocks := inBlocks(all, q)
			st.Write(answerOf(blocks[:min(3, len(blocks))]...))
		},
	},
	{
		name: "L-04 the same block twice",
		ranged: func(all, _ []chain.Block, q wire.GetBlocks, st network.Stream) {
			blocks := inBlocks(all, q)
			if len(blocks) > 1 {
				blocks[1] = blocks[0]
			}
			st.Write(answerOf(blocks...))
		},
		costs: costs{peer.UnorderedAnswer: peer.High},
	},
	{ // That a member has what is gossiped is our guess, not its word.
		name:   "L-05 and L-09 nothing of it",
		number: func(_, _ []chain.Block, _ uint64, st network.Stream) { codec.WriteRefusal(st, codec.ResultNotFound) },
	},
	{
		name:   "L-05 and L-09 empty ranges",
		ranged: func(_, _ []chain.Block, _ wire.GetBlocks, st network.Stream) { st.Write(answerOf()) },
	},
	{ // Fatal is one below a block of its own; the first may be a relay's.
		name:   "L-06 a chain that the sequencer never signed",
		number: func(_, forged []chain.Block, n uint64, st network.Stream) { write(st, forged[n-1]) },
		costs:  costs{peer.UnlinkedAnswer: peer.High, peer.WrongBlock: peer.Fatal},
	},
	{
		name: "L-06 the same, by ranges",
		ranged: func(_, forged []chain.Block, q wire.GetBlocks, st network.Stream) {
			st.Write(answerOf(inBlocks(forged, q)...))
		},
		costs: costs{peer.UnlinkedAnswer: peer.High, peer.WrongBlock: peer.Fatal},
	},
	{
		name: "L-08 two blocks for one",
		number: func(all, _ []chain.Block, n uint64, st network.Stream) {
			write(st, all[n-1])
			write(st, all[n-1])
		},
		costs: costs{peer.BadEncoding: peer.Fatal},
	},
	{
		name: "L-08 more than was asked for",
		ranged: func(all, _ []chain.Block, q wire.GetBlocks, st network.Stream) {
			q.Range.Count++
			st.Write(answerOf(inBlocks(all, q)...))
		},
		costs: costs{peer.Unasked: peer.Low},
	},
}

// plays has a bare host of the i-th machine, in the topic, tell a lie to a node;
// it counts how often it was asked.
func (n *whole) plays(i int, l lie, all, forged []chain.Block) (peer.ID, *atomic.Int32) {
	n.p.t.Helper()
	var s script
	asked := new(atomic.Int32)
	if l.number != nil {
		s.number = func(number uint64, st network.Stream) {
			if asked.Add(1); number > 0 && number <= uint64(len(all)) {
				l.number(all, forged, number, st)
			}
		}
	}
	if l.ranged != nil {
		s.ranged = func(q wire.GetBlocks, st network.Stream) {
			asked.Add(1)
			l.ranged(all, forged, q, st)
		}
	}
	h, id := n.p.peer(i, s)
	n.join(h)
	return id, asked
}

// pays checks that of all peers only those that lied were charged, and with
// nothing but what their lie costs.
func (h heard) pays(t *testing.T, l lie, liars ...peer.ID) {
	t.Helper()
	for id, what := range h.charges {
		if !slices.Contains(liars, id) {
			t.Errorf("an honest peer is charged with %v", what)
		}
		for offense, sev := range what {
			if want, ok := l.costs[offense]; !ok || sev != want {
				t.Errorf("charged with %s (%s), want one of %v", offense, sev, l.costs)
			}
		}
	}
	for id, why := range h.closed {
		if !slices.Contains(liars, id) || len(l.costs) == 0 {
			t.Errorf("a peer that owes nothing is gone: %s", why)
		}
	}
}

// Threats L-01, L-03, L-04, L-05, L-06, L-08 and L-09, with whole nodes and the
// bytes of the wire: of one peer that lies and one that does not, the liar pays
// what its lie costs and the gap is filled all the same.
func TestOfALiarAndAnHonestPeerTheHonestOneWins(t *testing.T) {
	all := branchOf(anchor, 90, 0, keyOf(1))
	forged := branchOf(anchor, 90, 1, keyOf(2))
	for _, l := range lies {
		t.Run(l.name, func(t *testing.T) {
			inBubble(t, func(p *place) {
				honest := p.whole(1<<8, all[:89], func(c *Config) { c.NoRanges = true }) // or all is there before the liar is asked
				n := p.whole(2<<8, nil)
				liar, asked := n.plays(3<<8, l, all, forged)
				n.meets(honest)
				n.p.await(time.Minute, "two sessions", func() bool { return len(n.client.Peers()) == 2 })
				time.Sleep(5 * time.Second)
				honest.tells(all[89])
				n.reaches(10*time.Minute, all)
				if asked.Load() == 0 {
					t.Error("it was not asked for anything: nothing is shown by that")
				}
				h := n.heard()
				h.pays(t, l, liar)
				if _, charged := h.charges[liar]; charged != (len(l.costs) > 0) {
					t.Errorf("charged with %v, want one of %v", h.charges[liar], l.costs)
				}
				if l.costs[peer.WrongBlock] == peer.Fatal && len(l.costs) == 1 && h.closed[liar] != peer.Banned {
					t.Errorf("it is gone for %q, want a ban", h.closed[liar])
				}
			})
		})
	}
}

// Threat L-11: nine of ten peers tell the same lie, by number or by ranges. The
// one that does not is enough, since what the sequencer signed tells them apart.
func TestOneHonestPeerOfTenIsEnough(t *testing.T) {
	all := branchOf(anchor, 90, 0, keyOf(1))
	forged := branchOf(anchor, 90, 1, keyOf(2))
	for _, l := range lies {
		if !strings.HasPrefix(l.name, "L-06") {
			continue
		}
		t.Run(l.name, func(t *testing.T) {
			inBubble(t, func(p *place) {
				honest := p.whole(1<<8, all[:89], func(c *Config) { c.NoRanges = true })
				n := p.whole(2<<8, nil)
				var liars []peer.ID
				for i := range 9 {
					id, _ := n.plays((3+i)<<8, l, all, forged)
					liars = append(liars, id)
				}
				n.meets(honest)
				n.p.await(time.Minute, "ten sessions", func() bool { return len(n.client.Peers()) == 10 })
				time.Sleep(5 * time.Second)
				honest.tells(all[89])
				n.reaches(10*time.Minute, all)
				h := n.heard()
				if h.pays(t, l, liars...); len(h.charges) == 0 {
					t.Error("none of nine liars was charged")
				}
			})
		})
	}
}
