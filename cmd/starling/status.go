package main

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/starlingp2p/starling/internal/daemon"
)

func statusCommand(datadir cli.Flag) *cli.Command {
	return &cli.Command{
		Name: "status", Category: categoryLook, Usage: "where a running node stands", Flags: readFlags(datadir),
		Action: func(ctx context.Context, cmd *cli.Command) error {
			if err := noArgs(cmd); err != nil {
				return err
			}
			return show(ctx, cmd, fetchStatus, printStatus)
		},
	}
}

func fetchStatus(ctx context.Context, n *node) (s daemon.StatusReply, err error) {
	err = n.call(ctx, "starling_status", &s)
	return s, err
}

func printStatus(w io.Writer, s daemon.StatusReply) error {
	return table(w, "", func(tw *tabwriter.Writer) {
		fmt.Fprintf(tw, "id\t%s\n", s.ID)
		fmt.Fprintf(tw, "network\t%s (wire %s, genesis %s)\n", s.Network, s.Wire, s.Genesis)
		fmt.Fprintf(tw, "head\t%d %s\n", s.Head.Number, s.Head.Hash)
		fmt.Fprintf(tw, "sync\t%s", s.Sync.Mode)
		if s.Sync.Target > s.Head.Number {
			fmt.Fprintf(tw, ", %d blocks to go", s.Sync.Target-s.Head.Number)
			if s.Sync.Staged > 0 {
				fmt.Fprintf(tw, ", %d of them fetched", s.Sync.Staged)
			}
		}
		if s.Sync.Stuck != "" {
			fmt.Fprint(tw, tint(w, red, fmt.Sprintf(", stuck: %s; \"starling why\" says more", s.Sync.Stuck)))
		}
		peers := fmt.Sprintf("%d (%d inbound, %d outbound), %d bans", s.Peers, s.Inbound, s.Outbound, s.Bans)
		if s.Peers == 0 {
			peers = tint(w, yellow, peers+"; \"starling why\" says what was tried")
		}
		fmt.Fprintf(tw, "\npeers\t%s\n", peers)
		fmt.Fprintf(tw, "pool\t%d transactions\n", s.PoolTxs)
		if e := s.Engine; e != nil {
			fmt.Fprintf(tw, "engine\t%s, at block %d", e.State, e.Head.Number)
			if f := e.Fill; f != nil {
				fmt.Fprintf(tw, ": has taken %d of %d to %d, %.1f blocks/s", f.At, f.From, f.To, f.Rate)
			}
			fmt.Fprintln(tw)
		}
		if s.ClockSuspect {
			fmt.Fprintf(tw, "clock\t%s\n", tint(w, red, "suspect: peers disagree with it; check the machine's time"))
		}
		for i, a := range s.Addrs {
			fmt.Fprintf(tw, "%s\t%s\n", map[bool]string{true: "addresses"}[i == 0], a)
		}
		fmt.Fprintf(tw, "up\t%s\n", s.Uptime)
	})
}

// identity is what "id" prints.
type identity struct {
	V      int      `json:"v"`
	ID     string   `json:"id"`
	Addrs  []string `json:"addrs"`
	Record string   `json:"record,omitempty"`
	Agent  string   `json:"agent"`
}

func idCommand(datadir cli.Flag) *cli.Command {
	return &cli.Command{
		Name: "id", Category: categoryLook, Usage: "the identity and addresses of a running node", Flags: readFlags(datadir),
		Action: func(ctx context.Context, cmd *cli.Command) error {
			if err := noArgs(cmd); err != nil {
				return err
			}
			return show(ctx, cmd, func(ctx context.Context, n *node) (identity, error) {
				s, err := fetchStatus(ctx, n)
				return identity{1, s.ID, s.Addrs, s.Record, s.Agent}, err
			}, func(w io.Writer, id identity) error {
				fmt.Fprintln(w, id.ID)
				for _, a := range id.Addrs {
					fmt.Fprintln(w, a)
				}
				if id.Record != "" {
					fmt.Fprintln(w, id.Record)
				}
				return nil
			})
		},
	}
}

// peerList is what "peers" prints.
type peerList struct {
	V     int                `json:"v"`
	Peers []daemon.PeerReply `json:"peers"`
}

// banList is what "peers --banned" prints.
type banList struct {
	V    int               `json:"v"`
	Bans []daemon.BanReply `json:"bans"`
}

func peersCommand(datadir cli.Flag) *cli.Command {
	return &cli.Command{
		Name: "peers", Category: categoryLook, Usage: "the peers of a running node",
		Flags: append(readFlags(datadir), &cli.BoolFlag{Name: "banned", Usage: "those that are banned, until when and why", HideDefault: true}),
		Action: func(ctx context.Context, cmd *cli.Command) error {
			if err := noArgs(cmd); err != nil {
				return err
			}
			if cmd.Bool("banned") {
				return show(ctx, cmd, fetchBans, printBans)
			}
			return show(ctx, cmd, fetchPeers, printPeers)
		},
	}
}

func fetchPeers(ctx context.Context, n *node) (peerList, error) {
	l := peerList{V: 1}
	err := n.call(ctx, "starling_peers", &l.Peers)
	return l, err
}

func printPeers(w io.Writer, l peerList) error {
	return table(w, "PEER DIRECTION HEAD SCORE SINCE ADDRESS AGENT", func(tw *tabwriter.Writer) {
		for _, p := range l.Peers {
			fmt.Fprintf(tw, "%s\t%s\t%d\t%.0f\t%s\t%s\t%q\n", p.ID, p.Direction, p.Head.Number, p.Score,
				p.Opened.Local().Format(time.TimeOnly), p.Addr, p.Agent)
		}
	})
}

func fetchBans(ctx context.Context, n *node) (banList, error) {
	l := banList{V: 1}
	err := n.call(ctx, "starling_bans", &l.Bans)
	return l, err
}

func printBans(w io.Writer, l banList) error {
	return table(w, "WHO UNTIL BY REASON", func(tw *tabwriter.Writer) {
		for _, b := range l.Bans {
			by := map[bool]string{true: "score", false: "operator"}[b.ByScore]
			fmt.Fprintf(tw, "%s\t%s\t%s\t%q\n", b.Who, b.Until.Local().Format(time.DateTime), by, b.Reason)
		}
	})
}
