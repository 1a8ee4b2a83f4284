package scenario

import (
	"context"
	"testing"
	"time"

	"github.com/starlingp2p/starling"
	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/chain/chaintest"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/wiretest"
)

// Two thirds of a producer's peers pass on nothing. What it publishes reaches
// everybody else within 2 s all the same. (G-14)
func TestProducerAmongSilentPeersIsHeard(t *testing.T) {
	virtual(t, ordinary(), func(l *lab) {
		// The producer has room for few, so the silent ones take its mesh.
		few := func(c *starling.Config) { c.MaxPeers, c.MaxInbound = 12, 8 }
		producer := l.start(0, spec{config: few})
		silent := func(context.Context, wire.Session, wire.Message) chain.Verdict { return chain.Ignored("silent") }
		time.Sleep(time.Second)
		for i := range 8 {
			v := l.villain(20+i, producer.toy, &wiretest.Host{OnCheck: silent})
			l.await(time.Minute, "a silent peer's session", func() bool {
				return v.host.Session(producer.id) != nil || v.dial(producer) == nil
			})
		}
		others := []*node{}
		for i := 1; i < 9; i++ {
			s := spec{seeds: only(1, 2)}
			if i <= 4 {
				s.seeds = append(s.seeds, at(0))
			}
			others = append(others, l.start(i, s))
		}
		l.await(2*time.Minute, "honest peers of the producer", func() bool {
			honest := 0
			for _, n := range others {
				if producer.has(n) {
					honest++
				}
			}
			return honest >= 3
		})
		l.awaitPeers(time.Minute, 4, others...)
		since := time.Now()
		producer.produceLike(chaintest.Make{Size: 8 << 10})
		time.Sleep(10 * time.Minute)
		producer.stopProducing()
		time.Sleep(2 * time.Second)
		l.delivered(producer, since, others, 0.999, 2*time.Second)
	})
}
