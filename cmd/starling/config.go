package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/urfave/cli/v3"

	"github.com/starlingp2p/starling/internal/daemon"
)

func configCommand() *cli.Command {
	return &cli.Command{
		Name: "config", Category: categoryTool, Usage: "show, check and explain the config",
		Commands: []*cli.Command{configDumpCommand(), configCheckCommand(), configDocsCommand(), configFlagsCommand()},
	}
}

func configDumpCommand() *cli.Command {
	return &cli.Command{
		Name: "dump", Usage: "every value as it counts, and whether a flag, the environment, the file or the default says so",
		Description: "With --running it is what the node of that datadir was started with, and what it took over at SIGHUP since.\n" +
			"With --watch it is printed again whenever it has changed: the file or, with --running, what counts for the node.\n" +
			"A file that cannot be used meanwhile is told on standard error.",
		Flags: append(configFlags(),
			&cli.BoolFlag{Name: "json", Usage: "print JSON instead of text", HideDefault: true},
			&cli.BoolFlag{Name: "watch", Usage: "go on, and print it again when it has changed; with --json one line each", HideDefault: true},
			&cli.BoolFlag{Name: "running", Usage: "ask the node that runs", HideDefault: true}),
		Action: func(ctx context.Context, cmd *cli.Command) error {
			if err := noArgs(cmd); err != nil {
				return err
			}
			path, over := layers(cmd)
			fetch := func(context.Context) (r daemon.ConfigReply, err error) {
				cfg, err := daemon.LoadLayers(path, over...)
				return cfg.Reply(), err
			}
			if cmd.Bool("running") {
				cfg, err := daemon.LoadLayers(path, over...)
				if err != nil {
					return err
				}
				n, err := reachAt(ctx, cfg.Datadir)
				if err != nil {
					return err
				}
				defer n.close()
				fetch = func(ctx context.Context) (r daemon.ConfigReply, err error) {
					err = n.call(ctx, "starling_config", &r)
					return r, err
				}
			}
			return look(ctx, cmd, changes(fetch, cmd.Root().ErrWriter), func(w io.Writer, r daemon.ConfigReply) error { return printValues(w, r.Values) })
		},
	}
}

// changes gives what fetch gives, and whether it is another than before. Once
// there was one, a config that cannot be used is told on stderr, once each.
func changes(fetch func(context.Context) (daemon.ConfigReply, error), stderr io.Writer) func(context.Context) (daemon.ConfigReply, bool, error) {
	var (
		last daemon.ConfigReply
		told string
	)
	return func(ctx context.Context) (daemon.ConfigReply, bool, error) {
		r, err := fetch(ctx)
		var config *daemon.ConfigError
		if errors.As(err, &config) && last.V != 0 {
			if err.Error() != told {
				told = err.Error()
				report(err, stderr)
			}
			return last, false, nil
		}
		told = ""
		anew := !slices.Equal(r.Values, last.Values)
		last = r
		return r, anew, err
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
		Flags: []cli.Flag{&cli.BoolFlag{Name: "json", Usage: "print the keys as JSON instead", HideDefault: true}},
		Action: func(_ context.Context, cmd *cli.Command) error {
			if err := noArgs(cmd); err != nil {
				return err
			}
			if cmd.Bool("json") {
				return printJSON(cmd.Root().Writer, map[string]any{"v": 1, "keys": daemon.Docs()})
			}
			_, err := io.WriteString(cmd.Root().Writer, daemon.SampleConfig())
			return err
		},
	}
}
