package devnet

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/starlingp2p/starling/internal/daemon"
	"github.com/starlingp2p/starling/internal/rpc"
)

// Options say what a network is like. Zero fields take defaults.
type Options struct {
	Nodes         int           // the sequencer included; 0: 5
	Dir           string        // where the datadirs go; it must exist
	BlockInterval time.Duration // 0: 1 s
	Binary        string        // the starling program; needed unless InProcess
	Env           []string      // added to the environment of child processes
	InProcess     bool          // run nodes as goroutines instead of processes
	Accounts      int           // funded accounts for load; 0: 8
	// OnEvent gets what nodes print, from several goroutines. Nil: nobody.
	OnEvent func(node int, ev daemon.Event)
	// Edit changes a node's config before it is written. Nil: nobody does.
	Edit func(node int, cfg *daemon.Config)
}

// Net is a network whose nodes can be started and ended. Node 0 is the
// sequencer and everybody's seed.
type Net struct {
	opts     Options
	nodes    []*Node
	accounts []ed25519.PrivateKey
	bans     atomic.Int64 // that any node made in any of its runs
}

// New makes keys, datadirs and config files for a network. It starts nothing.
func New(o Options) (*Net, error) {
	if o.Nodes == 0 {
		o.Nodes = 5
	}
	if o.Nodes < 1 || o.Nodes > 64 {
		return nil, fmt.Errorf("devnet: %d nodes, want 1 to 64", o.Nodes)
	}
	if o.BlockInterval == 0 {
		o.BlockInterval = time.Second
	}
	if o.Accounts == 0 {
		o.Accounts = 8
	}
	if o.OnEvent == nil {
		o.OnEvent = func(int, daemon.Event) {}
	}
	_, sequencer, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("devnet: %w", err)
	}
	n := &Net{opts: o}
	alloc := make(map[string]uint64, o.Accounts)
	for range o.Accounts {
		pub, key, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return nil, fmt.Errorf("devnet: %w", err)
		}
		n.accounts = append(n.accounts, key)
		alloc[hex.EncodeToString(pub)] = 1_000_000_000
	}
	spec := daemon.Sequenced{
		Sequencer:     hex.EncodeToString(sequencer.Public().(ed25519.PublicKey)),
		GenesisTime:   time.Now().UTC().Truncate(time.Millisecond),
		BlockInterval: daemon.Duration(o.BlockInterval),
		Alloc:         alloc,
	}
	for i := range o.Nodes {
		cfg := daemon.Config{
			ConfigVersion: daemon.ConfigVersion,
			LogLevel:      "info",
			LogFormat:     "json",
			RPC:           daemon.RPC{Listen: "127.0.0.1:0"},
			Networks: []daemon.Network{{
				Name: "dev", Wire: "native", Listen: []string{"/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"},
				AllowPrivate: true, DiscoveryInterval: daemon.Duration(5 * time.Second), Sequenced: spec,
			}},
		}
		if o.Edit != nil {
			o.Edit(i, &cfg)
		}
		var key ed25519.PrivateKey
		if i == 0 {
			key = sequencer
		}
		dir := filepath.Join(o.Dir, fmt.Sprintf("node%d", i+1))
		if err := rpc.CheckPath(daemon.SocketPath(dir)); err != nil {
			return nil, err
		}
		if err := daemon.Init(dir, cfg, key); err != nil {
			return nil, err
		}
		n.nodes = append(n.nodes, &Node{net: n, index: i, dir: dir})
	}
	return n, nil
}

// Node gives node i.
func (n *Net) Node(i int) *Node { return n.nodes[i] }

// Len is the number of nodes, running or not.
func (n *Net) Len() int { return len(n.nodes) }

// Stop stops every node that runs, the sequencer last.
func (n *Net) Stop() error {
	var (
		wg   sync.WaitGroup
		errs = make([]error, len(n.nodes))
	)
	for i, node := range n.nodes[1:] {
		wg.Go(func() { errs[i] = node.Stop() })
	}
	wg.Wait()
	return errors.Join(errors.Join(errs...), n.nodes[0].Stop())
}

// event takes what a node prints.
func (n *Net) event(node int, ev daemon.Event) {
	if ev.Event == daemon.EventBan {
		n.bans.Add(1)
	}
	n.opts.OnEvent(node, ev)
}

// Bans is how many bans the nodes have made since the start, those of runs that
// have ended included.
func (n *Net) Bans() int { return int(n.bans.Load()) }

// seed puts the sequencer's addresses into the config of a follower.
func (n *Net) seed(follower *Node) error {
	addrs := n.nodes[0].Addrs()
	if follower.index == 0 || len(addrs) == 0 {
		return nil
	}
	return follower.edit(func(cfg *daemon.Config) { cfg.Networks[0].Seeds = addrs })
}

// runner is one run of a node.
type runner interface {
	await(ctx context.Context) error
	stop() error
	kill()
	ready() daemon.Event // the ready event; valid once await gave nil
	lastAcked() uint64
	gone() <-chan struct{}
}

// Node is a member of a Net, running or not.
type Node struct {
	net   *Net
	index int
	dir   string

	mu  sync.Mutex
	run runner // nil: never started
	up  bool
}

// Name is "node1" for the first.
func (n *Node) Name() string { return filepath.Base(n.dir) }

// Dir is the node's datadir.
func (n *Node) Dir() string { return n.dir }

// ConfigPath is the node's config file.
func (n *Node) ConfigPath() string { return filepath.Join(n.dir, "config.toml") }

// Start starts the node and blocks until it is ready. The first start fixes
// its ports, so that it comes back at the same addresses.
func (n *Node) Start(ctx context.Context) error {
	if n.Running() {
		return fmt.Errorf("devnet: %s runs already", n.Name())
	}
	if err := n.net.seed(n); err != nil {
		return err
	}
	var (
		run runner
		err error
		on  = func(ev daemon.Event) { n.net.event(n.index, ev) }
	)
	if n.net.opts.InProcess {
		run, err = startInProcess(n.ConfigPath(), on)
	} else {
		run, err = startProcess(n.net.opts.Binary, n.ConfigPath(), n.net.opts.Env, on)
	}
	if err != nil {
		return err
	}
	n.mu.Lock()
	n.run, n.up = run, true
	n.mu.Unlock()
	if err := run.await(ctx); err != nil {
		n.Kill()
		return fmt.Errorf("devnet: %s: %w", n.Name(), err)
	}
	return n.pin(run.ready().Addrs)
}

// pin writes the ports that the node got into its config.
func (n *Node) pin(addrs []string) error {
	return n.edit(func(cfg *daemon.Config) {
		var listen []string
		for _, a := range addrs {
			listen = append(listen, withoutPeer(a))
		}
		cfg.Networks[0].Listen = listen
	})
}

// edit rewrites the node's config file.
func (n *Node) edit(change func(*daemon.Config)) error {
	cfg, err := daemon.LoadConfig(n.ConfigPath())
	if err != nil {
		return err
	}
	cfg.Datadir = ""
	change(&cfg)
	raw, err := cfg.Encode()
	if err != nil {
		return err
	}
	if err := os.WriteFile(n.ConfigPath(), raw, 0o600); err != nil {
		return fmt.Errorf("devnet: %w", err)
	}
	return nil
}

// Running reports whether the node was started and neither stopped nor killed.
func (n *Node) Running() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.up
}

// Addrs is where the node listened when it last became ready.
func (n *Node) Addrs() []string {
	if r := n.current(); r != nil {
		return r.ready().Addrs
	}
	return nil
}

// RPC is where the node's JSON-RPC was over HTTP when it last became ready.
func (n *Node) RPC() string {
	if r := n.current(); r != nil {
		return r.ready().RPC
	}
	return ""
}

// Acked is the number of the last head that the node acknowledged.
func (n *Node) Acked() uint64 {
	if r := n.current(); r != nil {
		return r.lastAcked()
	}
	return 0
}

// Gone is closed when the node's current run has ended.
func (n *Node) Gone() <-chan struct{} { return n.current().gone() }

func (n *Node) current() runner {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.run
}

// take gives the run to end, if there is one that has not been ended.
func (n *Node) take() runner {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.up {
		return nil
	}
	n.up = false
	return n.run
}

// Kill ends the node at once, without a word. A node that runs in this process
// can't be killed: it is stopped.
func (n *Node) Kill() {
	if r := n.take(); r != nil {
		r.kill()
	}
}

// Stop asks the node to stop and blocks until it has.
func (n *Node) Stop() error {
	r := n.take()
	if r == nil {
		return nil
	}
	if err := r.stop(); err != nil {
		return fmt.Errorf("%s: %w", n.Name(), err)
	}
	return nil
}

// Stderr is the end of what the node wrote to its standard error; empty for
// one that runs in this process.
func (n *Node) Stderr() string {
	if p, ok := n.current().(*process); ok {
		return p.stderr.String()
	}
	return ""
}

// Reopened is the number of the head with which the node last started.
func (n *Node) Reopened() uint64 {
	if r := n.current(); r != nil {
		return r.ready().Number
	}
	return 0
}
