package main

import (
	"bytes"
	"fmt"
	"runtime"
	"time"

	"github.com/starlingp2p/starling/bench/internal/report"
)

// The lines of a document between which reports are written.
const (
	reportBegin = "<!-- make bench: sync -->\n"
	rpcBegin    = "<!-- make bench: rpc -->\n"
)

// syncReport is the result as Markdown.
func syncReport(o options, rounds []round) string {
	var b bytes.Buffer
	starling := report.Each(rounds, func(r round) float64 { return r.Starling.Seconds })
	raw := report.Each(rounds, func(r round) float64 { return r.Raw.Seconds })
	mib := float64(o.blocks) * float64(o.size) / (1 << 20)
	fmt.Fprintf(&b, "%d blocks of %d bytes, %d rounds, on %s: %d cores for both processes, %s %s/%s.\n\n",
		o.blocks, o.size, len(rounds), time.Now().UTC().Format("2006-01-02"), runtime.NumCPU(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	fmt.Fprintf(&b, "**Ratio, median over median: %.2f.**\n\n", starling.Median/raw.Median)
	fmt.Fprintf(&b, "| seconds | least | median | greatest | MiB/s | CPU-seconds serving | CPU-seconds syncing | synced commits |\n|---|---|---|---|---|---|---|---|\n")
	line := func(name string, of func(round) run) {
		s := report.Each(rounds, func(r round) float64 { return of(r).Seconds })
		fmt.Fprintf(&b, "| %s | %.2f | %.2f | %.2f | %.0f | %.2f | %.2f | %.0f |\n", name, s.Min, s.Median, s.Max, mib/s.Median,
			report.Each(rounds, func(r round) float64 { return of(r).ServeCPU }).Median,
			report.Each(rounds, func(r round) float64 { return of(r).CPU }).Median,
			report.Each(rounds, func(r round) float64 { return float64(len(of(r).Imports)) }).Median)
	}
	line("Starling", func(r round) run { return r.Starling })
	line("baseline", func(r round) run { return r.Raw })
	if o.more {
		line("for information: baseline that receives while it commits", func(r round) run { return r.Ahead })
		line("for information: Starling, budgets and pacing as by default", func(r round) run { return r.Budgeted })
	}
	ratio := report.Each(rounds, func(r round) float64 { return r.Starling.Seconds / r.Raw.Seconds })
	fmt.Fprintf(&b, "\nRound by round the ratio was %.2f to %.2f.\n", ratio.Min, ratio.Max)
	return b.String()
}
