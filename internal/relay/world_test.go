package relay

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/sim/bed"
	"github.com/starlingp2p/starling/wire"
)

// world is nodes in the event bed, each with a core and a pool that takes
// everything. It counts bytes as an eth session would carry them.
type world struct {
	t      *testing.T
	sim    *bed.Sim
	fabric *bed.Fabric
	nodes  []*node

	sent map[string]int // bodies of a transaction over a link, pushed or asked for
	born map[chain.Hash]time.Time
}

type node struct {
	w     *world
	id    peer.ID
	addr  netip.Addr
	drive *bed.Driver[Event, Effect]
	core  *Core
	pool  map[chain.Hash]Tx
	pipes map[peer.ID]func(bytes int, arrive func(*node))
	asks  map[chain.Hash]int // how often a transaction was asked for, by this node
	had   map[chain.Hash]time.Time
	deaf  bool // answers nothing
	held  *held
}

func newWorld(t *testing.T, seed uint64, n int, link bed.Link, cfg CoreConfig) *world {
	w := &world{t: t, sim: bed.NewSim(seed), sent: map[string]int{}, born: map[chain.Hash]time.Time{}}
	w.fabric = w.sim.Fabric(bed.Config{Link: link})
	for i := range n {
		nd := &node{
			w: w, id: peer.ID(string(rune('A'+i/26)) + string(rune('a'+i%26))), addr: netip.AddrFrom4([4]byte{203, 0, byte(i), 1}),
			pool: map[chain.Hash]Tx{}, pipes: map[peer.ID]func(int, func(*node)){}, asks: map[chain.Hash]int{}, had: map[chain.Hash]time.Time{}, held: newHeld(),
		}
		cfg.Rand = w.sim.Fork(string(nd.id))
		nd.core = NewCore(cfg)
		nd.drive = bed.Drive[Event, Effect](w.sim, nd.core, Tick{}, nd.do)
		nd.drive.Send(Gate{true})
		w.nodes = append(w.nodes, nd)
	}
	return w
}

// connect makes a link.
func (w *world) connect(a, b *node) {
	if a == b || a.pipes[b.id] != nil {
		return
	}
	for _, p := range [][2]*node{{a, b}, {b, a}} {
		from, to := p[0], p[1]
		pipe := w.fabric.Pipe(from.addr, to.addr)
		from.pipes[to.id] = func(bytes int, arrive func(*node)) { pipe.Send(bytes, func() { arrive(to) }) }
		from.drive.Send(Joined{to.id})
	}
}

// mesh gives each node at least degree links.
func (w *world) mesh(degree int) {
	rng := w.sim.Fork("mesh")
	for i, a := range w.nodes {
		w.connect(a, w.nodes[(i+1)%len(w.nodes)])
		for len(a.pipes) < min(degree, len(w.nodes)-1) {
			w.connect(a, w.nodes[rng.IntN(len(w.nodes))])
		}
	}
}

// do carries out what a node's core wants.
func (n *node) do(e Effect) {
	const overhead = 40 // frame, MAC, list headers
	n.held.note(e)
	switch e := e.(type) {
	case ReadPending:
		n.drive.Send(Pending{To: e.To, Txs: n.list()})
	case Push:
		var txs []Tx
		size := overhead
		for _, h := range e.Hashes {
			txs = append(txs, n.pool[h])
			size += int(n.pool[h].Size)
			n.w.sent[string(n.id)+">"+string(e.To)+string(h[:])]++
		}
		n.pipes[e.To](size, func(to *node) { to.take(n.id, txs) })
		n.drive.Send(Sent{e.To, Pushes, false})
	case Announce:
		n.pipes[e.To](overhead+len(e.Txs)*announceBytes, func(to *node) {
			ev := Announced{From: n.id, Txs: e.Txs}
			for _, tx := range e.Txs {
				if _, ok := to.pool[tx.Hash]; ok {
					ev.Known = append(ev.Known, tx.Hash)
				}
			}
			to.drive.Send(ev)
		})
		n.drive.Send(Sent{e.To, Announces, false})
	case Fetch:
		for _, tx := range e.Txs {
			n.asks[tx.Hash]++
		}
		answered := false
		n.pipes[e.From](overhead+len(e.Txs)*33, func(to *node) {
			if to.deaf {
				return
			}
			var txs []Tx
			size := overhead
			for _, want := range e.Txs {
				if to.held.from(n.id, want.Hash) {
					to.w.t.Errorf("%s asks %s, which told it of a transaction and keeps it back", n.id, to.id)
				} else if tx, ok := to.pool[want.Hash]; ok {
					txs = append(txs, tx)
					size += int(tx.Size)
					to.w.sent[string(to.id)+">"+string(n.id)+string(tx.Hash[:])]++
				}
			}
			to.pipes[n.id](size, func(*node) {
				if answered {
					return
				}
				answered = true
				n.take(to.id, txs)
				ev := Fetched{From: to.id}
				for _, tx := range txs {
					ev.Got = append(ev.Got, tx.TxID)
				}
				n.drive.Send(ev)
			})
		})
		n.w.sim.After(FetchTimeout, func() {
			if !answered {
				answered = true
				n.drive.Send(Fetched{From: e.From, Failed: true, Silent: true})
			}
		})
	case Charge:
		if !n.w.deafOne(e.Peer) {
			n.w.t.Errorf("%s charged %s: %s %s", n.id, e.Peer, e.Offense, e.Detail)
		}
	case PushBlock, AnnounceBlock:
	}
}

func (w *world) deafOne(id peer.ID) bool {
	return slices.ContainsFunc(w.nodes, func(n *node) bool { return n.id == id && n.deaf })
}

func (n *node) list() (out []wire.TxID) {
	for _, tx := range n.pool {
		out = append(out, tx.TxID)
	}
	slices.SortFunc(out, func(a, b wire.TxID) int { return slices.Compare(a.Hash[:], b.Hash[:]) })
	return out
}

// take offers transactions to the pool.
func (n *node) take(from peer.ID, txs []Tx) {
	var fresh []Tx
	seen := Seen{From: from}
	for _, tx := range txs {
		seen.Hashes = append(seen.Hashes, tx.Hash)
		if _, ok := n.pool[tx.Hash]; ok {
			continue
		}
		n.pool[tx.Hash] = tx
		n.had[tx.Hash] = n.w.sim.Now()
		fresh = append(fresh, tx)
	}
	n.drive.Send(seen)
	if len(fresh) > 0 {
		n.drive.Send(Added{fresh})
	}
}

// makeTx draws a transaction.
func makeTx(rng *rand.Rand, size uint32, senders int) Tx {
	var h chain.Hash
	binary.BigEndian.PutUint64(h[:], rng.Uint64())
	binary.BigEndian.PutUint64(h[8:], rng.Uint64())
	return Tx{wire.TxID{Hash: h, Kind: 2, Size: size}, string(rune('0' + rng.IntN(senders)))}
}

// load has random nodes make a transaction every step, count times.
func (w *world) load(count int, step time.Duration, size uint32) {
	rng := w.sim.Fork("load")
	for i := range count {
		tx, at := makeTx(rng, size, 50), w.nodes[rng.IntN(len(w.nodes))]
		w.sim.After(time.Duration(i)*step, func() {
			w.born[tx.Hash] = w.sim.Now()
			at.take("", []Tx{tx})
		})
	}
}

// sentOnce checks that nobody asked for a body twice, and that none went twice
// over a link.
func (w *world) sentOnce(policy string) {
	w.t.Helper()
	for link, n := range w.sent {
		if n > 1 {
			w.t.Fatalf("%s: a body went %d times over link %.5s", policy, n, link)
		}
	}
	for _, n := range w.nodes {
		for h, asks := range n.asks {
			if asks > 1 {
				w.t.Fatalf("%s: %s asked for %s %d times", policy, n.id, h.Short(), asks)
			}
		}
	}
}

// missing counts the deliveries that did not happen.
func (w *world) missing() (n int) {
	for _, nd := range w.nodes {
		for h := range w.born {
			if _, ok := nd.pool[h]; !ok && !nd.deaf {
				n++
			}
		}
	}
	return n
}

// received is the mean of bytes that a node took in.
func (w *world) received() float64 {
	var sum uint64
	for _, n := range w.nodes {
		sum += w.fabric.Traffic(n.addr).Received
	}
	return float64(sum) / float64(len(w.nodes))
}

// delays gives how long each delivery took, sorted.
func (w *world) delays() (out []time.Duration) {
	for _, n := range w.nodes {
		for h, at := range n.had {
			out = append(out, at.Sub(w.born[h]))
		}
	}
	slices.Sort(out)
	return out
}
