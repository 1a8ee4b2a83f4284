package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/urfave/cli/v3"

	"github.com/starlingp2p/starling/internal/daemon"
)

func probeCommand() *cli.Command {
	return &cli.Command{
		Name: "probe", Category: categoryTool, Usage: "meet a stranger's node: what it is, what it speaks, where it stands, what it refuses", ArgsUsage: "ADDR",
		Description: "No node and no datadir is needed; the identity is made for the occasion. ADDR is a multiaddr, an enode, a node\n" +
			"record (enr:…) or HOST:PORT; an Ontology node at HOST:PORT wants --wire ontology. The exit code is 0 if the node was\n" +
			"reached, whatever it refused then, and 3 if not.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "wire", Usage: "the wire to speak; left out: what the address and the node say"},
			&cli.Uint32Flag{Name: "network", Usage: "the id of a private Ontology network, whose nodes hear nobody without it", HideDefault: true},
			&cli.BoolFlag{Name: "json", Usage: "print JSON instead of text", HideDefault: true},
		},
		Action: func(ctx context.Context, cmd *cli.Command) error {
			addr, err := one(cmd, "one address", "\"starling id\" prints a node's own")
			if err != nil {
				return err
			}
			r, err := daemon.Probe(ctx, cmd.String("wire"), addr, cmd.Uint32("network"))
			if errors.Is(err, daemon.ErrNoProbe) {
				return &usageError{err}
			}
			if err != nil && len(r.Steps) == 0 && daemon.AddrForm(addr) != "host:port" {
				return &usageError{err}
			}
			if err != nil {
				return &unreachable{err}
			}
			if cmd.Bool("json") {
				return printJSON(cmd.Root().Writer, r)
			}
			return printProbe(cmd.Root().Writer, r)
		},
	}
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
		line("wire", "%s", r.Wire)
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
				by := map[bool]string{true: " by the node"}[s.ByRemote]
				what = tint(w, red, fmt.Sprintf("refused%s: %s", by, strings.TrimSpace(s.Reason+" "+s.Detail)))
			}
			line(map[bool]string{true: "asked"}[i == 0], "%s: %s", s.Name, what)
		}
	})
}

// genesisOf is the genesis in words, where the node told it.
func genesisOf(r daemon.ProbeReply) string {
	if r.Genesis == "" {
		return ""
	}
	return "(genesis " + r.Genesis + ")"
}
