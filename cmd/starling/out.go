package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v3"
	"golang.org/x/sys/unix"

	"github.com/starlingp2p/starling/internal/daemon"
	"github.com/starlingp2p/starling/internal/rpc"
)

// askTimeout bounds a question to a running node.
const askTimeout = 30 * time.Second

// watchEvery is the pause between two looks of --watch.
const watchEvery = time.Second

// isTerminal reports whether a person sees what is written there.
func isTerminal(w io.Writer) bool {
	_, ok := columns(w)
	return ok
}

// columns is the width of the window that a terminal shows in, 0: not known.
func columns(w io.Writer) (n int, terminal bool) {
	f, ok := w.(*os.File)
	if !ok {
		return 0, false
	}
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0, false
	}
	return int(size.Col), true
}

// windowOf gives the width of a terminal on which a line can be written over;
// nil: it is none, or a dumb one.
func windowOf(w io.Writer) func() int {
	if !isTerminal(w) || os.Getenv("TERM") == "dumb" {
		return nil
	}
	return func() int {
		n, _ := columns(w)
		return n
	}
}

// colours reports whether text may be coloured: for people only, and not where
// NO_COLOR (no-color.org) is set.
func colours(w io.Writer) bool {
	return os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && isTerminal(w)
}

// Colours, as SGR codes.
const (
	bold   = "1"
	red    = "31"
	green  = "32"
	yellow = "33"
)

// printJSON writes one document.
func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// printLine writes one JSON line.
func printLine(w io.Writer, v any) error { return json.NewEncoder(w).Encode(v) }

// table writes columns under a heading; without one the columns alone.
func table(w io.Writer, heading string, fill func(tw *tabwriter.Writer)) error {
	var b strings.Builder
	tw := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	if heading != "" {
		fmt.Fprintln(tw, strings.ReplaceAll(heading, " ", "\t"))
	}
	fill(tw)
	if err := tw.Flush(); err != nil {
		return err
	}
	text := b.String()
	if head, rest, ok := strings.Cut(text, "\n"); ok && heading != "" { // only now: codes have a width for the columns
		text = tint(w, bold, head) + "\n" + rest
	}
	_, err := io.WriteString(w, text)
	return err
}

// A node is a running node that is asked.
type node struct {
	dir    string
	client *rpc.Client
}

// reach opens a connection to the node with the datadir of a command line.
func reach(ctx context.Context, cmd *cli.Command) (*node, error) {
	return reachAt(ctx, cmd.String("datadir"))
}

func reachAt(ctx context.Context, dir string) (*node, error) {
	c, err := rpc.Dial(ctx, daemon.SocketPath(dir))
	if err != nil {
		return nil, fmt.Errorf("%w; is a node running with datadir %s? start it with \"starling run\", or name its folder with --datadir", err, dir)
	}
	return &node{dir, c}, nil
}

func (n *node) close() { n.client.Close() }

func (n *node) call(ctx context.Context, method string, result any, params ...any) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	return n.client.Call(ctx, method, result, params...)
}

// readFlags are those of every verb that only asks.
func readFlags(datadir cli.Flag) []cli.Flag {
	return []cli.Flag{
		datadir,
		&cli.BoolFlag{Name: "json", Usage: "print JSON instead of text", HideDefault: true},
		&cli.BoolFlag{Name: "watch", Usage: "go on, a look each second; with --json one line a look", HideDefault: true},
	}
}

// show prints what fetch gets of a node: once or, with --watch, again and again.
func show[T any](ctx context.Context, cmd *cli.Command, fetch func(context.Context, *node) (T, error), text func(io.Writer, T) error) error {
	n, err := reach(ctx, cmd)
	if err != nil {
		return err
	}
	defer n.close()
	return look(ctx, cmd, func(ctx context.Context) (T, bool, error) {
		v, err := fetch(ctx, n)
		return v, true, err
	}, text)
}

// look prints what fetch gives: once or, with --watch, again and again until
// Ctrl-C; as JSON or as text writes it. A later look whose fetch reports false
// has nothing to show and prints nothing.
func look[T any](ctx context.Context, cmd *cli.Command, fetch func(context.Context) (T, bool, error), text func(io.Writer, T) error) error {
	out, watch := cmd.Root().Writer, cmd.Bool("watch")
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for first := true; ; first = false {
		v, anew, err := fetch(ctx)
		switch {
		case err != nil && watch && ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		case !anew && !first:
		case cmd.Bool("json") && watch:
			err = printLine(out, v)
		case cmd.Bool("json"):
			err = printJSON(out, v)
		default:
			var b strings.Builder
			if watch && isTerminal(out) {
				b.WriteString("\x1b[H\x1b[2J")
			} else if !first {
				b.WriteByte('\n')
			}
			if err = text(&tinted{&b, colours(out)}, v); err == nil {
				_, err = io.WriteString(out, b.String())
			}
		}
		if err != nil || !watch {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// tinted is a text in the making that may be coloured.
type tinted struct {
	io.Writer
	colour bool
}

// tint colours text where it may be coloured.
func tint(w io.Writer, code, text string) string {
	if t, ok := w.(*tinted); ok && t.colour || !ok && colours(w) {
		return "\x1b[" + code + "m" + text + "\x1b[0m"
	}
	return text
}
