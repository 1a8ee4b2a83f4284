package main

import (
	"context"
	"fmt"
	"maps"
	"runtime"
	"runtime/debug"
	"slices"

	"github.com/urfave/cli/v3"

	"github.com/starlingp2p/starling/internal/daemon"
)

func versionCommand() *cli.Command {
	return &cli.Command{
		Name: "version", Category: categoryTool, Usage: "what this program is, and what it speaks",
		Flags: []cli.Flag{&cli.BoolFlag{Name: "json", Usage: "print JSON instead of text", HideDefault: true}},
		Action: func(_ context.Context, cmd *cli.Command) error {
			if err := noArgs(cmd); err != nil {
				return err
			}
			out := cmd.Root().Writer
			if cmd.Bool("json") {
				return printJSON(out, map[string]any{
					"v": 1, "version": version(), "commit": commit(), "go": runtime.Version(),
					"wires": daemon.Protocols(), "config_version": daemon.ConfigVersion,
				})
			}
			fmt.Fprintf(out, "starling %s (%s), %s\n", version(), commit(), runtime.Version())
			all := daemon.Protocols()
			for _, name := range slices.Sorted(maps.Keys(all)) {
				for _, p := range all[name] {
					fmt.Fprintf(out, "%s  %s\n", name, p)
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
