package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"time"

	"github.com/starlingp2p/starling/bench/internal/report"
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
	b := besieged{binary: filepath.Join(dir, "starling"), dir: filepath.Join(dir, "c")}
	build := exec.CommandContext(ctx, "go", "build", "-o", b.binary, "./cmd/starling")
	build.Dir = ".."
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("bench: build of starling: %w: %s", err, out)
	}
	source := filepath.Join(dir, "s")
	server, err := b.start(ctx, source) // which makes the datadir
	if err == nil {
		err = server.end()
	}
	if err != nil {
		return nil, err
	}
	src, err := generate(filepath.Join(source, "chain"), o.blocks, o.size)
	if err != nil {
		return nil, err
	}
	if server, err = b.start(ctx, source); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, server.end()) }()
	b.source, b.goal = server.ready.Addrs[0], src.Head.Number
	warm := 0
	if o.warm {
		warm = 1
	}
	for n := range o.rounds + warm {
		var r rpcRound
		if r.Alone, err = b.sync(ctx, false); err != nil {
			return nil, fmt.Errorf("round %d, alone: %w", n+1, err)
		}
		if r.Beset, err = b.sync(ctx, true); err != nil {
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

// besieged is what the syncs of a measurement share.
type besieged struct {
	binary string
	dir    string // of the daemon that syncs; gone between two
	source string // the address of the one that serves
	goal   uint64
}

// start starts a daemon in the network of family, in a datadir that may be new.
func (b *besieged) start(ctx context.Context, dir string) (*daemon, error) {
	f, err := family()
	if err != nil {
		return nil, err
	}
	c := f.Config()
	var text bytes.Buffer
	fmt.Fprintf(&text, "config_version = 1\nlog_level = \"error\"\n[[network]]\nname = %q\n", c.Network)
	fmt.Fprintf(&text, "listen = [\"/ip4/127.0.0.1/tcp/0\"]\nallow_private = true\nno_discovery = true\n[network.limits]\nno_budgets = true\n")
	fmt.Fprintf(&text, "[network.sequenced]\nsequencer = \"%x\"\ngenesis_time = %s\n", []byte(sequencerKey().Public().(ed25519.PublicKey)), c.GenesisTime.Format(time.RFC3339))
	fmt.Fprintf(&text, "[network.sequenced.alloc]\n")
	for a, amount := range c.Alloc {
		fmt.Fprintf(&text, "%q = %d\n", a.String(), amount)
	}
	fmt.Fprintf(&text, "[rpc]\nlisten = \"127.0.0.1:0\"\n")
	config := filepath.Join(dir, "config.toml")
	err = os.MkdirAll(dir, 0o700)
	if err == nil {
		err = os.WriteFile(config, text.Bytes(), 0o600)
	}
	if err != nil {
		return nil, err
	}
	return startDaemon(ctx, b.binary, config)
}

// sync starts a fresh daemon, and hostile clients if it is to be beset, has it
// dial the source, and gives the seconds until it has the whole chain.
func (b *besieged) sync(ctx context.Context, beset bool) (seconds float64, err error) {
	defer func() { err = errors.Join(err, os.RemoveAll(b.dir)) }()
	node, err := b.start(ctx, b.dir)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, node.end()) }()
	if beset {
		hostile, err := spawn(ctx, job{Role: roleHostile, Addr: node.ready.RPC})
		if err != nil {
			return 0, err
		}
		defer hostile.end()
		if _, err := hostile.next(); err != nil {
			return 0, err
		}
	}
	began := time.Now()
	if err := node.connect(ctx, b.source); err != nil {
		return 0, err
	}
	if err := node.await(b.goal); err != nil {
		return 0, err
	}
	return time.Since(began).Seconds(), nil
}

// rpcReport is the result as Markdown.
func rpcReport(o options, rounds []rpcRound) string {
	var b bytes.Buffer
	of := func(f func(rpcRound) float64) report.Spread { return report.Each(rounds, f) }
	alone, beset := of(func(r rpcRound) float64 { return r.Alone }), of(func(r rpcRound) float64 { return r.Beset })
	fmt.Fprintf(&b, "%d blocks of %d bytes, %d rounds, on %s: %d cores for all processes, %s %s/%s.\n\n",
		o.blocks, o.size, len(rounds), time.Now().UTC().Format("2006-01-02"), runtime.NumCPU(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	fmt.Fprintf(&b, "**Ratio, median over median: %.2f.**\n\n", beset.Median/alone.Median)
	fmt.Fprintf(&b, "| seconds | least | median | greatest |\n|---|---|---|---|\n")
	fmt.Fprintf(&b, "| alone | %.2f | %.2f | %.2f |\n", alone.Min, alone.Median, alone.Max)
	fmt.Fprintf(&b, "| with %d hostile clients | %.2f | %.2f | %.2f |\n", hostileClients, beset.Min, beset.Median, beset.Max)
	ratio := of(func(r rpcRound) float64 { return r.Beset / r.Alone })
	fmt.Fprintf(&b, "\nRound by round the ratio was %.2f to %.2f.\n", ratio.Min, ratio.Max)
	return b.String()
}
