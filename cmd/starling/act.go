package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/netip"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/starlingp2p/starling/internal/daemon"
	"github.com/starlingp2p/starling/internal/pause"
	"github.com/starlingp2p/starling/internal/rpc"
)

// one gives the only argument of a verb.
func one(cmd *cli.Command, what, where string) (string, error) {
	if cmd.Args().Len() == 1 && cmd.Args().First() == "" {
		return "", &usageError{fmt.Errorf("%s wants %s, got an empty argument; %s", cmd.Name, what, where)}
	}
	if cmd.Args().Len() != 1 {
		return "", &usageError{fmt.Errorf("%s wants %s, got %d arguments; %s", cmd.Name, what, cmd.Args().Len(), where)}
	}
	return cmd.Args().First(), nil
}

// done tells that an act has been done.
func done(cmd *cli.Command, text string, v map[string]any) error {
	if cmd.Bool("json") {
		v["v"] = 1
		return printJSON(cmd.Root().Writer, v)
	}
	_, err := fmt.Fprintln(cmd.Root().Writer, text)
	return err
}

func actFlags(datadir cli.Flag, more ...cli.Flag) []cli.Flag {
	return append([]cli.Flag{datadir, &cli.BoolFlag{Name: "json", Usage: "print JSON instead of text", HideDefault: true}}, more...)
}

// onNode is the action of a verb that takes no argument and acts on a running
// node. check looks at its flags before anybody is asked; nil: they need none.
func onNode(check func(*cli.Command) error, do func(ctx context.Context, cmd *cli.Command, n *node) error) cli.ActionFunc {
	return func(ctx context.Context, cmd *cli.Command) error {
		if err := noArgs(cmd); err != nil {
			return err
		}
		return withNode(ctx, cmd, check, do)
	}
}

// onOne is that of a verb that takes one argument, which is what.
func onOne(what, where string, check func(*cli.Command) error, do func(ctx context.Context, cmd *cli.Command, n *node, arg string) error) cli.ActionFunc {
	return func(ctx context.Context, cmd *cli.Command) error {
		arg, err := one(cmd, what, where)
		if err != nil {
			return err
		}
		return withNode(ctx, cmd, check, func(ctx context.Context, cmd *cli.Command, n *node) error { return do(ctx, cmd, n, arg) })
	}
}

func withNode(ctx context.Context, cmd *cli.Command, check func(*cli.Command) error, do func(context.Context, *cli.Command, *node) error) error {
	if check != nil {
		if err := check(cmd); err != nil {
			return err
		}
	}
	n, err := reach(ctx, cmd)
	if err != nil {
		return err
	}
	defer n.close()
	return do(ctx, cmd, n)
}

// fits reports whether a text means an identity: the whole of it, or enough of
// its beginning or end.
func fits(text, id string) bool {
	return id == text || len(text) >= 4 && (strings.HasPrefix(id, text) || strings.HasSuffix(id, text))
}

func connectCommand(datadir cli.Flag) *cli.Command {
	return &cli.Command{
		Name: "connect", Category: categoryAct, Usage: "have a running node dial an address now", ArgsUsage: "ADDR", Flags: actFlags(datadir),
		Description: "ADDR is of a form that the node's wire dials. For HOST:PORT the native wire asks who is there first, and believes it.",
		Action: onOne("one address", "\"starling id\" prints a node's own", nil, func(ctx context.Context, cmd *cli.Command, n *node, addr string) error {
			s, err := fetchStatus(ctx, n)
			if err != nil {
				return err
			}
			full, err := daemon.FullAddr(ctx, s.Wire, addr)
			if err != nil {
				return err
			}
			if err := n.call(ctx, "starling_connect", nil, full); errors.Is(err, rpc.ErrUnreachable) {
				return err
			} else if err != nil {
				return fmt.Errorf("%w; \"starling why %s\" says what helps", err, full)
			}
			return done(cmd, "connected", map[string]any{"connected": full})
		}),
	}
}

// find completes the name of a peer that is connected: its identity, the
// beginning or end of it, or an address that holds it.
func find(ctx context.Context, n *node, name string) (daemon.PeerReply, error) {
	l, err := fetchPeers(ctx, n)
	if err != nil {
		return daemon.PeerReply{}, err
	}
	id := peerOf(name)
	var found []daemon.PeerReply
	for _, p := range l.Peers {
		switch {
		case p.ID == id || p.Addr == name:
			return p, nil
		case fits(id, p.ID):
			found = append(found, p)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return daemon.PeerReply{}, fmt.Errorf("%.120q is none of the %d peers; \"starling peers\" lists them", name, len(l.Peers))
	}
	return daemon.PeerReply{}, fmt.Errorf("%.120q fits %d peers; give more of the identity", name, len(found))
}

// peerOf is the identity in an address, or the text itself.
func peerOf(text string) string {
	if _, id, ok := strings.Cut(text, "/p2p/"); ok {
		return id
	}
	if rest, ok := strings.CutPrefix(text, "enode://"); ok {
		id, _, _ := strings.Cut(rest, "@")
		return id
	}
	return text
}

func disconnectCommand(datadir cli.Flag) *cli.Command {
	return &cli.Command{
		Name: "disconnect", Category: categoryAct, Usage: "have a running node part with a peer", ArgsUsage: "PEER", Flags: actFlags(datadir),
		Action: onOne("one peer", "\"starling peers\" lists them", nil, func(ctx context.Context, cmd *cli.Command, n *node, name string) error {
			p, err := find(ctx, n, name)
			if err != nil {
				return err
			}
			if err := n.call(ctx, "starling_disconnect", nil, p.ID); err != nil {
				return err
			}
			return done(cmd, "disconnected "+p.ID, map[string]any{"disconnected": p.ID})
		}),
	}
}

func banCommand(datadir cli.Flag) *cli.Command {
	return &cli.Command{
		Name: "ban", Category: categoryAct, Usage: "keep a peer, an address or a range of addresses away", ArgsUsage: "WHO",
		Description: "WHO is an identity, also of one that is not connected, the beginning or end of the identity of one that is, an IP\n" +
			"address, or a range as in 192.0.2.0/24.",
		Flags: actFlags(datadir,
			&cli.DurationFlag{Name: "for", Usage: "how long; left out: the next step of 1h, 4h, 24h, an hour for a range", HideDefault: true},
			&cli.BoolFlag{Name: "force", Usage: "also a very wide range, or one that holds a configured peer", HideDefault: true},
			&cli.StringFlag{Name: "reason", Usage: "why, for whoever looks later"}),
		Action: onOne("one peer", "\"starling peers\" lists them", func(cmd *cli.Command) error {
			if d := cmd.Duration("for"); d < 0 || d > 0 && d < time.Second || d > daemon.MaxBanFor {
				return &usageError{fmt.Errorf("--for is %v, want 1s to %v, as in --for 1h", d, daemon.MaxBanFor)}
			}
			return nil
		}, func(ctx context.Context, cmd *cli.Command, n *node, name string) error {
			id, isRange := rangeOf(name)
			if !isRange {
				id = peerOf(name)
				p, err := find(ctx, n, name)
				switch host, _, _ := net.SplitHostPort(name); {
				case err == nil:
					id = p.ID
				case daemon.AddrForm(name) == "host:port" && net.ParseIP(host) != nil:
					return &usageError{fmt.Errorf("%.120q is of no peer; a ban is on an identity or on an address without a port: %s", name, host)}
				}
			}
			if err := n.call(ctx, "starling_ban", nil, id, int64(cmd.Duration("for")/time.Second), cmd.String("reason"), cmd.Bool("force")); err != nil {
				return err
			}
			l, err := fetchBans(ctx, n)
			if err != nil {
				return err
			}
			for _, b := range l.Bans {
				if b.Who == id {
					return done(cmd, fmt.Sprintf("banned %s until %s", id, b.Until.Local().Format(time.DateTime)), map[string]any{"banned": id, "until": b.Until})
				}
			}
			return errors.New("the ban was taken, but is not listed; it may have ended already")
		}),
	}
}

// rangeOf writes an IP address or a range as bans are listed.
func rangeOf(text string) (string, bool) {
	if a, err := netip.ParseAddr(text); err == nil {
		a = a.WithZone("").Unmap()
		return netip.PrefixFrom(a, a.BitLen()).String(), true
	}
	p, err := netip.ParsePrefix(text)
	return p.Masked().String(), err == nil
}

func unbanCommand(datadir cli.Flag) *cli.Command {
	return &cli.Command{
		Name: "unban", Category: categoryAct, Usage: "lift a ban", ArgsUsage: "WHO", Flags: actFlags(datadir),
		Action: onOne("one peer or range", "\"starling peers --banned\" lists those that are banned", nil, func(ctx context.Context, cmd *cli.Command, n *node, name string) error {
			l, err := fetchBans(ctx, n)
			if err != nil {
				return err
			}
			id, isRange := rangeOf(name)
			if !isRange {
				id = peerOf(name)
			}
			var found []string
			for _, b := range l.Bans {
				if b.Who == id {
					found = []string{id}
					break
				}
				if fits(id, b.Who) {
					found = append(found, b.Who)
				}
			}
			if len(found) == 0 {
				return fmt.Errorf("%.120q is none of the %d that are banned; \"starling peers --banned\" lists them", name, len(l.Bans))
			}
			if len(found) > 1 {
				return fmt.Errorf("%.120q fits %d of %d bans; \"starling peers --banned\" lists them, give more of it", name, len(found), len(l.Bans))
			}
			if err := n.call(ctx, "starling_unban", nil, found[0]); err != nil {
				return err
			}
			return done(cmd, "unbanned "+found[0], map[string]any{"unbanned": found[0]})
		}),
	}
}

// pong is one line of "ping --json".
type pong struct {
	V    int     `json:"v"`
	Peer string  `json:"peer"`
	Ms   float64 `json:"ms"`
}

func pingCommand(datadir cli.Flag) *cli.Command {
	return &cli.Command{
		Name: "ping", Category: categoryAct, Usage: "measure the round trip to a peer", ArgsUsage: "PEER",
		Description: "PEER is one of the node's peers. To reach somebody that is none, use \"starling probe ADDR\".",
		Flags: actFlags(datadir,
			&cli.IntFlag{Name: "count", Usage: "how many times, a second apart", Value: 3},
			&cli.BoolFlag{Name: "watch", Usage: "go on until Ctrl-C; with --json one line a ping", HideDefault: true}),
		Action: onOne("one peer", "\"starling peers\" lists them", func(cmd *cli.Command) error {
			if c := cmd.Int("count"); c < 1 || c > 10_000 {
				return &usageError{fmt.Errorf("--count is %d, want 1 to 10000", c)}
			}
			return nil
		}, func(ctx context.Context, cmd *cli.Command, n *node, name string) error {
			p, err := find(ctx, n, name)
			if err != nil {
				return err
			}
			for i := 0; cmd.Bool("watch") || i < cmd.Int("count"); i++ {
				if i > 0 && pause.For(ctx, time.Second) != nil {
					return nil
				}
				var r daemon.PingReply
				if err := n.call(ctx, "starling_ping", &r, p.ID); err != nil {
					if ctx.Err() != nil {
						return nil
					}
					return err
				}
				if cmd.Bool("json") {
					err = printLine(cmd.Root().Writer, pong{1, p.ID, r.Ms})
				} else {
					_, err = fmt.Fprintf(cmd.Root().Writer, "%s  %.2f ms\n", p.ID, r.Ms)
				}
				if err != nil {
					return err
				}
			}
			return nil
		}),
	}
}

// tailEvery is the pause between two looks at the head.
const tailEvery = 250 * time.Millisecond

func tailCommand(datadir cli.Flag) *cli.Command {
	return &cli.Command{
		Name: "tail", Category: categoryLook, Usage: "print blocks as they arrive, until Ctrl-C",
		Description: "A block that takes the place of one that was printed before is printed again, and standard error says so.",
		Flags: actFlags(datadir,
			&cli.BoolFlag{Name: "watch", Usage: "what it does anyway; taken since the other verbs take it", HideDefault: true},
			&cli.IntFlag{Name: "from", Usage: "begin at block `N`; left out: the head", Value: -1, HideDefault: true, Validator: notBelowZero},
			&cli.IntFlag{Name: "count", Usage: "end after `N` blocks", HideDefault: true, Validator: between(1, math.MaxInt32)}),
		Action: onNode(nil, func(ctx context.Context, cmd *cli.Command, n *node) error {
			err := tail(ctx, cmd, n)
			if ctx.Err() != nil {
				return nil
			}
			return err
		}),
	}
}

func tail(ctx context.Context, cmd *cli.Command, n *node) error {
	s, err := fetchStatus(ctx, n)
	if err != nil {
		return err
	}
	next := s.Head.Number
	if from := cmd.Int("from"); from >= 0 {
		if uint64(from) > s.Head.Number {
			return &usageError{fmt.Errorf("--from is %d, but the head is block %d; leave it out to begin there", from, s.Head.Number)}
		}
		next = uint64(from)
	}
	var last daemon.BlockReply
	shown := map[uint64]string{} // hashes of the last blocks that were printed
	// again goes back to where the chain parts from what was printed.
	again := func(from uint64) (err error) {
		fmt.Fprintf(cmd.Root().ErrWriter, "reorganised: block %d is no longer %s\n", last.Number, last.Hash)
		last = daemon.BlockReply{}
		next, err = parted(ctx, n, shown, from)
		return err
	}
	for printed, head := 0, s.Head; ; {
		for next <= head.Number {
			var b daemon.BlockReply
			if err := n.call(ctx, "starling_block", &b, next); err != nil {
				return err
			}
			if last.V != 0 && b.Parent != last.Hash {
				if err := again(last.Number); err != nil {
					return err
				}
				continue
			}
			if err := printBlock(cmd.Root().Writer, b, cmd.Bool("json")); err != nil {
				return err
			}
			last, next = b, next+1
			shown[b.Number] = b.Hash
			delete(shown, b.Number-shownBlocks) // wraps below it, where nothing is
			if printed++; cmd.Int("count") > 0 && printed >= cmd.Int("count") {
				return nil
			}
		}
		if pause.For(ctx, tailEvery) != nil {
			return nil
		}
		s, err := fetchStatus(ctx, n)
		if err != nil {
			return err
		}
		if s.Head.Number == last.Number && s.Head.Hash != last.Hash || s.Head.Number < last.Number {
			if err := again(s.Head.Number); err != nil {
				return err
			}
		}
		head = s.Head
	}
}

// shownBlocks is how many blocks back a reorganisation is followed.
const shownBlocks = 256

// parted gives the first number, from one downwards, at which the chain has
// another block than was printed.
func parted(ctx context.Context, n *node, shown map[uint64]string, from uint64) (uint64, error) {
	for at := from; ; at-- {
		hash, ok := shown[at]
		if !ok {
			return at + 1, nil
		}
		var b daemon.BlockReply
		if err := n.call(ctx, "starling_block", &b, at); err != nil {
			return 0, err
		}
		if b.Hash == hash {
			return at + 1, nil
		}
		delete(shown, at)
	}
}

func printBlock(w io.Writer, b daemon.BlockReply, asJSON bool) error {
	if asJSON {
		return printLine(w, b)
	}
	return table(w, "", func(tw *tabwriter.Writer) {
		fmt.Fprintf(tw, "%s  %d\t%s\t%d bytes\t%d txs\n", b.Time.Local().Format(time.TimeOnly), b.Number, b.Hash, b.Bytes, len(b.Txs))
	})
}
