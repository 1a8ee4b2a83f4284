package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/starlingp2p/starling/bench/internal/raw"
)

// options are what a measurement is of.
type options struct {
	rounds, blocks, size int
	warm                 bool   // a round before the first that does not count
	more                 bool   // the runs for information too
	profile              string // a directory, or empty
	check                bool   // compare what was stored with what was served
}

// run is one sync of a round.
type run struct {
	result
	ServeCPU float64
}

func (r run) String() string {
	return fmt.Sprintf("%.3f s (cpu %.2f + %.2f, storing %.2f in %d syncs)", r.Seconds, r.ServeCPU, r.CPU, r.Storing, len(r.Imports))
}

// round is one of each kind; the last two are for information.
type round struct {
	Starling, Raw, Ahead, Budgeted run
}

// measure runs all rounds in a directory of its own and tells of each.
func measure(ctx context.Context, o options, tell io.Writer) (rounds []round, err error) {
	dir, err := os.MkdirTemp("", "starling-bench-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	src, err := generate(filepath.Join(dir, "source"), o.blocks, o.size)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(tell, "%d blocks of %d bytes, %d bytes in the database\n", o.blocks, o.size, src.Bytes)
	if o.warm {
		if _, err := oneRound(ctx, o, dir, src); err != nil {
			return nil, err
		}
	}
	for n := range o.rounds {
		r, err := oneRound(ctx, o, dir, src)
		if err != nil {
			return nil, fmt.Errorf("round %d: %w", n+1, err)
		}
		rounds = append(rounds, r)
		fmt.Fprintf(tell, "round %d: starling %v, baseline %v, ratio %.2f", n+1, r.Starling, r.Raw, r.Starling.Seconds/r.Raw.Seconds)
		if o.more {
			fmt.Fprintf(tell, "; baseline ahead %.3f s, starling with budgets %.3f s", r.Ahead.Seconds, r.Budgeted.Seconds)
		}
		fmt.Fprintln(tell)
	}
	return rounds, nil
}

// oneRound measures each kind once, each into an empty directory.
func oneRound(ctx context.Context, o options, dir string, src source) (r round, err error) {
	node := func(budgets bool) (out run, err error) {
		return one(ctx, o, dir, src, job{Role: roleServe, Dir: src.Dir, Budgets: budgets},
			job{Role: roleSync, Head: src.Head, Budgets: budgets})
	}
	if r.Starling, err = node(false); err != nil {
		return r, fmt.Errorf("starling: %w", err)
	}
	if n := o.blocks; r.Starling.Headers < n || r.Starling.Bodies < n {
		return r, fmt.Errorf("starling: verified %d headers and %d bodies, want %d", r.Starling.Headers, r.Starling.Bodies, n)
	}
	baseline := func(ahead bool) (out run, err error) {
		out, err = one(ctx, o, dir, src, job{Role: roleServeRaw, Dir: src.Dir},
			job{Role: roleSyncRaw, Bytes: src.Bytes, Imports: r.Starling.Imports, Ahead: ahead})
		if got, want := len(out.Imports), len(r.Starling.Imports); err == nil && got != want {
			err = fmt.Errorf("synced %d times, the ledger %d", got, want)
		}
		return out, err
	}
	if r.Raw, err = baseline(false); err != nil {
		return r, fmt.Errorf("baseline: %w", err)
	}
	if !o.more {
		return r, nil
	}
	if r.Ahead, err = baseline(true); err != nil {
		return r, fmt.Errorf("baseline ahead: %w", err)
	}
	if r.Budgeted, err = node(true); err != nil {
		return r, fmt.Errorf("with budgets: %w", err)
	}
	return r, nil
}

// one runs a pair into an empty directory, after all that was written before
// has reached the disk.
func one(ctx context.Context, o options, dir string, src source, serve, sync job) (out run, err error) {
	sync.Dir = filepath.Join(dir, "copy")
	defer func() { err = errors.Join(err, os.RemoveAll(sync.Dir)) }()
	unix.Sync()
	prof := o.profile
	if serve.Budgets || sync.Ahead {
		prof = ""
	}
	out.result, out.ServeCPU, err = pair(ctx, serve, sync, prof)
	if err != nil || !o.check {
		return out, err
	}
	copied := sync.Dir
	if sync.Role == roleSync {
		copied = raw.Database(sync.Dir)
	}
	return out, raw.Same(raw.Database(src.Dir), copied)
}
