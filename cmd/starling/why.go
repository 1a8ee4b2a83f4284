package main

import (
	"context"
	"fmt"
	"io"

	"github.com/urfave/cli/v3"

	"github.com/starlingp2p/starling/internal/why"
)

func whyCommand(datadir cli.Flag) *cli.Command {
	return &cli.Command{
		Name: "why", Category: categoryLook, Usage: "what stands in the way of the node, or of a peer, and what helps", ArgsUsage: "[PEER]",
		Description: "PEER is an identity, the end of one, or an address, of a peer that is connected or was. Without it the answer is about\n" +
			"the node: no peers, nobody who reaches it, a sync that stands still. The first finding is the cause.",
		Flags: readFlags(datadir),
		Action: func(ctx context.Context, cmd *cli.Command) error {
			if cmd.Args().Len() > 1 {
				return &usageError{fmt.Errorf("why wants one peer or none, got %d; \"starling peers\" lists them", cmd.Args().Len())}
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
