package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/starlingp2p/starling/internal/daemon"
	"github.com/starlingp2p/starling/internal/rpc"
)

// askTimeout bounds a question to a running node.
const askTimeout = 30 * time.Second

// ask calls a method of the node with that datadir.
func ask(ctx context.Context, cmd *cli.Command, method string, result any, params ...any) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	dir := cmd.String("datadir")
	c, err := rpc.Dial(ctx, daemon.SocketPath(dir))
	if err != nil {
		return fmt.Errorf("%w; is a node running with datadir %s?", err, dir)
	}
	defer c.Close()
	return c.Call(ctx, method, result, params...)
}

// printJSON writes one document.
func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

func statusCommand(datadir, jsonOut cli.Flag) *cli.Command {
	return &cli.Command{
		Name: "status", Usage: "where a running node stands", Flags: []cli.Flag{datadir, jsonOut},
		Action: func(ctx context.Context, cmd *cli.Command) error {
			if err := noArgs(cmd); err != nil {
				return err
			}
			var s daemon.StatusReply
			if err := ask(ctx, cmd, "starling_status", &s); err != nil {
				return err
			}
			out := cmd.Root().Writer
			if cmd.Bool("json") {
				return printJSON(out, s)
			}
			tw := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
			fmt.Fprintf(tw, "id\t%s\n", s.ID)
			fmt.Fprintf(tw, "network\t%s (wire %s, genesis %s)\n", s.Network, s.Wire, s.Genesis)
			fmt.Fprintf(tw, "head\t%d %s\n", s.Head.Number, s.Head.Hash)
			fmt.Fprintf(tw, "sync\t%s", s.Sync.Mode)
			if s.Sync.Target > s.Head.Number {
				fmt.Fprintf(tw, ", %d blocks to go", s.Sync.Target-s.Head.Number)
			}
			if s.Sync.Stuck != "" {
				fmt.Fprintf(tw, ", stuck: %s", s.Sync.Stuck)
			}
			fmt.Fprintf(tw, "\npeers\t%d (%d inbound, %d outbound), %d bans\n", s.Peers, s.Inbound, s.Outbound, s.Bans)
			fmt.Fprintf(tw, "pool\t%d transactions\n", s.PoolTxs)
			if s.ClockSuspect {
				fmt.Fprintf(tw, "clock\tsuspect: peers disagree with it; check the machine's time\n")
			}
			for i, a := range s.Addrs {
				fmt.Fprintf(tw, "%s\t%s\n", map[bool]string{true: "addresses"}[i == 0], a)
			}
			fmt.Fprintf(tw, "up\t%s\n", s.Uptime)
			return tw.Flush()
		},
	}
}

func peersCommand(datadir, jsonOut cli.Flag) *cli.Command {
	return &cli.Command{
		Name: "peers", Usage: "the peers of a running node", Flags: []cli.Flag{datadir, jsonOut},
		Action: func(ctx context.Context, cmd *cli.Command) error {
			if err := noArgs(cmd); err != nil {
				return err
			}
			var peers []daemon.PeerReply
			if err := ask(ctx, cmd, "starling_peers", &peers); err != nil {
				return err
			}
			out := cmd.Root().Writer
			if cmd.Bool("json") {
				return printJSON(out, map[string]any{"v": 1, "peers": peers})
			}
			tw := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
			fmt.Fprintln(tw, "PEER\tDIRECTION\tHEAD\tSCORE\tSINCE\tADDRESS\tAGENT")
			for _, p := range peers {
				fmt.Fprintf(tw, "%s\t%s\t%d\t%.0f\t%s\t%s\t%q\n", p.ID, p.Direction, p.Head.Number, p.Score,
					p.Opened.Local().Format(time.TimeOnly), p.Addr, p.Agent)
			}
			return tw.Flush()
		},
	}
}

func connectCommand(datadir cli.Flag) *cli.Command {
	return &cli.Command{
		Name: "connect", Usage: "have a running node dial an address now", ArgsUsage: "ADDR", Flags: []cli.Flag{datadir},
		Action: func(ctx context.Context, cmd *cli.Command) error {
			if cmd.Args().Len() != 1 {
				return &usageError{fmt.Errorf("connect wants one address, got %d; \"starling id\" prints a node's own", cmd.Args().Len())}
			}
			if err := ask(ctx, cmd, "starling_connect", nil, cmd.Args().First()); err != nil {
				return err
			}
			fmt.Fprintln(cmd.Root().Writer, "connected")
			return nil
		},
	}
}

func idCommand(datadir, jsonOut cli.Flag) *cli.Command {
	return &cli.Command{
		Name: "id", Usage: "the identity and addresses of a running node", Flags: []cli.Flag{datadir, jsonOut},
		Action: func(ctx context.Context, cmd *cli.Command) error {
			if err := noArgs(cmd); err != nil {
				return err
			}
			var s daemon.StatusReply
			if err := ask(ctx, cmd, "starling_status", &s); err != nil {
				return err
			}
			out := cmd.Root().Writer
			if cmd.Bool("json") {
				return printJSON(out, map[string]any{"v": 1, "id": s.ID, "addrs": s.Addrs, "agent": s.Agent})
			}
			fmt.Fprintln(out, s.ID)
			for _, a := range s.Addrs {
				fmt.Fprintln(out, a)
			}
			return nil
		},
	}
}

func versionCommand(jsonOut cli.Flag) *cli.Command {
	return &cli.Command{
		Name: "version", Usage: "what this program is", Flags: []cli.Flag{jsonOut},
		Action: func(_ context.Context, cmd *cli.Command) error {
			if err := noArgs(cmd); err != nil {
				return err
			}
			out := cmd.Root().Writer
			if cmd.Bool("json") {
				return printJSON(out, map[string]any{
					"v": 1, "version": version(), "commit": commit(), "go": runtime.Version(),
					"wires": daemon.Protocols(),
				})
			}
			fmt.Fprintf(out, "starling %s (%s), %s\n", version(), commit(), runtime.Version())
			protocols := daemon.Protocols()
			for _, w := range daemon.WireNames() {
				for _, p := range protocols[w] {
					fmt.Fprintf(out, "%s  %s\n", w, p)
				}
			}
			return nil
		},
	}
}

// version is the program's version.
func version() string { return daemon.Version }

// commit is the revision that the program was built from, where Go knows it.
func commit() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" && len(s.Value) >= 12 {
				return s.Value[:12]
			}
		}
	}
	return "unknown commit"
}
