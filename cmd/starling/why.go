package main

import (
	"context"
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
			"the node: no peers, nobody who reaches it, a sync that stands still. The first finding is the cause.",
		Flags: append(readFlags(datadir), &cli.StringFlag{
			Name: "recording", Usage: "answer out of a `FILE` of \"starling debug record\" instead of a running node", TakesFile: true,
		}),
		Action: func(ctx context.Context, cmd *cli.Command) error {
			if cmd.Args().Len() > 1 {
				return &usageError{fmt.Errorf("why wants one peer or none, got %d; \"starling peers\" lists them", cmd.Args().Len())}
			}
			if path := cmd.String("recording"); path != "" {
				return whyRecorded(cmd, path)
			}
			var params []any
			if who := cmd.Args().First(); who != "" {
				params = append(params, peerOf(who))
			}
			return show(ctx, cmd, func(ctx context.Context, n *node) (r why.Report, err error) {
				err = n.call(ctx, "starling_why", &r, params...)
				return r, err
			}, func(w io.Writer, r why.Report) error { return r.Write(w) })
		},
	}
}

// whyRecorded answers out of a recording.
func whyRecorded(cmd *cli.Command, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return &usageError{fmt.Errorf("%w; \"starling debug record\" makes a recording", err)}
	}
	defer f.Close()
	who := cmd.Args().First()
	if who != "" {
		who = peerOf(who)
	}
	r, err := why.Recorded(f, who)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if cmd.Bool("json") {
		return printJSON(cmd.Root().Writer, r)
	}
	return r.Write(cmd.Root().Writer)
}
