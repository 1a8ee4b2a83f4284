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
	"regexp"
	"slices"
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
	return report(command(stdout, stderr).Run(ctx, args), stderr)
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
	var (
		usage  *usageError
		config *daemon.ConfigError
		start  *daemon.StartError
		gone   *unreachable
		addr   *daemon.AddrError
	)
	if name, ok := strings.CutPrefix(err.Error(), "No help topic for "); ok { // the library has no value for it
		err = &usageError{fmt.Errorf("no verb %s to help with; see \"starling --help\"", name)}
	}
	text := strings.ReplaceAll(strings.TrimPrefix(err.Error(), "starling: "), "\n", "; ")
	fmt.Fprintln(stderr, "starling:", text)
	switch {
	case errors.Is(err, rpc.ErrUnreachable), errors.As(err, &gone):
		return exitUnreachable
	case errors.As(err, &usage), errors.As(err, &config), errors.As(err, &start), errors.As(err, &addr):
		return exitUsage
	}
	return exitFailed
}

// Categories of verbs, in the order of the help.
const (
	categoryRun  = "1. Run"
	categoryLook = "2. Look"
	categoryAct  = "3. Act on a running node"
	categoryTool = "4. Tools"
)

func command(stdout, stderr io.Writer) *cli.Command {
	datadir := &cli.StringFlag{
		Name: "datadir", Usage: "the node's `FOLDER`", Value: defaultDatadir(), DefaultText: "~/.local/share/starling",
		TakesFile: true, Validator: aFolder,
	}
	if os.Getenv("STARLING_DATADIR") != "" { // a variable that is empty says nothing
		datadir.Sources = cli.EnvVars("STARLING_DATADIR")
	}
	cmd := &cli.Command{
		Name:                  "starling",
		Usage:                 "the network layer of a blockchain node",
		Description:           "Without a network at hand, start with \"starling dev\".",
		Version:               version(),
		EnableShellCompletion: true,
		Writer:                stdout,
		ErrWriter:             stderr,
		Commands: []*cli.Command{
			devCommand(),
			initCommand(datadir),
			runCommand(),
			statusCommand(datadir),
			idCommand(datadir),
			peersCommand(datadir),
			whyCommand(datadir),
			doctorCommand(),
			tailCommand(datadir),
			connectCommand(datadir),
			disconnectCommand(datadir),
			banCommand(datadir),
			unbanCommand(datadir),
			pingCommand(datadir),
			probeCommand(),
			importCommand(),
			exportCommand(),
			keyCommand(),
			configCommand(),
			debugCommand(datadir),
			docsCommand(),
			versionCommand(),
		},
		Action: func(_ context.Context, cmd *cli.Command) error {
			if name := cmd.Args().First(); name != "" {
				return unknownVerb(cmd, name)
			}
			return cli.ShowAppHelp(cmd)
		},
		ConfigureShellCompletionCommand: completion,
	}
	prepare(cmd)
	cmd.HideHelpCommand = false // "starling help VERB" is in people's fingers
	return cmd
}

// prepare gives a verb and those below it what all have in common.
func prepare(cmd *cli.Command) {
	cmd.OnUsageError = func(_ context.Context, cmd *cli.Command, err error, _ bool) error { return badFlag(cmd, err) }
	cmd.ExitErrHandler = func(context.Context, *cli.Command, error) {}
	cmd.HideHelpCommand = true
	if slices.ContainsFunc(cmd.Flags, isOfOthers) {
		cmd.ShellComplete = completeFlags
	}
	if len(cmd.Commands) > 0 && cmd.Action == nil {
		cmd.Action = func(_ context.Context, cmd *cli.Command) error {
			if name := cmd.Args().First(); name != "" {
				return unknownVerb(cmd, name)
			}
			return cli.ShowSubcommandHelp(cmd)
		}
	}
	for _, sub := range cmd.Commands {
		prepare(sub)
	}
}

// unknownVerb names the verb that was probably meant.
func unknownVerb(cmd *cli.Command, name string) error {
	var names []string
	for _, sub := range cmd.Commands {
		if !sub.Hidden {
			names = append(names, sub.Names()...)
		}
	}
	if near := similar(name, names); near != "" {
		return &usageError{fmt.Errorf("no verb %.80q; did you mean \"%s %s\"?", name, cmd.FullName(), near)}
	}
	return &usageError{fmt.Errorf("no verb %.80q; see \"%s --help\"", name, cmd.FullName())}
}

// badFlag says what is wrong with a flag, and names the one that was probably
// meant.
func badFlag(cmd *cli.Command, err error) error {
	text := err.Error()
	if _, name, ok := strings.Cut(text, "not defined: "); ok {
		name = strings.TrimLeft(name, "-")
		if name == "watch" {
			return &usageError{fmt.Errorf("%s has no flag --watch; the verbs that go on with it are %s", cmd.FullName(), strings.Join(verbsWith(cmd.Root(), name, ""), ", "))}
		}
		var names []string
		for _, f := range cmd.Flags {
			names = append(names, f.Names()...)
		}
		if near := similar(name, names); near != "" {
			return &usageError{fmt.Errorf("%s has no flag --%.80s; did you mean --%s?", cmd.FullName(), name, near)}
		}
		return &usageError{fmt.Errorf("%s has no flag --%.80s; see \"%[1]s --help\"", cmd.FullName(), name)}
	}
	if m := badValue.FindStringSubmatch(text); m != nil {
		if m[1] == "" {
			m[1] = "empty"
		}
		return &usageError{fmt.Errorf("--%s is %.80s, want %s; see \"%s --help\"", m[2], m[1], wanted(cmd, m[2], m[3]), cmd.FullName())}
	}
	return &usageError{fmt.Errorf("%w; see \"%s --help\"", err, cmd.FullName())}
}

// verbsWith are the verbs below cmd that have a flag, each with the verbs above
// it, and those with above.
func verbsWith(cmd *cli.Command, flag, above string) (names []string) {
	for _, sub := range cmd.Commands {
		for _, f := range sub.Flags {
			if slices.Contains(f.Names(), flag) {
				names = append(names, above+sub.Name)
			}
		}
		names = append(names, verbsWith(sub, flag, above+sub.Name+" ")...)
	}
	return names
}

// badValue is how the library tells of a value that a flag does not take.
var badValue = regexp.MustCompile(`^invalid value "(.*)" for flag -(\S+): (.*)$`)

// wanted says what a flag takes: the bounds, where the value was beyond them,
// else the kind.
func wanted(cmd *cli.Command, name, why string) string {
	if bounds, ok := strings.CutPrefix(why, "want "); ok {
		return bounds
	}
	for _, f := range cmd.Flags {
		if !slices.Contains(f.Names(), name) {
			continue
		}
		switch f.(type) {
		case *cli.IntFlag:
			return "a whole number"
		case *cli.DurationFlag:
			return `a duration as in "30s"`
		case *cli.BoolFlag:
			return "true or false"
		}
	}
	return "another: " + why
}

// aFolder is a flag's check that a folder is named: an empty one comes of a
// shell's variable that was never set.
func aFolder(name string) error {
	if name == "" {
		return errors.New("want a folder")
	}
	return nil
}

// notBelowZero is a flag's check that a number is none below zero.
func notBelowZero(n int) error {
	if n < 0 {
		return errors.New("want 0 or more")
	}
	return nil
}

// between is a flag's check that a number is within bounds.
func between(least, most int) func(int) error {
	return func(n int) error {
		if n < least || n > most {
			return fmt.Errorf("want %d to %d", least, most)
		}
		return nil
	}
}

// similar is the name that is most like a misspelt one, if any is.
func similar(name string, names []string) string {
	if len(name) > 64 {
		return ""
	}
	best, bestAt := "", min(1+max(2, len(name)/3), len(name))
	for _, n := range names {
		if d := daemon.Distance(name, n); d < bestAt && len(n) > 1 {
			best, bestAt = n, d
		}
	}
	return best
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
		return &usageError{fmt.Errorf("%s takes no argument, got %q; see \"starling %[1]s --help\"", strings.TrimPrefix(cmd.FullName(), "starling "), cmd.Args().First())}
	}
	return nil
}
