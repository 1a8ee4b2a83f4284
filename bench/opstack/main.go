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
)

// options are what a measurement is of.
type options struct {
	rounds       int
	blocks, size int // of the gap
	steady       int // blocks of op-node's gap
	requests     int // of the innocent peer; op-node has a twentieth of them beside a crowd
	messages     int // of gossip, of 200 transactions each
	slow         bool
	profile      string
	into         string
}

func main() {
	o := options{}
	flag.IntVar(&o.rounds, "rounds", 5, "how often each is measured, in turn")
	flag.IntVar(&o.blocks, "blocks", 2000, "blocks of the gap")
	flag.IntVar(&o.size, "size", 50<<10, "bytes of a block")
	flag.IntVar(&o.steady, "steady", 300, "blocks of op-node's gap")
	flag.IntVar(&o.requests, "requests", 100, "requests of the innocent peer")
	flag.IntVar(&o.messages, "messages", 200, "gossiped blocks")
	flag.BoolVar(&o.slow, "slow", true, "measure op-node's server and sync client too, which takes minutes")
	flag.StringVar(&o.profile, "profile", "", "a file for a CPU profile of the last gap filling of ours")
	flag.StringVar(&o.into, "write", "", "a document to write the report into")
	flag.Parse()
	if o.rounds < 1 || o.blocks < 1 || o.requests < 1 || o.messages < 1 || flag.NArg() > 0 {
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
	rounds, err := measure(ctx, o, os.Stdout)
	if err != nil {
		return err
	}
	text := result(o, rounds)
	fmt.Print("\n", text, "\n")
	if o.into == "" {
		return nil
	}
	return report.Write(o.into, begin, text)
}

// round is one of each kind: delays in milliseconds, times in seconds and of one
// message in microseconds, a pace in blocks a second. CPU has the same figures
// in processor time.
type round struct {
	times
	CPU                            times
	Idle, Beside, OpIdle, OpBeside float64
	OpPace                         float64
}

// times are those of a round that are measured in both ways.
type times struct {
	Fill, Raw, One, Seven, OpOne, OpSeven float64
}

// place is where a measurement takes place.
type place struct {
	options
	dir              string
	server, client   string // programs of op-node
	gap              source
	idleOps, crowded int // requests of the innocent peer to op-node
}

// measure runs all rounds in a folder of its own and tells of each.
func measure(ctx context.Context, o options, tell io.Writer) (rounds []round, err error) {
	l := &place{options: o, idleOps: max(o.requests/5, 1), crowded: max(o.requests/20, 1)}
	if l.dir, err = os.MkdirTemp("", "starling-bench-"); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(l.dir)) }()
	if l.server, err = lab.Build(ctx, l.dir, newest); err != nil {
		return nil, err
	}
	if l.client, err = lab.Build(ctx, l.dir, withSync); err != nil {
		return nil, err
	}
	if l.gap, err = generate(filepath.Join(l.dir, "source"), o.blocks, o.size); err != nil {
		return nil, err
	}
	for i := range o.rounds + 1 { // the first does not count
		r, err := l.round(ctx, i > 0)
		if err != nil {
			return nil, fmt.Errorf("round %d: %w", i, err)
		}
		fmt.Fprintf(tell, "round %d: p95 idle %.1f ms, beside a crowd %.1f ms (op-node %.1f, %.0f ms); gap %.3f s, raw %.3f s, op-node %.2f blocks/s; a message %.0f µs, seven %.0f µs (op-node %.0f, %.0f µs); in processor time gap %.3f s, raw %.3f s, %.0f and %.0f µs (%.0f, %.0f µs)\n",
			i, r.Idle, r.Beside, r.OpIdle, r.OpBeside, r.Fill, r.Raw, r.OpPace, r.One, r.Seven, r.OpOne, r.OpSeven,
			r.CPU.Fill, r.CPU.Raw, r.CPU.One, r.CPU.Seven, r.CPU.OpOne, r.CPU.OpSeven)
		if i > 0 {
			rounds = append(rounds, r)
		}
	}
	return rounds, nil
}

// round measures each kind once; without all only what is quick.
func (l *place) round(ctx context.Context, all bool) (r round, err error) {
	if err := l.fills(ctx, &r, all); err != nil {
		return r, fmt.Errorf("gap: %w", err)
	}
	op, err := startOpNode(l.server, l.gap.network.Genesis.Time, 300, 10)
	if err != nil {
		return r, err
	}
	defer op.Stop()
	msgs, file, err := messages(l.dir, l.messages, 200, 200*250)
	if err != nil {
		return r, err
	}
	for _, k := range []struct {
		copies             int
		ours, op           *float64
		oursInCPU, opInCPU *float64
	}{{1, &r.One, &r.OpOne, &r.CPU.One, &r.CPU.OpOne}, {7, &r.Seven, &r.OpSeven, &r.CPU.Seven, &r.CPU.OpSeven}} {
		runtime.GC()
		if _, err := judge(l.gap.network, msgs, k.copies); err != nil { // both are warm
			return r, err
		}
		if _, err := judgeOpNode(op, file, len(msgs), k.copies); err != nil {
			return r, err
		}
		runtime.GC()
		d, err := judge(l.gap.network, msgs, k.copies)
		if err != nil {
			return r, err
		}
		theirs, err := judgeOpNode(op, file, len(msgs), k.copies)
		if err != nil {
			return r, err
		}
		*k.ours, *k.oursInCPU = d.micros()
		*k.op, *k.opInCPU = theirs.micros()
	}
	if !all {
		return r, nil
	}
	if err := l.crowds(ctx, &r, op); err != nil {
		return r, fmt.Errorf("crowd: %w", err)
	}
	return r, nil
}

// fills measures how a gap is filled.
func (l *place) fills(ctx context.Context, r *round, all bool) (err error) {
	server, err := runNode(l.gap.dir, l.gap.network, 0, false)
	if err != nil {
		return err
	}
	dir := filepath.Join(l.dir, "copy")
	stop, err := lab.Profile(l.profile)
	if err != nil {
		return errors.Join(err, server.Stop())
	}
	unix.Sync()
	runtime.GC()
	took, imports, err := fill(ctx, dir, server.addr(), l.gap)
	if err = errors.Join(err, stop(), server.Stop()); err != nil {
		return err
	}
	unix.Sync()
	runtime.GC()
	plain, err := fillRaw(ctx, dir, l.gap, imports)
	if err != nil {
		return fmt.Errorf("baseline: %w", err)
	}
	r.Fill, r.CPU.Fill = took.seconds()
	r.Raw, r.CPU.Raw = plain.seconds()
	if all && l.slow {
		r.OpPace, err = fillOpNode(ctx, l.client, l.server, l.steady, l.size)
	}
	return err
}

// crowds measures what a neighbour costs.
func (l *place) crowds(ctx context.Context, r *round, op *opNode) (err error) {
	node, err := runNode(l.gap.dir, l.gap.network, 0, true)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, node.Stop()) }()
	for _, k := range []struct {
		addr     string
		requests int
		beside   bool
		into     *float64
		skip     bool
	}{
		{node.addr(), l.requests, false, &r.Idle, false},
		{op.said.Addrs[0], l.idleOps, false, &r.OpIdle, !l.slow},
		{node.addr(), l.requests, true, &r.Beside, false},
		{op.said.Addrs[0], l.crowded, true, &r.OpBeside, !l.slow},
	} {
		if k.skip {
			continue
		}
		limit, cancel := context.WithTimeout(ctx, 10*time.Minute)
		d, err := delays(limit, k.addr, k.requests, k.beside)
		cancel()
		if err != nil {
			return err
		}
		*k.into = float64(d.Microseconds()) / 1000
	}
	return nil
}
