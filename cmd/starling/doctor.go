package main

import (
	"context"
	"errors"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/starlingp2p/starling/internal/daemon"
	"github.com/starlingp2p/starling/internal/pause"
	"github.com/starlingp2p/starling/internal/rpc"
)

func doctorCommand() *cli.Command {
	return &cli.Command{
		Name: "doctor", Category: categoryLook, Usage: "check whether a node can work here: config, folder, disk, keys, ports, clock, addresses, DNS",
		Description: "A node need not run; one that does is asked what it sees. What failed comes first, the cause before what comes of it.\n" +
			"The exit code is 1 if a check failed. Nothing is changed.",
		Flags: append(configFlags(),
			&cli.BoolFlag{Name: "json", Usage: "print JSON instead of text", HideDefault: true},
			&cli.BoolFlag{Name: "watch", Usage: "go on, a look every 10 seconds; with --json one line a look", HideDefault: true}),
		Action: func(ctx context.Context, cmd *cli.Command) error {
			if err := noArgs(cmd); err != nil {
				return err
			}
			for {
				failed, err := examine(ctx, cmd)
				if err != nil {
					return err
				}
				if !cmd.Bool("watch") {
					if failed {
						return errors.New("a check failed; see above what to do")
					}
					return nil
				}
				if pause.For(ctx, 10*time.Second) != nil {
					return nil
				}
			}
		},
	}
}

// examine makes all checks once and prints them.
func examine(ctx context.Context, cmd *cli.Command) (failed bool, err error) {
	cfg, cfgErr := loadConfig(cmd)
	var caller daemon.Caller
	if cfgErr == nil {
		if c, err := rpc.Dial(ctx, daemon.SocketPath(cfg.Datadir)); err == nil {
			defer c.Close()
			caller = c
		}
	}
	r := daemon.Doctor(ctx, cfg, cfgErr, caller)
	out := cmd.Root().Writer
	switch {
	case cmd.Bool("json") && cmd.Bool("watch"):
		err = printLine(out, r)
	case cmd.Bool("json"):
		err = printJSON(out, r)
	default:
		err = r.Write(out)
	}
	return r.Failed(), err
}
