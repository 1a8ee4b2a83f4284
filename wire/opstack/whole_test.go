package opstack

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	libhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	libpeer "github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/starlingp2p/starling"
	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/ledger"
	family "github.com/starlingp2p/starling/ledger/opstack"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/opstack/codec"
)

// anchor is the first block of the network that whole nodes are of.
var anchor = chain.Ref{Hash: chain.Hash{0xa1}}

// branchOf is a branch of count blocks on a parent, signed by a key; branches of
// equal numbers are the same.
func branchOf(parent chain.Ref, count int, branch byte, k codec.Key) (out []chain.Block) {
	for range count {
		b := signedBy(k, childOf(parent, fmt.Appendf(nil, "%d of %d", branch, parent.Number+1)))
		out, parent = append(out, b), b.Ref()
	}
	return out
}

// childOf is a payload with one transaction.
func childOf(parent chain.Ref, tx []byte) *codec.Envelope {
	e, err := codec.Draft{Version: codec.V4, Parent: parent, Time: genesisTime + 2*(parent.Number+1), Txs: [][]byte{tx}}.Envelope()
	if err != nil {
		panic(err)
	}
	return e
}

// whole is a node with its ledger and its sync, on a wire of the place.
type whole struct {
	*Wire
	p      *place
	ledger *ledger.Ledger
	client *starling.Client
	events *starling.Subscription
}

// whole runs one on the i-th machine that has blocks, and ends it with the place.
func (p *place) whole(i int, have []chain.Block, change ...func(*Config)) *whole {
	p.t.Helper()
	f, err := family.New(family.Config{
		Network: "test", ChainID: chainID, BlockTime: 2 * time.Second, Genesis: family.Genesis{Hash: anchor.Hash, Time: genesisTime},
		Forks: []family.Fork{{Name: "jovian"}}, Signer: keyOf(1).Address(), MaxAge: 10 * time.Minute,
	})
	if err != nil {
		p.t.Fatal(err)
	}
	l, err := ledger.Open("chain", ledger.Options{Family: f, FS: vfs.NewMem(), MaxReorg: 16})
	if err != nil {
		p.t.Fatal(err)
	}
	if _, err := l.Import(p.t.Context(), have); err != nil {
		p.t.Fatal(err)
	}
	cfg := p.config(i)
	cfg.Rules, cfg.Status = f.Rules(), l.Status
	for _, c := range change {
		c(&cfg)
	}
	w, err := New(cfg)
	if err != nil {
		p.t.Fatal(err)
	}
	node, err := starling.New(starling.Config{BackwardOnly: true, BlockInterval: 2 * time.Second, AllowPrivate: true, Seed: uint64(i), Serving: p.budget}, l, w)
	if err != nil {
		p.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	n := &whole{Wire: w, p: p, ledger: l, client: node.Client()}
	n.events = n.client.Subscribe(ctx, 8192)
	done := make(chan error, 1)
	go func() { done <- node.Run(ctx) }()
	p.end = append(p.end, func() {
		stop()
		if err := <-done; err != nil {
			p.t.Error(err)
		}
		if err := l.Close(); err != nil {
			p.t.Error(err)
		}
	})
	<-w.Ready()
	synctest.Wait()
	return n
}

// join connects a host of any kind to the node, in virtual time.
func (n *whole) join(h libhost.Host) {
	n.p.t.Helper()
	info, err := libpeer.AddrInfoFromString(n.Addrs()[0].Text)
	if err != nil {
		n.p.t.Fatal(err)
	}
	if err := h.Connect(n.p.t.Context(), *info); err != nil {
		n.p.t.Fatal(err)
	}
}

// await waits in virtual time for a condition.
func (p *place) await(within time.Duration, what string, cond func() bool) {
	p.t.Helper()
	for end := time.Now().Add(within); ; time.Sleep(100 * time.Millisecond) {
		synctest.Wait()
		if cond() {
			return
		}
		if time.Now().After(end) {
			p.t.Fatalf("within %v there was not %s", within, what)
		}
	}
}

// reaches waits until the node's head is a block, and checks that it has all
// that lead to it.
func (n *whole) reaches(within time.Duration, blocks []chain.Block) {
	n.p.t.Helper()
	head := blocks[len(blocks)-1].Ref()
	n.p.await(within, fmt.Sprintf("block %v as the head", head), func() bool { return n.ledger.Status().Head == head })
	for _, want := range blocks {
		if b, err := n.ledger.Block(n.p.t.Context(), chain.Ref{Number: want.Ref().Number}); err != nil || b.Ref() != want.Ref() || string(b.Body) != string(want.Body) {
			n.p.t.Fatalf("block %v: %v, %v", want.Ref(), b.Ref(), err)
		}
	}
}

// heard is what the node has told so far: whom it charged with what, and whom it
// let go.
type heard struct {
	charges map[peer.ID]map[peer.Offense]peer.Severity
	closed  map[peer.ID]peer.Reason
}

func (n *whole) heard() heard {
	out := heard{map[peer.ID]map[peer.Offense]peer.Severity{}, map[peer.ID]peer.Reason{}}
	for len(n.events.C()) > 0 {
		switch e := (<-n.events.C()).(type) {
		case starling.PeerCharged:
			if out.charges[e.ID] == nil {
				out.charges[e.ID] = map[peer.Offense]peer.Severity{}
			}
			out.charges[e.ID][e.Offense] = e.Severity
		case starling.PeerClosed:
			out.closed[e.ID] = e.Reason
		}
	}
	return out
}

// script is how a bare host answers for blocks: as an op-node, or as a Starling
// whose ranges are those of from. Both get what has the numbers that were asked.
type script struct {
	number func(number uint64, st network.Stream) // nil: not found
	ranged func(wire.GetBlocks, network.Stream)   // nil: it is no Starling
}

// peer is a bare host of the i-th machine that is in the topic of blocks, so
// that it is taken to have them, and answers as its script says.
func (p *place) peer(i int, s script) (libhost.Host, peer.ID) {
	p.t.Helper()
	b, _ := p.member(i, codec.V4)
	serve(b, s)
	return b, peer.ID(b.ID().String())
}

// serve has a bare host answer as a script says.
func serve(b libhost.Host, s script) {
	b.SetStreamHandler(protocol.ID(codec.Protocols(chainID)[0]), func(st network.Stream) {
		defer st.Close()
		var raw [codec.RequestSize]byte
		if _, err := io.ReadFull(st, raw[:]); err != nil {
			return
		}
		if s.number == nil {
			codec.WriteRefusal(st, codec.ResultNotFound)
			return
		}
		s.number(binary.LittleEndian.Uint64(raw[:]), st)
	})
	if s.ranged != nil {
		onRanges(b, func(r wire.Request, st network.Stream) { s.ranged(r.(wire.GetBlocks), st) })
	}
}

// inBlocks gives the blocks of a range that a list has, which begins with block 1.
func inBlocks(all []chain.Block, q wire.GetBlocks) (out []chain.Block) {
	n := q.Range.From.Number
	for range q.Range.Count {
		if n == 0 || n > uint64(len(all)) {
			break
		}
		if out = append(out, all[n-1]); q.Range.Reverse {
			n--
		} else {
			n++
		}
	}
	return out
}

// TestAWholeNodeFillsItsGap is what the tests of lies rest on: a gap is filled
// from an op-node, and from a Starling.
func TestAWholeNodeFillsItsGap(t *testing.T) {
	for _, name := range []string{"by number", "by ranges"} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(p *place) {
				all := branchOf(anchor, 120, 0, keyOf(1))
				honest := p.whole(1<<8, all[:119], func(c *Config) { c.NoRanges = name == "by number" })
				n := p.whole(2<<8, nil)
				n.meets(honest)
				honest.tells(all[119])
				n.reaches(5*time.Minute, all)
				if got := n.heard(); len(got.charges) > 0 || len(got.closed) > 0 {
					t.Errorf("told %+v", got)
				}
			})
		})
	}
}

// meets has the node and another one connected and in each other's mesh.
func (n *whole) meets(other *whole) {
	n.p.t.Helper()
	if err := n.client.Connect(n.p.t.Context(), other.Addrs()[0].Text); err != nil {
		n.p.t.Fatal(err)
	}
	n.p.await(time.Minute, "a mesh", func() bool { return n.Mesh(codec.V4) > 0 && other.Mesh(codec.V4) > 0 })
}

// tells has the node take a block of its own, and gossip it.
func (n *whole) tells(b chain.Block) {
	n.p.t.Helper()
	if err := n.client.SubmitBlock(n.p.t.Context(), b); err != nil {
		n.p.t.Fatal(err)
	}
}
