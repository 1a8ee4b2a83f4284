package scenario

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p"

	"github.com/starlingp2p/starling"
	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/chain/chaintest"
	"github.com/starlingp2p/starling/env"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/sim/bed"
	"github.com/starlingp2p/starling/wire/native"
)

// stopWithin is what a node has to stop.
const stopWithin = 5 * time.Second

// spec says what a node is like; the zero value is a node that knows nobody.
type spec struct {
	seeds, static []string
	toy           *chaintest.Chain // nil: an empty one
	wall          env.Wall         // nil: right
	handler       starling.Handler // nil: none
	hostile       bool             // its own view is not checked
	// over puts something over the chain; nil: nothing.
	over    func(*chaintest.Chain) chain.Chain
	peerDir string // empty: what it learns of peers is in memory only
	// config and wire change what the lab would have; nil: nothing.
	config func(*starling.Config)
	wire   func(*native.Config)
	// service registers something; nil: nothing.
	service func(*starling.Node) error
}

// node is a starling.Node on a host of the bed, over all its runs.
type node struct {
	spec
	lab  *lab
	i    int
	id   peer.ID
	host *bed.Host
	log  *log

	// Of the run at hand.
	up            bool
	client        *starling.Client
	cancel        context.CancelFunc
	done          chan error
	heard         chan struct{} // closed when the run's events have been read
	stopProducing func()
}

// run starts the node. It does not wait for anything.
func (n *node) run() {
	t := n.lab.t
	t.Helper()
	c := chain.Chain(n.toy)
	if n.over != nil {
		c = n.over(n.toy)
	}
	wcfg := native.Config{
		Status: c.Status, Key: bed.Key(uint64(n.i)), Wall: n.wall,
		Listen:        []string{bed.Multiaddr(n.host.Addr(), 0).String()},
		Libp2pOptions: []libp2p.Option{bed.Bubble(n.host, false)},
	}
	if n.wire != nil {
		n.wire(&wcfg)
	}
	w, err := native.New(wcfg)
	if err != nil {
		t.Fatal(err)
	}
	cfg := starling.Config{
		Seeds: n.seeds, Static: n.static, Wall: n.wall, BlockInterval: interval, Seed: uint64(n.i) + 1, PeerDir: n.peerDir,
	}
	if n.config != nil {
		n.config(&cfg)
	}
	sn, err := starling.New(cfg, c, w)
	if err != nil {
		t.Fatal(err)
	}
	if n.handler != nil {
		if err := sn.SetHandler(n.handler); err != nil {
			t.Fatal(err)
		}
	}
	if n.service != nil {
		if err := n.service(sn); err != nil {
			t.Fatal(err)
		}
	}
	var ctx context.Context
	ctx, n.cancel = context.WithCancel(context.Background())
	n.up, n.client, n.done, n.heard = true, sn.Client(), make(chan error, 1), make(chan struct{})
	n.stopProducing = func() {}
	sub := n.client.Subscribe(context.Background(), 4096)
	go func() {
		defer close(n.heard)
		for ev := range sub.C() {
			n.log.take(ev)
		}
		if lost := sub.Dropped(); lost > 0 {
			n.lab.t.Errorf("node %d: %d events were lost", n.i, lost)
		}
	}()
	go func() { n.done <- sn.Run(ctx) }()
}

// stop stops the node as its operator would and checks how it ends.
func (n *node) stop() {
	if !n.up {
		return
	}
	n.stopProducing()
	start := time.Now()
	n.cancel()
	if err := n.ended(); err != nil {
		n.lab.t.Errorf("node %d: Run = %v", n.i, err)
	}
	if took := time.Since(start); took > stopWithin {
		n.lab.t.Errorf("node %d took %v to stop, at most %v", n.i, took, stopWithin)
	}
}

func (n *node) ended() error {
	err := <-n.done
	n.up = false
	<-n.heard
	return err
}

// kill ends the node as kill -9 (Break) or a power cut (Silent) would: nobody
// hears from it again. Its chain and its peer folder are found as a crash
// leaves them.
func (n *node) kill(mode bed.Mode) {
	synctest.Wait() // nothing is being written
	kept := n.disk()
	n.host.Cut(mode)
	n.host.Kill(mode)
	n.stopProducing()
	n.cancel()
	if err := n.ended(); err != nil && !errors.Is(err, context.Canceled) {
		n.lab.t.Logf("node %d: Run = %v", n.i, err)
	}
	n.host.Restore()
	n.toy = n.toy.Reopen()
	for name := range n.disk() {
		if err := os.Remove(filepath.Join(n.peerDir, name)); err != nil {
			n.lab.t.Fatal(err)
		}
	}
	for name, b := range kept {
		if err := os.WriteFile(filepath.Join(n.peerDir, name), b, 0o600); err != nil {
			n.lab.t.Fatal(err)
		}
	}
}

// disk is what is in the peer folder, by file name.
func (n *node) disk() map[string][]byte {
	files := map[string][]byte{}
	if n.peerDir == "" {
		return files
	}
	entries, err := os.ReadDir(n.peerDir)
	if err != nil {
		n.lab.t.Fatal(err)
	}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(n.peerDir, e.Name()))
		if err != nil {
			n.lab.t.Fatal(err)
		}
		files[e.Name()] = b
	}
	return files
}

// move puts the node, which does not run, on another host.
func (n *node) move(host int) { n.host = n.lab.net.Host(addr(host)) }

// peers are the identities with which the node has a session.
func (n *node) peers() (out []peer.ID) {
	for _, p := range n.client.Peers() {
		out = append(out, p.Info.ID)
	}
	return out
}

func (n *node) has(other *node) bool { return slices.Contains(n.peers(), other.id) }

// entry is an event and when it came.
type entry struct {
	at time.Time
	ev starling.Event
}

// log is what a node told, over all its runs.
type log struct {
	began time.Time

	mu      sync.Mutex // a leaf
	entries []entry
	seen    map[chain.Ref]time.Time // blocks, when they were first heard of or imported
	submits map[chain.Ref]time.Time // blocks of its own
}

func newLog() *log {
	return &log{began: time.Now(), seen: map[chain.Ref]time.Time{}, submits: map[chain.Ref]time.Time{}}
}

func (g *log) take(ev starling.Event) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	switch ev := ev.(type) {
	case starling.BlockSeen:
		if _, ok := g.seen[ev.Ref]; !ok {
			g.seen[ev.Ref] = now
		}
		return
	case starling.HeadChanged:
		for _, r := range ev.Blocks {
			if _, ok := g.seen[r]; !ok {
				g.seen[r] = now
			}
		}
		return
	}
	g.entries = append(g.entries, entry{now, ev})
}

func (g *log) made(r chain.Ref, at time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.submits[r] = at
}

// last gives the last events in words.
func (g *log) last(count int) (out []string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, e := range g.entries[max(0, len(g.entries)-count):] {
		out = append(out, fmt.Sprintf("%v %T%+v", e.at.Sub(g.began), e.ev, e.ev))
	}
	return out
}

// events are those of one kind since a time, in order.
func events[E starling.Event](g *log, since time.Time) (out []E) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, e := range g.entries {
		if ev, ok := e.ev.(E); ok && !e.at.Before(since) {
			out = append(out, ev)
		}
	}
	return out
}

func (g *log) bans() []starling.PeerBanned { return events[starling.PeerBanned](g, time.Time{}) }

func (g *log) charges() []starling.PeerCharged { return events[starling.PeerCharged](g, time.Time{}) }
