package scenario

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"

	madns "github.com/multiformats/go-multiaddr-dns"

	"github.com/starlingp2p/starling"
	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/chain/chaintest"
	"github.com/starlingp2p/starling/env"
	"github.com/starlingp2p/starling/internal/why"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/sim/bed"
	"github.com/starlingp2p/starling/wire/native"
	"github.com/starlingp2p/starling/wire/wiretest"
)

// Each test here stages one trouble with whole nodes, and asks the node why.
// The true cause has to come first.

// quietly switches discovery off, so that what is told is about the addresses
// that were named.
func quietly(c *starling.Config) { c.NoDiscovery = true }

func noDHT(c *native.Config) { c.NoDHT = true }

func TestTroubleWrongGenesis(t *testing.T) {
	virtual(t, ordinary(), func(l *lab) {
		l.many(0, 2, 0, 1)
		stranger := l.start(2, spec{seeds: only(0, 1), toy: chaintest.NewChain(chaintest.Config{Seed: 99, BlockTime: interval})})
		time.Sleep(time.Minute)
		l.names("wrong genesis", "no-peers:wrong-genesis", stranger.explain(""))
		l.names("one peer of another genesis", "dial-failed:wrong-genesis", stranger.explain(string(idOf(0))))
	})
}

func TestTroubleWrongNetwork(t *testing.T) {
	virtual(t, ordinary(), func(l *lab) {
		l.many(0, 2, 0, 1)
		stranger := l.start(2, spec{seeds: only(0, 1), toy: chaintest.NewChain(chaintest.Config{Network: "elsewhere", BlockTime: interval})})
		time.Sleep(time.Minute)
		l.names("wrong network", "no-peers:wrong-network", stranger.explain(""))
	})
}

func TestTroublePortClosed(t *testing.T) {
	virtual(t, ordinary(), func(l *lab) {
		l.net.Host(addr(1)) // the machine is there, and nothing listens
		n := l.start(0, spec{seeds: only(1)})
		time.Sleep(time.Minute)
		l.names("the seed's port is closed", "no-peers:dial-failed", n.explain(""))
	})
}

func TestTroubleAllSeedsDead(t *testing.T) {
	virtual(t, ordinary(), func(l *lab) {
		for i := 1; i < 4; i++ {
			l.net.Host(addr(i)).Cut(bed.Silent)
		}
		n := l.start(0, spec{seeds: only(1, 2, 3)})
		time.Sleep(2 * time.Minute)
		l.names("all seeds are dead", "no-peers:dial-timeout", n.explain(""))
	})
}

func TestTroubleSeedNamesDoNotResolve(t *testing.T) {
	virtual(t, ordinary(), func(l *lab) {
		dns, err := madns.NewResolver(madns.WithDefaultResolver(noNames{}))
		if err != nil {
			t.Fatal(err)
		}
		n := l.start(0, spec{
			seeds: []string{"/dns4/seed-1.example.org/tcp/4001/p2p/" + string(idOf(1)), "/dns4/seed-2.example.org/tcp/4001/p2p/" + string(idOf(2))},
			wire:  func(c *native.Config) { c.Resolver = dns },
		})
		time.Sleep(time.Minute)
		l.names("the seeds' names do not resolve", "no-peers:name-unresolved", n.explain(""))
	})
}

func TestTroubleNobodyIsKnown(t *testing.T) {
	virtual(t, ordinary(), func(l *lab) {
		n := l.start(0, spec{config: quietly, wire: noDHT})
		time.Sleep(time.Minute)
		l.names("no seeds and no discovery", "no-peers:nobody-to-dial", n.explain(""))
		lost := l.start(1, spec{})
		time.Sleep(time.Minute)
		l.names("discovery finds nobody", "no-peers:nobody-found", lost.explain(""))
	})
}

func TestTroubleNetRestrictExcludesAll(t *testing.T) {
	virtual(t, ordinary(), func(l *lab) {
		l.many(1, 3, 1, 2)
		n := l.start(0, spec{seeds: only(1, 2), config: func(c *starling.Config) {
			c.NetRestrict = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
		}})
		time.Sleep(time.Minute)
		l.names("net_restrict excludes every peer", "no-peers:net-restricted", n.explain(""))
	})
}

func TestTroubleTheyBannedUs(t *testing.T) {
	virtual(t, ordinary(), func(l *lab) {
		hub := l.start(0, spec{})
		n := l.start(1, spec{seeds: only(0), config: quietly, wire: noDHT})
		l.awaitPeers(time.Minute, 1, n)
		l.hostile[n.id] = true
		if err := hub.client.Ban(context.Background(), n.id, time.Hour, "because"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		l.names("banned by the other side", "no-peers:banned", n.explain(""))
		l.names("banned by us", "banned:by-us", hub.explain(string(n.id)))
	})
}

func TestTroubleTheyAreFull(t *testing.T) {
	virtual(t, ordinary(), func(l *lab) {
		hub := l.start(0, spec{static: only(1, 2), config: func(c *starling.Config) { c.MaxPeers = 2; c.NoDiscovery = true }, wire: noDHT})
		first := []*node{l.start(1, spec{config: quietly, wire: noDHT}), l.start(2, spec{config: quietly, wire: noDHT})}
		l.awaitPeers(time.Minute, 1, first...)
		l.awaitPeers(time.Minute, 2, hub)
		late := l.start(3, spec{seeds: only(0), config: quietly, wire: noDHT})
		time.Sleep(time.Minute)
		l.names("they are full, and close on strangers", "no-peers:closed-by-remote", late.explain(""))
		l.names("we are full", "refused:too-many-peers", hub.explain(""))
	})
}

func TestTroubleStaticPeerIsGone(t *testing.T) {
	virtual(t, ordinary(), func(l *lab) {
		l.net.Host(addr(9))
		hub := l.start(0, spec{static: only(1, 9)})
		l.start(1, spec{})
		l.awaitPeers(time.Minute, 1, hub)
		time.Sleep(time.Minute)
		l.names("a static peer is not reached", "peer-missing:dial-failed", hub.explain(""))
	})
}

func TestTroubleClockIsOff(t *testing.T) {
	virtual(t, ordinary(), func(l *lab) {
		right := l.many(0, 5, 0, 1)
		right[0].produce()
		l.awaitPeers(time.Minute, 4, right...)
		wall := &env.SkewedWall{}
		wall.SetSkew(time.Hour)
		wrong := l.start(5, spec{seeds: only(0, 1, 2, 3), wall: wall, over: byClock(wall)})
		l.await(2*time.Minute, "the clock is suspect", func() bool { return wrong.client.Status().ClockSuspect })
		l.names("the clock is off", "clock:suspect", wrong.explain(""))
		wall.SetSkew(0)
	})
}

func TestTroubleDiskIsFull(t *testing.T) {
	virtual(t, ordinary(), func(l *lab) {
		producer := l.start(0, spec{})
		n := l.start(1, spec{seeds: only(0)})
		producer.produce()
		l.awaitOneTip(time.Minute, 3, producer, n)
		n.toy.FailImport(chain.ErrFull)
		r := l.awaitCause(2*time.Minute, n, "", "not-syncing:disk-full")
		l.names("the disk is full", "not-syncing:disk-full", r)
		n.toy.FailImport(nil)
		l.awaitOneTip(2*time.Minute, producer.head().Number+1, producer, n)
		if r := n.explain(""); len(r.Findings) > 0 && r.Findings[0].Code == "not-syncing:disk-full" {
			t.Errorf("it is over, and it says %+v", r.Findings[0])
		}
	})
}

func TestTroubleStoredChainIsDamaged(t *testing.T) {
	virtual(t, ordinary(), func(l *lab) {
		producer := l.start(0, spec{})
		n := l.start(1, spec{seeds: only(0)})
		producer.produce()
		l.awaitOneTip(time.Minute, 3, producer, n)
		n.toy.FailImport(chain.ErrCorrupt)
		l.names("the stored chain is damaged", "not-syncing:corrupt-chain", l.awaitCause(2*time.Minute, n, "", "not-syncing:corrupt-chain"))
	})
}

func TestTroublePeersDoNotDeliver(t *testing.T) {
	virtual(t, ordinary(), func(l *lab) {
		full := chaintest.NewChain(chaintest.Config{BlockTime: interval})
		full.Extend(50)
		l.start(0, spec{toy: full})
		until := make(chan struct{})
		defer close(until)
		full.StallReads(until)
		l.excused["no-answer"], l.excused["false-head"] = true, true
		n := l.start(1, spec{seeds: only(0), config: quietly, wire: noDHT})
		l.awaitPeers(time.Minute, 1, n)
		l.names("peers claim blocks and do not deliver", "not-syncing:peers-silent", l.awaitCause(5*time.Minute, n, "", "not-syncing:peers-silent"))
	})
}

// A peer that counts faults of ours lets us go with that word.
func TestTroubleOurScoreFell(t *testing.T) {
	virtual(t, ordinary(), func(l *lab) {
		n := l.start(0, spec{config: quietly, wire: noDHT})
		other := l.start(1, spec{seeds: only(0), config: quietly, wire: noDHT})
		strict := l.villain(20, n.toy, &wiretest.Host{})
		l.await(time.Minute, "sessions", func() bool {
			return n.has(other) && (strict.host.Session(n.id) != nil || strict.dial(n) == nil)
		})
		strict.host.Session(n.id).Close(peer.BadScore)
		time.Sleep(10 * time.Second)
		l.names("our score with a peer fell, and it let us go", "dropped:bad-score", n.explain(""))
		r := n.explain(string(strict.id))
		l.names("one peer let us go for our score", "dropped:bad-score", r)
	})
}

func TestTroubleTargetOnAnotherFork(t *testing.T) {
	virtual(t, ordinary(), func(l *lab) {
		producer := l.start(0, spec{})
		n := l.start(1, spec{seeds: only(0)})
		producer.produce()
		l.awaitOneTip(time.Minute, 3, producer, n)
		producer.stopProducing()
		if err := n.client.SetTarget(context.Background(), chain.Ref{Number: 100, Hash: chain.Hash{1, 2, 3}}); err != nil {
			t.Fatal(err)
		}
		l.names("a target that no peer has", "not-syncing:parent-missing", l.awaitCause(5*time.Minute, n, "", "not-syncing:parent-missing"))
	})
}

func TestTroubleWrongFork(t *testing.T) {
	virtual(t, ordinary(), func(l *lab) {
		fork := func(branch uint64, blocks int) *chaintest.Chain {
			c := chaintest.NewChain(chaintest.Config{BlockTime: interval, MaxReorg: 8})
			for _, b := range c.BuildOn(c.Head().Header, blocks, chaintest.Make{Branch: branch}) {
				if _, err := c.Import(context.Background(), []chain.Block{b}); err != nil {
					t.Fatal(err)
				}
			}
			return c
		}
		right := fork(1, 60)
		l.start(0, spec{toy: right})
		n := l.start(1, spec{seeds: only(0), toy: fork(2, 40)})
		l.awaitPeers(time.Minute, 1, n)
		if err := n.client.SetTarget(context.Background(), right.Head().Ref()); err != nil {
			t.Fatal(err)
		}
		l.names("this node follows a wrong fork", "not-syncing:target-refused", l.awaitCause(5*time.Minute, n, "", "not-syncing:target-refused"))
		peers := l.start(2, spec{seeds: only(0), toy: fork(3, 20)})
		l.names("the peers' branch is refused", "not-syncing:reorg-refused", l.awaitCause(15*time.Minute, peers, "", "not-syncing:reorg-refused"))
	})
}

func TestTroubleAnotherIdentityAnswers(t *testing.T) {
	virtual(t, ordinary(), func(l *lab) {
		l.start(1, spec{})
		wrong := bed.AddrInfo(addr(1), bed.Key(1)).Addrs[0].String() + "/p2p/" + string(idOf(7))
		n := l.start(0, spec{seeds: []string{wrong}})
		time.Sleep(time.Minute)
		l.names("another peer answers at the seed's address", "no-peers:wrong-identity", n.explain(""))
	})
}

func TestTroublePublishingUnheard(t *testing.T) {
	virtual(t, ordinary(), func(l *lab) {
		n := l.start(0, spec{config: func(c *starling.Config) { c.NoDial, c.NoDiscovery = true, true }, wire: noDHT})
		n.produce()
		time.Sleep(time.Minute)
		l.names("published with nobody to hear", "unheard:expired", n.explain(""))
	})
}

func TestTroubleWaitingForCallers(t *testing.T) {
	virtual(t, ordinary(), func(l *lab) {
		n := l.start(0, spec{config: func(c *starling.Config) { c.NoDial, c.NoDiscovery = true, true }, wire: noDHT})
		time.Sleep(time.Minute)
		l.names("dialling is off, and nobody calls", "no-peers:waiting-for-callers", n.explain(""))
	})
}

func TestTroubleNoInbound(t *testing.T) {
	virtual(t, ordinary(), func(l *lab) {
		hub := l.start(0, spec{})
		deaf := l.start(1, spec{seeds: only(0), config: func(c *starling.Config) { c.NoListen = true }, wire: func(c *native.Config) { c.NoListen = true }})
		hub.produce()
		l.awaitOneTip(time.Minute, 3, hub, deaf)
		time.Sleep(10 * time.Minute)
		l.names("listening is off", "no-inbound:listening-off", deaf.explain(""))
	})
}

func TestTroubleBehindANAT(t *testing.T) {
	virtual(t, ordinary(), func(l *lab) {
		hub := l.start(0, spec{})
		n := l.start(1, spec{seeds: only(0), wire: func(c *native.Config) { c.Advertise = []string{"/ip4/192.168.1.7/tcp/4001"} }})
		hub.produce()
		l.awaitOneTip(time.Minute, 3, hub, n)
		time.Sleep(10 * time.Minute)
		l.names("behind a NAT: a private address is advertised", "no-inbound:private-address", n.explain(""))
	})
}

func TestTroubleOwnAddressAsSeed(t *testing.T) {
	virtual(t, ordinary(), func(l *lab) {
		n := l.start(0, spec{seeds: []string{bed.AddrInfo(addr(0), bed.Key(0)).Addrs[0].String() + "/p2p/" + string(idOf(0))}, config: quietly, wire: noDHT})
		time.Sleep(time.Minute)
		l.names("the only seed is the node itself", "no-peers:self", n.explain(""))
	})
}

// A network in which nothing is wrong has no trouble: neither while it starts
// and syncs, nor later, nor when a peer leaves and comes back.
func TestNoTroubleIsSeenWhereThereIsNone(t *testing.T) {
	virtual(t, ordinary(), func(l *lab) {
		nodes := l.many(0, 5, 0, 1)
		nodes[0].produce()
		l.awaitPeers(time.Minute, 2, nodes...)
		well := func(when string) {
			t.Helper()
			for _, n := range nodes {
				if !n.up {
					continue
				}
				r := n.explain("")
				if len(r.Findings) > 0 && r.Findings[0].Level == why.Trouble || !strings.HasPrefix(r.Summary, "all is well") {
					var out strings.Builder
					r.Write(&out)
					t.Errorf("%s node %d says\n%s", when, n.i, &out)
				}
			}
		}
		l.awaitOneTip(time.Minute, 3, nodes...)
		well("at first")
		time.Sleep(20 * time.Minute)
		well("after a while")
		nodes[3].stop()
		time.Sleep(time.Minute)
		well("without one")
		nodes[3].run()
		late := l.start(5, spec{seeds: only(0, 1)})
		l.awaitOneTip(2*time.Minute, nodes[0].head().Number, append(nodes, late)...)
		nodes = append(nodes, late)
		well("with a newcomer")
	})
}

// Peers that went away without a word are dialled again, at growing pauses.
func TestTroublePeersAreGone(t *testing.T) {
	virtual(t, ordinary(), func(l *lab) {
		nodes := l.many(0, 4, 0, 1)
		l.awaitPeers(time.Minute, 3, nodes...)
		nodes[2].kill(bed.Silent)
		nodes[3].kill(bed.Silent)
		r := l.awaitCause(10*time.Minute, nodes[0], "", "few-peers:back-off")
		l.names("peers are gone, and their addresses rest", "few-peers:back-off", r)
	})
}

func TestTroubleManyStaticPeersAreDead(t *testing.T) {
	virtual(t, ordinary(), func(l *lab) {
		dead := []int{}
		for i := 10; i < 40; i++ {
			l.net.Host(addr(i)).Cut(bed.Silent)
			dead = append(dead, i)
		}
		l.start(0, spec{})
		n := l.start(1, spec{seeds: only(0), static: only(dead...)})
		l.awaitPeers(time.Minute, 1, n)
		time.Sleep(2 * time.Minute)
		r := n.explain("")
		l.names("static peers are dead", "peer-missing:dial-timeout", r)
		if len(r.Findings) > 3 {
			t.Errorf("%d findings for one cause", len(r.Findings))
		}
	})
}
