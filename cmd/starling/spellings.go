package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/urfave/cli/v3"

	"github.com/starlingp2p/starling/internal/daemon"
)

// ofOthers is the category of flags of other programs. They are taken, or
// refused by name with what to do instead, and no help lists them: there are two
// hundred. "starling config flags" does.
const ofOthers = "Flags of other programs"

// spellings are the flags of others, but for those that are ours too.
func spellings(ours []cli.Flag) (out []daemon.Spelling) {
	taken := map[string]bool{}
	for _, f := range ours {
		taken[f.Names()[0]] = true
	}
	for _, s := range daemon.Spellings() {
		if !taken[s.Name] {
			taken[s.Name] = true
			out = append(out, s)
		}
	}
	return out
}

// spellingFlags are the flags of others, beside ours.
func spellingFlags(ours []cli.Flag) (out []cli.Flag) {
	for _, s := range spellings(ours) {
		switch {
		case s.Bare:
			out = append(out, &cli.BoolFlag{Name: s.Name, Category: ofOthers, Usage: s.Here, Hidden: true, HideDefault: true})
		case s.List:
			out = append(out, &cli.StringSliceFlag{Name: s.Name, Category: ofOthers, Usage: s.Here, Hidden: true})
		default:
			out = append(out, &cli.StringFlag{Name: s.Name, Category: ofOthers, Usage: s.Here, Hidden: true})
		}
	}
	return out
}

// isOfOthers reports whether a flag is another program's.
func isOfOthers(f cli.Flag) bool {
	c, ok := f.(cli.CategorizableFlag)
	return ok && c.GetCategory() == ofOthers
}

// spelt are the flags of others that were given. What each means is for the
// config to say, which knows the network's wire.
func spelt(cmd *cli.Command) (over []daemon.Override) {
	for _, s := range daemon.Spellings() {
		at := slices.IndexFunc(cmd.Flags, func(f cli.Flag) bool { return isOfOthers(f) && f.Names()[0] == s.Name })
		if at < 0 || !cmd.IsSet(s.Name) || slices.ContainsFunc(over, func(o daemon.Override) bool { return o.Flag == s.Name }) {
			continue
		}
		o := daemon.Override{Flag: s.Name, Origin: daemon.Origin("flag --" + s.Name)}
		switch {
		case s.Bare:
			o.Value = strconv.FormatBool(cmd.Bool(s.Name))
		case s.List:
			o.Value = strings.Join(cmd.StringSlice(s.Name), ",")
		default:
			o.Value = cmd.String(s.Name)
		}
		if s.File && o.Value != "" {
			// On a command line a file is seen from where that is typed.
			if full, err := filepath.Abs(o.Value); err == nil {
				o.Value = full
			}
		}
		over = append(over, o)
	}
	return over
}

// completeFlags completes the flags of others too, once a letter of theirs is
// typed: before that, two hundred would bury ours.
func completeFlags(ctx context.Context, cmd *cli.Command) {
	cli.DefaultCompleteWithFlags(ctx, cmd)
	last := ""
	if args := cmd.Args().Slice(); len(args) > 0 {
		last = args[len(args)-1]
	}
	typed, ok := strings.CutPrefix(last, "--")
	if !ok || typed == "" {
		return
	}
	for _, s := range daemon.Spellings() {
		if strings.HasPrefix(s.Name, typed) && s.Name != typed && !s.Refused && slices.ContainsFunc(cmd.Flags, func(f cli.Flag) bool { return isOfOthers(f) && f.Names()[0] == s.Name }) {
			fmt.Fprintf(cmd.Root().Writer, "--%s:%s\n", s.Name, s.Here)
		}
	}
}

func configFlagsCommand() *cli.Command {
	return &cli.Command{
		Name: "flags", Usage: "list the flags of geth and op-node that are taken, and what each is here", ArgsUsage: "[PROGRAM]",
		Description: "run, import, export, doctor and config take them beside our own, and the config file takes them in\n" +
			"[network.ethereum] and [network.opstack]. What has no counterpart is refused by its name, with what to do.",
		Flags: []cli.Flag{&cli.BoolFlag{Name: "json", Usage: "print JSON instead of text", HideDefault: true}},
		Action: func(_ context.Context, cmd *cli.Command) error {
			var shown []daemon.Spelling
			for _, s := range daemon.Spellings() {
				if of := cmd.Args().First(); of == "" || of == s.Of {
					shown = append(shown, s)
				}
			}
			if cmd.Args().Len() > 1 || len(shown) == 0 {
				return &usageError{fmt.Errorf("config flags takes geth or op-node, or nothing for both; got %.80q", strings.Join(cmd.Args().Slice(), " "))}
			}
			if cmd.Bool("json") {
				return printJSON(cmd.Root().Writer, map[string]any{"v": 1, "flags": shown})
			}
			return printSpellings(cmd.Root().Writer, shown)
		},
	}
}

func printSpellings(w io.Writer, shown []daemon.Spelling) error {
	return table(w, "FLAG OF HERE", func(tw *tabwriter.Writer) {
		for _, s := range shown {
			fmt.Fprintf(tw, "--%s\t%s\t%s\n", s.Name, s.Of, strings.ReplaceAll(s.Here, "`", ""))
		}
	})
}
