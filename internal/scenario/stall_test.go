package scenario

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/starlingp2p/starling"
	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/chain/chaintest"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire/native"
)

// votes is a consensus engine that notes what it is told, and when.
type votes struct {
	mu  sync.Mutex // a leaf
	got map[string]time.Time
}

func (v *votes) Handle(_ context.Context, _ peer.ID, msg []byte) chain.Verdict {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.got == nil {
		v.got = map[string]time.Time{}
	}
	v.got[string(msg)] = time.Now()
	return chain.Accepted()
}

func (v *votes) Validators(context.Context) []chain.Validator { return nil }

// when tells when a message came.
func (v *votes) when(msg string) (time.Time, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	at, ok := v.got[msg]
	return at, ok
}

// sluggish is a chain whose Check waits.
type sluggish struct {
	*chaintest.Chain
	until <-chan struct{}
}

func (s sluggish) Check(b chain.Block) chain.Verdict {
	<-s.until
	return s.Chain.Check(b)
}

// deaf is an application that waits in everything that it is asked.
type deaf struct{ until <-chan struct{} }

func (d deaf) HandleRequest(context.Context, peer.ID, []byte) ([]byte, error) {
	<-d.until
	return []byte("at last"), nil
}

func (d deaf) HandleBroadcast(context.Context, peer.ID, string, []byte) chain.Verdict {
	<-d.until
	return chain.Accepted()
}

// Whoever uses a node may stand still, one at a time. Links stay, consensus
// moves both ways at the pace of the link, the node answers its operator, and
// when the consumer goes on, so does everything.
func TestAStalledConsumerStopsNothingElse(t *testing.T) {
	tests := []struct {
		name string
		// stall makes node 1 one whose consumer waits until the channel is
		// closed; at once, or with the func it returns.
		stall func(s *spec, until <-chan struct{}) (later func(*node))
		// held: the consumer lets nothing in, so the head stands still.
		held bool
		// serves: a newcomer that knows only the stalled node syncs from it.
		serves bool
		// ends: the wait ends with its context, so the node can stop meanwhile.
		ends bool
	}{
		{"import", func(_ *spec, until <-chan struct{}) func(*node) {
			return func(n *node) { n.toy.StallImport(until) }
		}, true, true, true},
		{"stage", func(_ *spec, until <-chan struct{}) func(*node) {
			return func(n *node) { n.toy.StallStage(until) }
		}, false, true, true},
		{"reads", func(_ *spec, until <-chan struct{}) func(*node) {
			return func(n *node) { n.toy.StallReads(until) }
		}, false, false, true},
		{"check", func(s *spec, until <-chan struct{}) func(*node) {
			s.over = func(c *chaintest.Chain) chain.Chain { return sluggish{c, until} }
			return nil
		}, false, true, false},
		{"handler", func(s *spec, until <-chan struct{}) func(*node) {
			s.handler = deaf{until}
			return nil
		}, false, true, false},
		{"subscriber", func(*spec, <-chan struct{}) func(*node) {
			return func(n *node) { n.client.Subscribe(context.Background(), 1) }
		}, false, true, true},
	}
	for _, tt := range tests {
		for _, early := range []bool{false, true} {
			if early && !tt.ends {
				continue
			}
			name := tt.name
			if early {
				name += ", stopped meanwhile"
			}
			t.Run(name, func(t *testing.T) {
				virtual(t, ordinary(), func(l *lab) {
					until := make(chan struct{})
					release := sync.OnceFunc(func() { close(until) })
					defer release()
					engines := make([]*votes, 4)
					var later func(*node)
					for i := range 4 {
						engines[i] = &votes{}
						s := spec{
							seeds:  only(0, 1),
							config: func(c *starling.Config) { c.Consensus = engines[i] },
							wire:   func(c *native.Config) { c.Topics = []string{"chat"} },
						}
						if i == 1 {
							later = tt.stall(&s, until)
						}
						l.start(i, s)
					}
					nodes := l.nodes
					nodes[0].produce()
					l.awaitPeers(time.Minute, 3, nodes...)
					if tt.name != "check" {
						l.awaitOneTip(time.Minute, 3, nodes...)
					}
					if later != nil {
						later(nodes[1])
					}
					stood, since := nodes[1].head(), time.Now()
					// Its questions are not answered where reads stand still.
					l.excused[peer.NoAnswer] = !tt.serves
					newcomer := l.start(4, spec{
						seeds:  only(1),
						config: func(c *starling.Config) { c.NoDiscovery, c.NoListen = true, true },
						wire:   func(c *native.Config) { c.NoDHT, c.NoListen = true, true },
					})
					for second := range 90 {
						l.nag(nodes[0], nodes[1].id)
						for _, way := range [][2]int{{0, 1}, {1, 0}, {1, 2}, {3, 1}} {
							from, to := nodes[way[0]], nodes[way[1]]
							msg := fmt.Sprintf("%d to %d: %d", from.i, to.i, second)
							sent := time.Now()
							if err := from.client.SendConsensus(context.Background(), to.id, []byte(msg)); err != nil {
								t.Errorf("%s: %v", msg, err)
							}
							if took := time.Since(sent); took > 0 {
								t.Errorf("%s: to send it took %v", msg, took)
							}
						}
						time.Sleep(time.Second)
						for _, way := range [][2]int{{0, 1}, {1, 0}, {1, 2}, {3, 1}} {
							msg := fmt.Sprintf("%d to %d: %d", way[0], way[1], second)
							// The first one opens its stream.
							if at, ok := engines[way[1]].when(msg); !ok || second > 0 && time.Since(at) < time.Second-2*latency {
								t.Errorf("%s: came %v, at %v", msg, ok, at)
							}
						}
					}
					if moved := nodes[1].head() != stood; moved == tt.held {
						t.Errorf("the head of the stalled node moved: %v", moved)
					}
					for _, n := range nodes {
						for _, c := range events[starling.PeerClosed](n.log, since) {
							t.Errorf("node %d lost %s: %s", n.i, l.name(c.ID), c.Reason)
						}
						for _, p := range n.client.Peers() {
							if p.Latency < latency || p.Latency > 4*latency {
								t.Errorf("node %d measured %v to %s", n.i, p.Latency, l.name(p.Info.ID))
							}
						}
					}
					if got := newcomer.head().Number; tt.serves && got < stood.Number {
						t.Errorf("the newcomer has %d blocks of %d", got, stood.Number)
					}
					if early {
						nodes[1].stop()
						return
					}
					release()
					l.awaitOneTip(30*time.Second, nodes[0].head().Number+1, nodes...)
				})
			})
		}
	}
}

// nag broadcasts to the application and asks it something, without waiting
// for it long.
func (l *lab) nag(from *node, to peer.ID) {
	from.client.Broadcast(context.Background(), "chat", fmt.Append(nil, time.Now()))
	done := make(chan struct{})
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	l.atEnd = append(l.atEnd, func() { cancel(); <-done })
	go func() {
		defer close(done)
		defer cancel()
		from.client.Request(ctx, to, "", []byte("well?"))
	}()
}
