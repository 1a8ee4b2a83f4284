package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"time"
)

// The lines of a document between which reports are written.
const (
	reportBegin = "<!-- make bench: sync -->\n"
	rpcBegin    = "<!-- make bench: rpc -->\n"
	reportEnd   = "<!-- end -->\n"
)

// spread is the least, the middle and the greatest of some figures.
type spread struct{ min, median, max float64 }

func spreadOf(xs []float64) spread {
	s := slices.Sorted(slices.Values(xs))
	n := len(s)
	return spread{s[0], (s[(n-1)/2] + s[n/2]) / 2, s[n-1]}
}

func each(rounds []round, of func(round) float64) spread {
	xs := make([]float64, len(rounds))
	for i, r := range rounds {
		xs[i] = of(r)
	}
	return spreadOf(xs)
}

// report is the result as Markdown.
func report(o options, rounds []round) string {
	var b bytes.Buffer
	starling := each(rounds, func(r round) float64 { return r.Starling.Seconds })
	raw := each(rounds, func(r round) float64 { return r.Raw.Seconds })
	mib := float64(o.blocks) * float64(o.size) / (1 << 20)
	fmt.Fprintf(&b, "%d blocks of %d bytes, %d rounds, on %s: %d cores for both processes, %s %s/%s.\n\n",
		o.blocks, o.size, len(rounds), time.Now().UTC().Format("2006-01-02"), runtime.NumCPU(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	fmt.Fprintf(&b, "**Ratio, median over median: %.2f.**\n\n", starling.median/raw.median)
	fmt.Fprintf(&b, "| seconds | least | median | greatest | MiB/s | CPU-seconds serving | CPU-seconds syncing | synced commits |\n|---|---|---|---|---|---|---|---|\n")
	line := func(name string, of func(round) run) {
		s := each(rounds, func(r round) float64 { return of(r).Seconds })
		fmt.Fprintf(&b, "| %s | %.2f | %.2f | %.2f | %.0f | %.2f | %.2f | %.0f |\n", name, s.min, s.median, s.max, mib/s.median,
			each(rounds, func(r round) float64 { return of(r).ServeCPU }).median,
			each(rounds, func(r round) float64 { return of(r).CPU }).median,
			each(rounds, func(r round) float64 { return float64(len(of(r).Imports)) }).median)
	}
	line("Starling", func(r round) run { return r.Starling })
	line("baseline", func(r round) run { return r.Raw })
	if o.more {
		line("for information: baseline that receives while it commits", func(r round) run { return r.Ahead })
		line("for information: Starling, budgets and pacing as by default", func(r round) run { return r.Budgeted })
	}
	ratio := each(rounds, func(r round) float64 { return r.Starling.Seconds / r.Raw.Seconds })
	fmt.Fprintf(&b, "\nRound by round the ratio was %.2f to %.2f.\n", ratio.min, ratio.max)
	return b.String()
}

// write puts a report into a document, between its two lines.
func write(path, begin, report string) error {
	doc, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	before, rest, ok := bytes.Cut(doc, []byte(begin))
	_, after, ok2 := bytes.Cut(rest, []byte(reportEnd))
	if !ok || !ok2 {
		return errors.New("bench: " + path + " lacks the lines between which the report goes")
	}
	return os.WriteFile(path, slices.Concat(before, []byte(begin+"\n"+report+"\n"+reportEnd), after), 0o644)
}
