package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"github.com/starlingp2p/starling/bench/internal/lab"
	"github.com/starlingp2p/starling/bench/internal/report"
	family "github.com/starlingp2p/starling/ledger/ontology"
	"github.com/starlingp2p/starling/wire/ontology/codec"
)

// options are what a measurement is of.
type options struct {
	rounds    int
	blocks    int // empty ones
	full, txs int // blocks with transactions, and how many in each
	profile   string
	slow      bool // v1.0.0's own downloads too
	into      string
	told      int // messages to each session beside a stalled one; 0: none
}

func main() {
	o := options{}
	flag.IntVar(&o.rounds, "rounds", 5, "how often each is measured, in turn")
	flag.IntVar(&o.blocks, "blocks", 20000, "empty blocks to sync")
	flag.IntVar(&o.full, "full", 2000, "blocks with transactions to sync")
	flag.IntVar(&o.txs, "txs", 100, "transactions in each of those")
	flag.BoolVar(&o.slow, "slow", true, "have v1.0.0 download too, which takes minutes")
	flag.IntVar(&o.told, "told", 400, "messages to each session beside a stalled peer; 0: not measured")
	flag.StringVar(&o.profile, "profile", "", "a file for a CPU profile of Starling's last sync")
	flag.StringVar(&o.into, "write", "", "a document to write the report into")
	flag.Parse()
	if o.rounds < 1 || o.blocks < 1 || flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	m, err := measure(ctx, o, os.Stdout)
	if err != nil {
		return err
	}
	text := m.report(o)
	fmt.Print("\n", text, "\n")
	if o.into == "" {
		return nil
	}
	return report.Write(o.into, begin, text)
}

// round is one of each kind, in seconds.
type round struct{ Bare, Overlapped, Starling, V1, Served float64 }

// stalls are the 99th of a hundred delays, in milliseconds.
type stalls struct{ Idle, Beside float64 }

// measured is all that was found.
type measured struct {
	empty, full []round
	stalls      []stalls
}

// place is where a measurement takes place.
type place struct {
	options
	dir, binary string
	network     family.Network
	genesis     codec.Hash
	tell        io.Writer
	nonce       uint64
}

// measure runs all rounds in a folder of its own and tells of each.
func measure(ctx context.Context, o options, tell io.Writer) (m measured, err error) {
	l := &place{options: o, tell: tell}
	if l.dir, err = os.MkdirTemp("", "starling-bench-"); err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(l.dir)) }()
	if l.binary, err = lab.Build(ctx, l.dir, "ontology-1.0.0"); err != nil {
		return m, err
	}
	if l.network, err = network(); err != nil {
		return m, err
	}
	g, err := family.Genesis(l.network)
	if err != nil {
		return m, err
	}
	l.genesis = g.Header.Hash
	if m.empty, m.stalls, err = l.chain(ctx, "empty", o.blocks, 0); err != nil || o.full == 0 {
		return m, err
	}
	m.full, _, err = l.chain(ctx, "full", o.full, o.txs)
	return m, err
}

// chain measures with one chain and one real server of it.
func (l *place) chain(ctx context.Context, name string, blocks, txs int) (rounds []round, ss []stalls, err error) {
	began := time.Now()
	server, err := startV1(l.binary, filepath.Join(l.dir, name), map[string]any{"height": blocks, "txs": txs})
	if err != nil {
		return nil, nil, err
	}
	defer server.Stop()
	if server.said.Genesis != l.genesis.String() {
		return nil, nil, fmt.Errorf("bench: its genesis is %s, ours %s", server.said.Genesis, l.genesis)
	}
	fmt.Fprintf(l.tell, "%s: %d blocks of %d transactions, made in %v\n", name, blocks, txs, time.Since(began).Round(time.Second))
	for i := range l.rounds + 1 { // the first does not count
		r, s, err := l.round(ctx, server.addr, blocks, txs == 0, i > 0)
		if err != nil {
			return nil, nil, fmt.Errorf("%s, round %d: %w", name, i, err)
		}
		rate := func(seconds float64) string {
			if seconds == 0 {
				return "-"
			}
			return fmt.Sprintf("%.0f", float64(blocks)/seconds)
		}
		fmt.Fprintf(l.tell, "%s, round %d, blocks/s: bare %s (overlapped %s), starling %s, v1.0.0's own %s; bare from starling %s; p99 idle %.2f ms, beside a stalled peer %.2f ms\n",
			name, i, rate(r.Bare), rate(r.Overlapped), rate(r.Starling), rate(r.V1), rate(r.Served), s.Idle, s.Beside)
		if i > 0 {
			rounds, ss = append(rounds, r), append(ss, s)
		}
	}
	return rounds, ss, nil
}

// round measures each kind once.
func (l *place) round(ctx context.Context, addr string, blocks int, stall, slow bool) (r round, s stalls, err error) {
	took := func(into *float64, f func() (time.Duration, error)) error {
		unix.Sync()
		runtime.GC()
		d, err := f()
		*into = d.Seconds()
		return err
	}
	dir := filepath.Join(l.dir, "starling")
	bareFrom := func(addr string, overlap bool) func() (time.Duration, error) {
		return func() (time.Duration, error) {
			l.nonce++
			return fetchBare(ctx, addr, l.genesis, blocks, overlap, l.nonce)
		}
	}
	for _, of := range []struct {
		overlap bool
		into    *float64
	}{{false, &r.Bare}, {true, &r.Overlapped}} {
		if err := took(of.into, bareFrom(addr, of.overlap)); err != nil {
			return r, s, fmt.Errorf("bare client: %w", err)
		}
	}
	err = took(&r.Starling, func() (time.Duration, error) {
		stop, err := lab.Profile(l.profile)
		if err != nil {
			return 0, err
		}
		d, err := syncNode(ctx, dir, addr, l.network, blocks)
		return d, errors.Join(err, stop())
	})
	if err != nil {
		return r, s, fmt.Errorf("starling: %w", err)
	}
	if l.slow && slow {
		err = took(&r.V1, func() (time.Duration, error) {
			return download(ctx, l.binary, filepath.Join(l.dir, "copy"), addr, blocks)
		})
		if err != nil {
			return r, s, fmt.Errorf("v1.0.0's download: %w", err)
		}
	}
	node, err := runNode(dir, l.network)
	if err != nil {
		return r, s, err
	}
	defer func() { err = errors.Join(err, node.Stop()) }()
	if err := took(&r.Served, bareFrom(node.addr, false)); err != nil {
		return r, s, fmt.Errorf("bare client, from starling: %w", err)
	}
	if !stall || l.told == 0 {
		return r, s, nil
	}
	for _, of := range []struct {
		stalled bool
		into    *float64
	}{{false, &s.Idle}, {true, &s.Beside}} {
		d, err := delivery(ctx, node, l.genesis, l.told, of.stalled)
		if err != nil {
			return r, s, fmt.Errorf("delivery, stalled %v: %w", of.stalled, err)
		}
		*of.into = float64(d.Microseconds()) / 1000
	}
	return r, s, nil
}
