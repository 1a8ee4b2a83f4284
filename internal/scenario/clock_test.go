package scenario

import (
	"testing"
	"time"

	"github.com/starlingp2p/starling"
	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/chain/chaintest"
	"github.com/starlingp2p/starling/env"
)

// timely is a chain that judges blocks by the clock: those of the future, and
// those that are old, are not to be relayed.
type timely struct {
	*chaintest.Chain
	wall env.Wall
}

// slack is how far a block's time may be off.
const slack = 10 * time.Second

func (c timely) Check(b chain.Block) chain.Verdict {
	off := b.Header.Time.Sub(c.wall.Now())
	if off > slack || off < -slack {
		v := chain.Rejected("untimely")
		v.Clock = true
		return v
	}
	return c.Chain.Check(b)
}

func byClock(w env.Wall) func(*chaintest.Chain) chain.Chain {
	return func(c *chaintest.Chain) chain.Chain { return timely{c, w} }
}

// One node's clock is an hour off, from the start or from one moment on. It
// sees that it disagrees with everybody, charges nobody for it, and follows
// the chain by what its peers claim. (T-05)
func TestWrongClockChargesNobodyAndFollows(t *testing.T) {
	tests := []struct {
		name  string
		skew  time.Duration
		later bool // it jumps while the node runs
	}{
		{"an hour ahead", time.Hour, false},
		{"an hour behind", -time.Hour, false},
		{"jumps ahead", time.Hour, true},
		{"jumps back", -time.Hour, true},
		{"a minute ahead", time.Minute, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			virtual(t, ordinary(), func(l *lab) {
				for i := range 5 {
					l.start(i, spec{seeds: only(0, 1), over: byClock(env.SystemWall())})
				}
				right := l.nodes
				right[0].produce()
				l.awaitPeers(time.Minute, 4, right...)
				wall := &env.SkewedWall{}
				if !tt.later {
					wall.SetSkew(tt.skew)
				}
				wrong := l.start(5, spec{seeds: only(0, 1, 2, 3), wall: wall, over: byClock(wall)})
				l.awaitPeers(time.Minute, 4, wrong)
				if tt.later {
					l.awaitOneTip(time.Minute, right[0].head().Number+1, l.nodes...)
					wall.SetSkew(tt.skew)
				}
				l.await(2*time.Minute, "the clock is suspect", func() bool { return wrong.client.Status().ClockSuspect })
				// What is gossiped looks untimely to it and is ignored; what its
				// peers say of their heads, every 15 s, leads it on.
				for range 60 {
					time.Sleep(10 * time.Second)
					if lag := right[0].head().Number - wrong.head().Number; lag > 10 {
						t.Errorf("the node is %d blocks behind", lag)
					}
				}
				for _, n := range right {
					if n.client.Status().ClockSuspect {
						t.Errorf("node %d suspects its own clock, which is right", n.i)
					}
				}
				for _, c := range events[starling.ClockSuspected](wrong.log, time.Time{}) {
					if c.On && (c.Skew+tt.skew).Abs() > 2*time.Second {
						t.Errorf("the node is told that it is off by %v, want %v", -c.Skew, tt.skew)
					}
				}
				wall.SetSkew(0)
				l.await(2*time.Minute, "the clock is trusted again", func() bool { return !wrong.client.Status().ClockSuspect })
				l.awaitOneTip(time.Minute, right[0].head().Number+1, l.nodes...)
			})
		})
	}
}
