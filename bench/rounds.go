package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// options are what a measurement is of.
type options struct {
	rounds, blocks, size int
	warm                 bool   // a round before the first that does not count
	budgets              bool   // a run with budgets in each round
	profile              string // a directory, or empty
	check                bool   // compare what was stored with what was served
}

// run is one sync of a round.
type run struct {
	result
	ServeCPU float64
}

// round is one of each kind.
type round struct {
	Starling, Raw, Budgeted run
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
		fmt.Fprintf(tell, "round %d: starling %.3f s (cpu %.2f + %.2f s, %d syncs), baseline %.3f s (cpu %.2f + %.2f s, %d syncs), ratio %.2f",
			n+1, r.Starling.Seconds, r.Starling.ServeCPU, r.Starling.CPU, len(r.Starling.Imports),
			r.Raw.Seconds, r.Raw.ServeCPU, r.Raw.CPU, len(r.Raw.Imports), r.Starling.Seconds/r.Raw.Seconds)
		if o.budgets {
			fmt.Fprintf(tell, "; with budgets %.3f s", r.Budgeted.Seconds)
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
	r.Raw, err = one(ctx, o, dir, src, job{Role: roleServeRaw, Dir: src.Dir},
		job{Role: roleSyncRaw, Bytes: src.Bytes, Imports: r.Starling.Imports})
	if err != nil {
		return r, fmt.Errorf("baseline: %w", err)
	}
	if got, want := len(r.Raw.Imports), len(r.Starling.Imports); got != want {
		return r, fmt.Errorf("baseline: synced %d times, the ledger %d", got, want)
	}
	if o.budgets {
		if r.Budgeted, err = node(true); err != nil {
			return r, fmt.Errorf("with budgets: %w", err)
		}
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
	if serve.Budgets {
		prof = ""
	}
	out.result, out.ServeCPU, err = pair(ctx, serve, sync, prof)
	if err != nil || !o.check {
		return out, err
	}
	copied := sync.Dir
	if sync.Role == roleSync {
		copied = database(sync.Dir)
	}
	return out, same(database(src.Dir), copied)
}
