// Command starling is a node of a blockchain network: "starling dev" shows a
// whole network on this machine, "starling run" is one member of a network,
// and the other verbs ask a running node. See "starling --help".
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/starlingp2p/starling/internal/daemon"
	"github.com/starlingp2p/starling/internal/rpc"
)

// Exit codes.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2 // bad flags, config, key or datadir: nothing was started
	exitUnreachable = 3 // no node answers
)

func main() { os.Exit(run(os.Args, os.Stdout, os.Stderr)) }

// run runs one command line and gives the exit code.
func run(args []string, stdout, stderr io.Writer) int {
	ctx, stop := interrupts(context.Background(), stderr)
	defer stop()
	cmd := command(stdout, stderr)
	return report(cmd.Run(ctx, args), stderr)
}

// sameSignal is how long after the first a second signal is taken for the same
// one: a supervisor may signal both the process and its group.
const sameSignal = 300 * time.Millisecond

// interrupts ends ctx at the first SIGINT or SIGTERM; at the second the process ends.
func interrupts(ctx context.Context, stderr io.Writer) (context.Context, func()) {
	ctx, cancel := context.WithCancel(ctx)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		select {
		case <-signals:
		case <-ctx.Done():
			return
		}
		cancel()
		for first := time.Now(); ; {
			<-signals
			if time.Since(first) >= sameSignal {
				fmt.Fprintln(stderr, "starling: ended at the second signal")
				os.Exit(exitFailed)
			}
		}
	}()
	return ctx, func() { signal.Stop(signals); cancel() }
}

// usageError is a mistake in how the program was called or configured.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// report prints an error as one line and gives the exit code.
func report(err error, stderr io.Writer) int {
	if err == nil {
		return exitOK
	}
	text := strings.ReplaceAll(strings.TrimPrefix(err.Error(), "starling: "), "\n", "; ")
	fmt.Fprintln(stderr, "starling:", text)
	var (
		usage  *usageError
		config *daemon.ConfigError
		start  *daemon.StartError
	)
	switch {
	case errors.Is(err, rpc.ErrUnreachable):
		return exitUnreachable
	case errors.As(err, &usage), errors.As(err, &config), errors.As(err, &start):
		return exitUsage
	}
	return exitFailed
}

func command(stdout, stderr io.Writer) *cli.Command {
	datadir := &cli.StringFlag{
		Name: "datadir", Usage: "the node's folder", Value: defaultDatadir(),
		Sources: cli.EnvVars("STARLING_DATADIR"), TakesFile: true,
	}
	jsonOut := &cli.BoolFlag{Name: "json", Usage: "print JSON instead of text"}
	cmd := &cli.Command{
		Name:                  "starling",
		Usage:                 "the network layer of a blockchain node",
		Description:           "Without a network at hand, start with \"starling dev\".",
		Version:               version(),
		HideVersion:           true,
		EnableShellCompletion: true,
		Suggest:               true,
		Writer:                stdout,
		ErrWriter:             stderr,
		Commands: []*cli.Command{
			devCommand(),
			initCommand(datadir),
			runCommand(),
			statusCommand(datadir, jsonOut),
			peersCommand(datadir, jsonOut),
			connectCommand(datadir),
			idCommand(datadir, jsonOut),
			versionCommand(jsonOut),
		},
		CommandNotFound: func(_ context.Context, _ *cli.Command, name string) {
			fmt.Fprintf(stderr, "starling: no verb %q; see \"starling --help\"\n", name)
		},
		Action: func(_ context.Context, cmd *cli.Command) error {
			if name := cmd.Args().First(); name != "" {
				return &usageError{fmt.Errorf("no verb %q; see \"starling --help\"", name)}
			}
			return cli.ShowAppHelp(cmd)
		},
		ExitErrHandler: func(context.Context, *cli.Command, error) {},
	}
	usage := func(_ context.Context, cmd *cli.Command, err error, _ bool) error {
		return &usageError{fmt.Errorf("%w; see \"%s --help\"", err, cmd.FullName())}
	}
	cmd.OnUsageError = usage
	for _, sub := range cmd.Commands {
		sub.OnUsageError = usage
		sub.ExitErrHandler = cmd.ExitErrHandler
	}
	return cmd
}

// defaultDatadir follows the XDG base directory specification.
func defaultDatadir() string {
	if dir := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "starling")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "starling-data"
	}
	return filepath.Join(home, ".local", "share", "starling")
}

// noArgs refuses arguments that a verb does not take.
func noArgs(cmd *cli.Command) error {
	if cmd.Args().Present() {
		return &usageError{fmt.Errorf("%s takes no argument, got %q; see \"%[1]s --help\"", cmd.FullName(), cmd.Args().First())}
	}
	return nil
}
