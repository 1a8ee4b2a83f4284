package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/urfave/cli/v3"

	"github.com/starlingp2p/starling/internal/why"
)

func whyCommand(datadir cli.Flag) *cli.Command {
	return &cli.Command{
		Name: "why", Category: categoryLook, Usage: "what stands in the way of the node, or of a peer, and what helps", ArgsUsage: "[PEER]",
		Description: "PEER is an identity, the end of one, or an address, of a peer that is connected or was. Without it the answer is about\n" +
			"the node: no peers, nobody who reaches it, a sync that stands still. The first finding is the cause.\n" +
			"With --recording no node is asked: the answer is as of the end of a file that \"starling debug record\" made.",
		Flags: append(readFlags(datadir), &cli.StringFlag{Name: "recording", Usage: "a `FILE` to look through, in place of a node", TakesFile: true}),
		Action: func(ctx context.Context, cmd *cli.Command) error {
			if cmd.Args().Len() > 1 {
				return &usageError{fmt.Errorf("why wants one peer or none, got %d; \"starling peers\" lists them", cmd.Args().Len())}
			}
			who := peerOf(cmd.Args().First())
			if file := cmd.String("recording"); file != "" {
				return whyThen(cmd, file, who)
			}
			var params []any
			if who != "" {
				params = append(params, who)
			}
			return show(ctx, cmd, func(ctx context.Context, n *node) (r why.Report, err error) {
				err = n.call(ctx, "starling_why", &r, params...)
				return r, err
			}, func(w io.Writer, r why.Report) error { return r.Write(w) })
		},
	}
}

// whyThen answers from a recording.
func whyThen(cmd *cli.Command, file, who string) error {
	if cmd.Bool("watch") {
		return &usageError{errors.New("--recording and --watch do not go together: a recording does not change")}
	}
	f, err := os.Open(file)
	if err != nil {
		return &usageError{fmt.Errorf("recording %s: %w; \"starling debug record\" makes one", file, err)}
	}
	defer f.Close()
	r, err := why.Recorded(f, who)
	if err != nil {
		return &usageError{fmt.Errorf("recording %s: %w", file, err)}
	}
	if cmd.Bool("json") {
		return printJSON(cmd.Root().Writer, r)
	}
	return r.Write(cmd.Root().Writer)
}
