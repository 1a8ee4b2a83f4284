package main

import (
	"bytes"
	"fmt"
	"runtime"
	"time"

	"github.com/starlingp2p/starling/bench/internal/report"
)

// begin is the line of a document behind which the report is written.
const begin = "<!-- make bench: ontology -->\n"

// report is the result as Markdown.
func (m measured) report(o options) string {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%d empty blocks, and %d of %d transactions, %d rounds, on %s: %d cores for all processes, %s %s/%s.\n\n",
		o.blocks, o.full, o.txs, o.rounds, time.Now().UTC().Format("2006-01-02"), runtime.NumCPU(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	fmt.Fprintf(&b, "| blocks/s | least | median | greatest |\n|---|---|---|---|\n")
	rate := func(name string, rounds []round, blocks int, of func(round) float64) {
		if len(rounds) == 0 || of(rounds[0]) == 0 {
			return
		}
		s := report.Each(rounds, func(r round) float64 { return float64(blocks) / of(r) })
		fmt.Fprintf(&b, "| %s | %.0f | %.0f | %.0f |\n", name, s.Min, s.Median, s.Max)
	}
	bare, starling := func(r round) float64 { return r.Bare }, func(r round) float64 { return r.Starling }
	overlapped := func(r round) float64 { return r.Overlapped }
	own, served := func(r round) float64 { return r.V1 }, func(r round) float64 { return r.Served }
	for _, c := range []struct {
		what   string
		rounds []round
		blocks int
	}{{"empty", m.empty, o.blocks}, {fmt.Sprintf("of %d transactions", o.txs), m.full, o.full}} {
		rate(c.what+": bare client from v1.0.0", c.rounds, c.blocks, bare)
		rate("for information: "+c.what+", bare client that asks for blocks while headers still come", c.rounds, c.blocks, overlapped)
		rate(c.what+": Starling from v1.0.0, onto its disk", c.rounds, c.blocks, starling)
		rate(c.what+": v1.0.0's own download, which executes", c.rounds, c.blocks, own)
		rate(c.what+": bare client from Starling", c.rounds, c.blocks, served)
	}
	fmt.Fprintf(&b, "\n| ratio of medians | aim | empty blocks | with transactions |\n|---|---|---|---|\n")
	ratio := func(rounds []round, over, under func(round) float64) string {
		if len(rounds) == 0 || over(rounds[0]) == 0 {
			return "-"
		}
		return fmt.Sprintf("**%.2f**", report.Each(rounds, over).Median/report.Each(rounds, under).Median)
	}
	fmt.Fprintf(&b, "| Starling's sync to the bare client's | 0.7 | %s | %s |\n", ratio(m.empty, bare, starling), ratio(m.full, bare, starling))
	fmt.Fprintf(&b, "| for information: to that of the one that overlaps | | %s | %s |\n", ratio(m.empty, overlapped, starling), ratio(m.full, overlapped, starling))
	fmt.Fprintf(&b, "| Starling's sync to v1.0.0's own | 12, with transactions 5 | %s | %s |\n", ratio(m.empty, own, starling), ratio(m.full, own, starling))
	fmt.Fprintf(&b, "| served by Starling to served by v1.0.0 | 1.5 | %s | %s |\n", ratio(m.empty, bare, served), ratio(m.full, bare, served))
	if len(m.stalls) > 0 && m.stalls[0].Idle > 0 {
		idle := report.Each(m.stalls, func(s stalls) float64 { return s.Idle })
		beside := report.Each(m.stalls, func(s stalls) float64 { return s.Beside })
		fmt.Fprintf(&b, "\nDelivery to %d sessions, 99th of a hundred, median of the rounds: %.2f ms idle, **%.2f ms** beside a peer that has asked for blocks and reads nothing.\n",
			listeners, idle.Median, beside.Median)
	}
	return b.String()
}
