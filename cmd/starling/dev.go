package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/starlingp2p/starling/internal/daemon"
	"github.com/starlingp2p/starling/internal/devnet"
)

func devCommand() *cli.Command {
	return &cli.Command{
		Name:     "dev",
		Category: categoryRun,
		Usage:    "run a whole network on this machine and show what it does",
		Description: "A sequencer and its followers, each a process with its own datadir and real loopback sockets.\n" +
			"One follower joins late, another is killed and comes back. Without --for it goes on until Ctrl-C;\n" +
			"with it, it ends by itself with a summary, and exits 0 only if every claim in it was checked and holds.",
		Flags: []cli.Flag{
			&cli.IntFlag{Name: "nodes", Usage: "number of nodes, the sequencer included (2 to 64)", Value: 5},
			&cli.DurationFlag{Name: "for", Usage: "end after this time, with a summary (at least 10s)"},
			&cli.BoolFlag{Name: "json", Usage: "print JSON lines"},
			&cli.DurationFlag{Name: "block-time", Usage: "pause between blocks", Value: time.Second},
			&cli.IntFlag{Name: "txs", Usage: "transactions a second", Value: 20},
			&cli.StringFlag{Name: "block-size", Usage: "how full blocks are, as in \"64KiB\"", Value: "4KiB"},
			&cli.StringFlag{Name: "dir", Usage: "folder for the datadirs, kept afterwards; default: a temporary one", TakesFile: true},
			&cli.BoolFlag{Name: "in-process", Usage: "run the nodes inside this process (kills are then clean stops)"},
		},
		Action: func(ctx context.Context, cmd *cli.Command) error {
			if err := noArgs(cmd); err != nil {
				return err
			}
			return dev(ctx, cmd)
		},
	}
}

// devOptions reads and checks the flags.
func devOptions(cmd *cli.Command) (devnet.Options, devnet.Demo, error) {
	var size daemon.Size
	opts := devnet.Options{Nodes: cmd.Int("nodes"), BlockInterval: cmd.Duration("block-time"), InProcess: cmd.Bool("in-process")}
	demo := devnet.Demo{Txs: cmd.Int("txs"), For: cmd.Duration("for")}
	switch {
	case opts.Nodes < 2 || opts.Nodes > 64:
		return opts, demo, fmt.Errorf("--nodes is %d, want 2 to 64", opts.Nodes)
	case demo.For != 0 && demo.For < 10*time.Second:
		return opts, demo, fmt.Errorf("--for is %v, want at least 10s, or leave it out to go on until Ctrl-C", demo.For)
	case opts.BlockInterval < 50*time.Millisecond || opts.BlockInterval > time.Minute:
		return opts, demo, fmt.Errorf("--block-time is %v, want 50ms to 1m", opts.BlockInterval)
	case demo.Txs < 0 || demo.Txs > 2000:
		return opts, demo, fmt.Errorf("--txs is %d, want 0 to 2000", demo.Txs)
	}
	if err := size.UnmarshalText([]byte(cmd.String("block-size"))); err != nil {
		return opts, demo, fmt.Errorf("--block-size: %w", err)
	}
	if size > 4<<20 {
		return opts, demo, fmt.Errorf("--block-size is %s, want at most 4MiB", cmd.String("block-size"))
	}
	if demo.Txs > 0 {
		demo.PayloadBytes = min(int(float64(size)/(float64(demo.Txs)*opts.BlockInterval.Seconds()))+1, 64<<10)
	}
	return opts, demo, nil
}

func dev(ctx context.Context, cmd *cli.Command) error {
	opts, demo, err := devOptions(cmd)
	if err != nil {
		return &usageError{err}
	}
	if opts.Binary, err = os.Executable(); err != nil {
		return err
	}
	if opts.Dir = cmd.String("dir"); opts.Dir == "" {
		if opts.Dir, err = os.MkdirTemp("", "starling-dev-"); err != nil {
			return err
		}
		defer os.RemoveAll(opts.Dir)
	} else if err := emptyDir(opts.Dir); err != nil {
		return &usageError{fmt.Errorf("--dir: %w", err)}
	}
	if demo.Net, err = devnet.New(opts); err != nil {
		return &usageError{err}
	}
	out := cmd.Root().Writer
	p := &devPrinter{out: out, json: cmd.Bool("json")}
	demo.Say = p.line
	if !p.json {
		fmt.Fprintf(out, "starling %s  dev network: %d nodes on the native wire, a block each %v\n", version(), opts.Nodes, opts.BlockInterval)
	}
	sum, err := demo.Run(ctx)
	if errors.Is(err, context.Canceled) {
		fmt.Fprintln(cmd.Root().ErrWriter, "stopped")
		if demo.For != 0 {
			return errors.New("stopped before the end; there is no summary")
		}
		return nil
	}
	if sum != nil {
		p.summary(*sum)
	}
	if err != nil {
		return err
	}
	if !sum.OK() {
		return errors.New("a claim of the summary does not hold")
	}
	return nil
}

// emptyDir makes a folder, and refuses one that holds anything: what an earlier
// network left is not overwritten.
func emptyDir(path string) error {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return err
	}
	entries, err := os.ReadDir(path)
	if err == nil && len(entries) > 0 {
		err = fmt.Errorf("%s holds %q already; choose an empty folder, or run one of its nodes with \"starling run --config\"", path, entries[0].Name())
	}
	return err
}

// devPrinter prints what the demo says, for people or as JSON lines.
type devPrinter struct {
	mu   sync.Mutex
	out  io.Writer
	json bool
}

func (p *devPrinter) encode(v any) {
	line, err := json.Marshal(v)
	if err == nil {
		p.out.Write(append(line, '\n'))
	}
}

func (p *devPrinter) line(l devnet.Line) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l.V = 1
	if p.json {
		p.encode(l)
		return
	}
	switch l.Event {
	case "node":
		fmt.Fprintf(p.out, "  %-7s %-10s %s\n", l.Node, l.Role, l.Datadir)
		fmt.Fprintf(p.out, "    rpc %s\n", l.RPC)
		for _, a := range l.Addrs {
			fmt.Fprintf(p.out, "    %s\n", a)
		}
	case "ready":
		fmt.Fprintf(p.out, "Ready in %s. Try, in another terminal:  starling peers --datadir DIR, with a folder from above\n", l.Took)
	case "joined":
		fmt.Fprintf(p.out, "%s joined late and syncs from genesis; the sequencer is at block %d\n", l.Node, l.Head)
	case "killed":
		fmt.Fprintf(p.out, "%s was killed (SIGKILL); its last acknowledged head was %d\n", l.Node, l.Head)
	case "restarted":
		fmt.Fprintf(p.out, "%s is back at head %d, rpc %s\n", l.Node, l.Head, l.RPC)
	case "progress":
		fmt.Fprintf(p.out, "block %d, %d transactions sent\n", l.Head, l.Sent)
	case "trouble":
		fmt.Fprintf(p.out, "trouble: %s\n", l.Text)
	}
}

func (p *devPrinter) summary(s devnet.Summary) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s.V = 1
	if p.json {
		p.encode(s)
		return
	}
	yes := map[bool]string{true: "yes", false: "NO"}
	fmt.Fprintf(p.out, "Summary: %d nodes, head %d\n  all heads equal       %s\n  late joiner synced    %s\n  killed node recovered %s\n  transactions included %d of %d\n  bans                  %d\n",
		s.Nodes, s.Head, yes[s.HeadsEqual], yes[s.LateJoinerSynced], yes[s.RestartedRecovered], s.TxsIncluded, s.TxsSent, s.HonestBans)
}
