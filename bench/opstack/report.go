package main

import (
	"bytes"
	"fmt"
	"runtime"
	"time"

	"github.com/starlingp2p/starling/bench/internal/report"
)

// begin is the line of a document behind which the report is written.
const begin = "<!-- make bench: opstack -->\n"

// result is the report as Markdown.
func result(o options, rounds []round) string {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%d rounds, on %s: %d cores for all processes, %s %s/%s.\n\n",
		len(rounds), time.Now().UTC().Format("2006-01-02"), runtime.NumCPU(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	median := func(of func(round) float64) float64 { return report.Each(rounds, of).Median }

	fmt.Fprintf(&b, "| 95th of the delays of a peer, ms | requests | alone | beside %d requests | more |\n|---|---|---|---|---|\n", neighbours)
	delay := func(name, requests string, idle, beside func(round) float64) {
		if of := median(idle); of > 0 {
			fmt.Fprintf(&b, "| %s | %s | %.1f | %.1f | **%.1f** |\n", name, requests, of, median(beside), median(beside)-of)
		}
	}
	delay("Starling (aim: 20 more)", fmt.Sprint(o.requests), func(r round) float64 { return r.Idle }, func(r round) float64 { return r.Beside })
	delay("op-node v1.19.6", fmt.Sprintf("%d and %d", max(o.requests/5, 1), max(o.requests/20, 1)), func(r round) float64 { return r.OpIdle }, func(r round) float64 { return r.OpBeside })

	pace := func(seconds func(round) float64) func(round) float64 {
		return func(r round) float64 { return float64(o.blocks) / seconds(r) }
	}
	fmt.Fprintf(&b, "\n| blocks/s of %d bytes from one server | blocks | least | median | greatest |\n|---|---|---|---|---|\n", o.size)
	line := func(name string, blocks int, of func(round) float64) {
		if s := report.Each(rounds, of); s.Median > 0 {
			fmt.Fprintf(&b, "| %s | %d | %.1f | %.1f | %.1f |\n", name, blocks, s.Min, s.Median, s.Max)
		}
	}
	starling, plain := func(r round) float64 { return r.Fill }, func(r round) float64 { return r.Raw }
	op := func(r round) float64 { return r.OpPace }
	line("Starling from Starling, onto its disk", o.blocks, pace(starling))
	line("raw baseline with the same database", o.blocks, pace(plain))
	line("op-node v1.19.0 from v1.19.6, behind its burst", o.steady, op)

	fmt.Fprintf(&b, "\n| µs of id and validation, 200 transactions | Starling | op-node v1.19.6 |\n|---|---|---|\n")
	fmt.Fprintf(&b, "| one copy | %.0f | %.0f |\n", median(func(r round) float64 { return r.One }), median(func(r round) float64 { return r.OpOne }))
	fmt.Fprintf(&b, "| one block and six copies | %.0f | %.0f |\n", median(func(r round) float64 { return r.Seven }), median(func(r round) float64 { return r.OpSeven }))

	fmt.Fprintf(&b, "\n| ratio of medians | aim | | for information: in processor time |\n|---|---|---|---|\n")
	if pace := median(op); pace > 0 {
		fmt.Fprintf(&b, "| gap: Starling's pace to op-node's | 100 | **%.0f** | |\n", float64(o.blocks)/median(starling)/pace)
	}
	ratio := func(what, aim string, ours, theirs func(times) float64) {
		passed := func(of func(times) float64) float64 { return median(func(r round) float64 { return of(r.times) }) }
		cpu := func(of func(times) float64) float64 { return median(func(r round) float64 { return of(r.CPU) }) }
		fmt.Fprintf(&b, "| %s | %s | **%.2f** | %.2f |\n", what, aim, passed(ours)/passed(theirs), cpu(ours)/cpu(theirs))
	}
	ratio("gap: Starling's time to the raw baseline's", "2.5", func(t times) float64 { return t.Fill }, func(t times) float64 { return t.Raw })
	ratio("gossip, one copy: Starling's time to op-node's", "1.0", func(t times) float64 { return t.One }, func(t times) float64 { return t.OpOne })
	ratio("gossip, seven: Starling's time to op-node's", "0.8", func(t times) float64 { return t.Seven }, func(t times) float64 { return t.OpSeven })
	return b.String()
}
