package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/starlingp2p/starling/internal/daemon"
	"github.com/starlingp2p/starling/internal/pause"
)

func probeCommand() *cli.Command {
	return &cli.Command{
		Name: "probe", Category: categoryTool, Usage: "meet a stranger's node: what it is, what it speaks, where it stands, what it refuses", ArgsUsage: "ADDR",
		Description: "No node and no datadir is needed; the identity is made for the occasion. ADDR is a multiaddr, an enode, a node\n" +
			"record (enr:…) or HOST:PORT. That says not what is spoken there, so the wires are tried in turn: native and opstack,\n" +
			"which are both on libp2p, then ontology on the networks that are known. A devp2p node is met by its enode alone.\n" +
			"The exit code is 0 if the node was reached, whatever it refused then, and 3 if not. With --watch a node that is not\n" +
			"reached is told as such, and asked again.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "wire", Usage: "the wire to speak; left out: what the address and the node say"},
			&cli.Uint32Flag{Name: "network", Usage: "the id of a private Ontology network, whose nodes hear nobody without it", HideDefault: true},
			&cli.BoolFlag{Name: "json", Usage: "print JSON instead of text", HideDefault: true},
			&cli.BoolFlag{Name: "watch", Usage: "go on, a line every 10 seconds, as JSON with --json", HideDefault: true},
		},
		Action: func(ctx context.Context, cmd *cli.Command) error {
			addr, err := one(cmd, "one address", "\"starling id\" prints a node's own")
			if err != nil {
				return err
			}
			if cmd.Bool("watch") {
				return watchProbe(ctx, cmd, addr)
			}
			r, err := probe(ctx, cmd, cmd.String("wire"), addr)
			if err != nil {
				return err
			}
			if cmd.Bool("json") {
				return printJSON(cmd.Root().Writer, r)
			}
			return printProbe(cmd.Root().Writer, r)
		},
	}
}

// probe meets the node at addr once.
func probe(ctx context.Context, cmd *cli.Command, wire, addr string) (daemon.ProbeReply, error) {
	r, err := daemon.Probe(ctx, wire, addr, cmd.Uint32("network"))
	switch {
	case err == nil:
	case errors.Is(err, daemon.ErrNoProbe), len(r.Steps) == 0 && daemon.AddrForm(addr) != "host:port":
		err = &usageError{err}
	default:
		err = &unreachable{err}
	}
	return r, err
}

// probeEvery is the pause between two looks of "probe --watch": each is a visit
// under a new identity, and who visits too often is not let in.
const probeEvery = 10 * time.Second

// watchProbe meets the node at addr again and again until ctx ends. Once the
// wire is known it is not guessed again.
func watchProbe(ctx context.Context, cmd *cli.Command, addr string) error {
	out, wire := cmd.Root().Writer, cmd.String("wire")
	for {
		r, err := probe(ctx, cmd, wire, addr)
		var gone *unreachable
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.As(err, &gone):
			r.Error = err.Error()
		case err != nil:
			return err
		default:
			wire = r.Wire
		}
		if cmd.Bool("json") {
			err = printLine(out, r)
		} else {
			_, err = fmt.Fprintf(out, "%s  %s\n", time.Now().Format(time.TimeOnly), probeLine(r))
		}
		if err != nil || pause.For(ctx, probeEvery) != nil {
			return err
		}
	}
}

// probeLine is a look in one line.
func probeLine(r daemon.ProbeReply) string {
	if r.Error != "" {
		return r.Error
	}
	parts := []string{r.Wire}
	if r.ID != "" {
		parts = append(parts, r.ID)
	}
	if r.Head != nil {
		parts = append(parts, strings.TrimSpace(fmt.Sprintf("head %d %s", r.Head.Number, r.Head.Hash)))
	}
	if r.RTTms > 0 {
		parts = append(parts, fmt.Sprintf("round trip %.2f ms", r.RTTms))
	}
	for _, s := range r.Steps {
		if !s.OK {
			parts = append(parts, s.Name+": "+refusal(s))
		}
	}
	return strings.Join(parts, "  ")
}

// refusal says who refused what was asked, and why.
func refusal(s daemon.ProbeStep) string {
	by := map[bool]string{true: " by the node"}[s.ByRemote]
	return fmt.Sprintf("refused%s: %s", by, strings.TrimSpace(s.Reason+" "+s.Detail))
}

// unreachable is an error of a node that cannot be reached.
type unreachable struct{ err error }

func (e *unreachable) Error() string { return e.err.Error() }
func (e *unreachable) Unwrap() error { return e.err }

func printProbe(w io.Writer, r daemon.ProbeReply) error {
	return table(w, "", func(tw *tabwriter.Writer) {
		line := func(name, format string, args ...any) {
			fmt.Fprintf(tw, "%s\t%s\n", name, fmt.Sprintf(format, args...))
		}
		line("id", "%s", r.ID)
		line("wire", "%s", spokenOf(r))
		line("agent", "%q", r.Agent)
		if r.Network != "" || r.Genesis != "" {
			line("network", "%s", strings.TrimSpace(fmt.Sprintf("%q %s", r.Network, genesisOf(r))))
		}
		if r.Head != nil {
			line("head", "%d %s", r.Head.Number, r.Head.Hash)
		}
		if r.ClockSkew != "" {
			line("clock", "%s against ours", r.ClockSkew)
		}
		if r.RTTms > 0 {
			line("round trip", "%.2f ms", r.RTTms)
		}
		line("speaks", "%s", strings.Join(r.Protocols, " "))
		for i, a := range r.Listen {
			line(map[bool]string{true: "listens on"}[i == 0], "%s", a)
		}
		for i, s := range r.Steps {
			what := tint(w, green, "yes")
			if !s.OK {
				what = tint(w, red, refusal(s))
			}
			line(map[bool]string{true: "asked"}[i == 0], "%s: %s", s.Name, what)
		}
		for i, t := range r.Tried {
			what := "it speaks " + t.Wire
			if !t.Speaks {
				what = "no, " + t.Reason
			}
			line(map[bool]string{true: "tried"}[i == 0], "%s: %s", t.Wire, what)
		}
	})
}

// spokenOf is the wire that a node speaks, and that it was found by trying if it was.
func spokenOf(r daemon.ProbeReply) string {
	if len(r.Tried) == 0 {
		return r.Wire
	}
	if !slices.ContainsFunc(r.Tried, func(t daemon.ProbeTry) bool { return t.Speaks }) {
		return "none that is known here; it was asked as if it spoke " + r.Wire
	}
	return r.Wire + ", found by trying"
}

// genesisOf is the genesis in words, where the node told it.
func genesisOf(r daemon.ProbeReply) string {
	if r.Genesis == "" {
		return ""
	}
	return "(genesis " + r.Genesis + ")"
}
