package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/starlingp2p/starling/internal/daemon"
	"github.com/starlingp2p/starling/internal/rpc"
)

// rpcRound is one sync of a daemon alone, and one with hostile clients at its
// RPC.
type rpcRound struct{ Alone, Beset float64 } // seconds

// hostileClients is how many of them there are.
const hostileClients = 50

// measureRPC syncs a fresh daemon from another, in turn alone and with hostile
// clients that do to its RPC all that they can.
func measureRPC(ctx context.Context, o options, tell io.Writer) (rounds []rpcRound, err error) {
	dir, err := os.MkdirTemp("", "sb")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	source := filepath.Join(dir, "s")
	if err := datadir(source); err != nil {
		return nil, err
	}
	src, err := generate(filepath.Join(source, "chain"), o.blocks, o.size)
	if err != nil {
		return nil, err
	}
	server, err := spawn(ctx, job{Role: roleDaemon, Dir: source})
	if err != nil {
		return nil, err
	}
	defer func() {
		_, serr := server.end()
		err = errors.Join(err, serr)
	}()
	up, err := server.next()
	if err != nil {
		return nil, err
	}
	sync := func(beset bool) (float64, error) {
		return syncDaemon(ctx, filepath.Join(dir, "c"), job{Role: roleDaemon, Head: src.Head, Addr: up.Addr}, beset)
	}
	warm := 0
	if o.warm {
		warm = 1
	}
	for n := range o.rounds + warm {
		var r rpcRound
		if r.Alone, err = sync(false); err != nil {
			return nil, fmt.Errorf("round %d, alone: %w", n+1, err)
		}
		if r.Beset, err = sync(true); err != nil {
			return nil, fmt.Errorf("round %d, with hostile clients: %w", n+1, err)
		}
		if n < warm {
			continue
		}
		rounds = append(rounds, r)
		fmt.Fprintf(tell, "rpc round %d: alone %.3f s, with %d hostile clients %.3f s, ratio %.2f\n", len(rounds), r.Alone, hostileClients, r.Beset, r.Beset/r.Alone)
	}
	return rounds, nil
}

// datadir makes the datadir of a daemon in the network of family.
func datadir(dir string) error {
	f, err := family()
	if err != nil {
		return err
	}
	c, alloc := f.Config(), map[string]uint64{}
	for a, amount := range c.Alloc {
		alloc[a.String()] = amount
	}
	err = daemon.Init(dir, daemon.Config{
		ConfigVersion: daemon.ConfigVersion, LogLevel: "error", RPC: daemon.RPC{Listen: "127.0.0.1:0"},
		Networks: []daemon.Network{{
			Name: c.Network, Listen: []string{"/ip4/127.0.0.1/tcp/0"}, AllowPrivate: true, NoDiscovery: true, Limits: daemon.Limits{NoBudgets: true},
			Sequenced: daemon.Sequenced{Sequencer: hex.EncodeToString(sequencerKey().Public().(ed25519.PublicKey)), GenesisTime: c.GenesisTime, Alloc: alloc},
		}},
	}, nil)
	if err != nil {
		return err
	}
	d, err := daemon.OpenDatadir(dir) // which makes it a datadir before a chain is put into it
	if err != nil {
		return err
	}
	return d.Close()
}

// syncDaemon starts a fresh daemon, and hostile clients if it is to be beset,
// has it dial the source, and gives the seconds until it has the whole chain.
func syncDaemon(ctx context.Context, dir string, j job, beset bool) (seconds float64, err error) {
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := datadir(dir); err != nil {
		return 0, err
	}
	source := j.Addr
	j.Dir, j.Addr = dir, ""
	node, err := spawn(ctx, j)
	if err != nil {
		return 0, err
	}
	defer func() {
		_, nerr := node.end()
		err = errors.Join(err, nerr)
	}()
	up, err := node.next()
	if err != nil {
		return 0, err
	}
	if beset {
		hostile, err := spawn(ctx, job{Role: roleHostile, Addr: up.RPC})
		if err != nil {
			return 0, err
		}
		defer hostile.end()
		if _, err := hostile.next(); err != nil {
			return 0, err
		}
	}
	c, err := rpc.Dial(ctx, daemon.SocketPath(dir))
	if err != nil {
		return 0, err
	}
	defer c.Close()
	began := time.Now()
	if err := c.Call(ctx, "starling_connect", nil, source); err != nil {
		return 0, err
	}
	got, err := node.next()
	if err != nil {
		return 0, err
	}
	if got.Result == nil {
		return 0, errors.New("bench: a daemon gave no result")
	}
	return time.Since(began).Seconds(), nil
}

// runDaemon runs the daemon in job.Dir until ctx ends. With a goal it tells
// when its head has come there.
func runDaemon(ctx context.Context, j job, tell func(reply)) error {
	cfg, err := daemon.LoadConfig(filepath.Join(j.Dir, "config.toml"))
	if err != nil {
		return err
	}
	reached := false // events come from one goroutine
	return daemon.Run(ctx, cfg, daemon.Output{OnEvent: func(ev daemon.Event) {
		switch {
		case ev.Event == daemon.EventReady:
			tell(reply{Addr: ev.Addrs[0], RPC: ev.RPC})
		case ev.Event == daemon.EventHead && j.Head.Number > 0 && ev.Number >= j.Head.Number && !reached:
			reached = true
			tell(reply{Result: &result{}})
		}
	}})
}

// rpcReport is the result as Markdown.
func rpcReport(o options, rounds []rpcRound) string {
	var b bytes.Buffer
	of := func(f func(rpcRound) float64) spread {
		xs := make([]float64, len(rounds))
		for i, r := range rounds {
			xs[i] = f(r)
		}
		return spreadOf(xs)
	}
	alone, beset := of(func(r rpcRound) float64 { return r.Alone }), of(func(r rpcRound) float64 { return r.Beset })
	fmt.Fprintf(&b, "%d blocks of %d bytes, %d rounds, on %s: %d cores for all processes, %s %s/%s.\n\n",
		o.blocks, o.size, len(rounds), time.Now().UTC().Format("2006-01-02"), runtime.NumCPU(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	fmt.Fprintf(&b, "**Ratio, median over median: %.2f.**\n\n", beset.median/alone.median)
	fmt.Fprintf(&b, "| seconds | least | median | greatest |\n|---|---|---|---|\n")
	fmt.Fprintf(&b, "| alone | %.2f | %.2f | %.2f |\n", alone.min, alone.median, alone.max)
	fmt.Fprintf(&b, "| with %d hostile clients | %.2f | %.2f | %.2f |\n", hostileClients, beset.min, beset.median, beset.max)
	ratio := of(func(r rpcRound) float64 { return r.Beset / r.Alone })
	fmt.Fprintf(&b, "\nRound by round the ratio was %.2f to %.2f.\n", ratio.min, ratio.max)
	return b.String()
}
