package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/urfave/cli/v3"

	"github.com/starlingp2p/starling/internal/daemon"
)

func configCommand() *cli.Command {
	return &cli.Command{
		Name: "config", Category: categoryTool, Usage: "show, check and explain the config",
		Commands: []*cli.Command{configDumpCommand(), configCheckCommand(), configDocsCommand()},
	}
}

func configDumpCommand() *cli.Command {
	return &cli.Command{
		Name: "dump", Usage: "every value as it counts, and whether a flag, the environment, the file or the default says so",
		Description: "With --running it is what the node of that datadir was started with.",
		Flags: append(configFlags(),
			&cli.BoolFlag{Name: "json", Usage: "print JSON instead of text", HideDefault: true},
			&cli.BoolFlag{Name: "running", Usage: "ask the node that runs", HideDefault: true}),
		Action: func(ctx context.Context, cmd *cli.Command) error {
			if err := noArgs(cmd); err != nil {
				return err
			}
			cfg, err := loadConfig(cmd)
			if err != nil {
				return err
			}
			r := cfg.Reply()
			if cmd.Bool("running") {
				n, err := reachAt(ctx, cfg.Datadir)
				if err != nil {
					return err
				}
				defer n.close()
				if err := n.call(ctx, "starling_config", &r); err != nil {
					return err
				}
			}
			if cmd.Bool("json") {
				return printJSON(cmd.Root().Writer, r)
			}
			return printValues(cmd.Root().Writer, r.Values)
		},
	}
}

func printValues(w io.Writer, values []daemon.Value) error {
	return table(w, "KEY VALUE ORIGIN", func(tw *tabwriter.Writer) {
		for _, v := range values {
			fmt.Fprintf(tw, "%s\t%s\t%s\n", v.Key, short(v.Value), v.Origin)
		}
	})
}

// widest is how much of a value a line of the table shows: a list of boot nodes
// has thousands of bytes. JSON has all of it.
const widest = 100

// short cuts a value that is too long for a table.
func short(value string) string {
	if len(value) <= widest {
		return value
	}
	return fmt.Sprintf("%s… (%d bytes)", strings.ToValidUTF8(value[:widest], ""), len(value))
}

func configCheckCommand() *cli.Command {
	return &cli.Command{
		Name: "check", Usage: "check a config without starting anything", ArgsUsage: "[FILE]",
		Description: "The exit code is 0 for a good config and 2 for a bad one; the line and the key are named, all problems at once.",
		Flags:       append(configFlags(), &cli.BoolFlag{Name: "json", Usage: "print JSON instead of text", HideDefault: true}),
		Action: func(_ context.Context, cmd *cli.Command) error {
			if cmd.Args().Len() > 1 {
				return &usageError{fmt.Errorf("config check wants one file, got %d; call it once for each", cmd.Args().Len())}
			}
			if file := cmd.Args().First(); file != "" {
				if err := cmd.Set("config", file); err != nil {
					return &usageError{err}
				}
			}
			cfg, err := loadConfig(cmd)
			if err != nil {
				return err
			}
			return done(cmd, cfg.Path()+" is good", map[string]any{"good": cfg.Path()})
		},
	}
}

func configDocsCommand() *cli.Command {
	return &cli.Command{
		Name: "docs", Usage: "print a config file with every key and what it means",
		Action: func(_ context.Context, cmd *cli.Command) error {
			if err := noArgs(cmd); err != nil {
				return err
			}
			_, err := io.WriteString(cmd.Root().Writer, daemon.SampleConfig())
			return err
		},
	}
}
