package main

import (
	"bytes"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"

	"github.com/starlingp2p/starling/bench/internal/report"
)

// sessionLine is a line of go test -bench.
var sessionLine = regexp.MustCompile(`(?m)^Benchmark(Ours|Geth)/(\S+?)(?:-\d+)?\s+\d+\s+[\d.]+ ns/op\s+([\d.]+) MB/s`)

// sessions measures our links against bare p2p/rlpx.
func sessions(o options) (string, error) {
	binary, err := o.compile("wire/devp2p/rlpx")
	if err != nil {
		return "", err
	}
	var rounds []map[string]float64 // MB/s, by side and size
	for n := range o.rounds {
		out, err := exec.Command(binary, "-test.run", "^$", "-test.bench", "Ours|Geth", "-test.benchtime", fmt.Sprintf("%dms", o.ask)).CombinedOutput()
		if err != nil {
			return "", fmt.Errorf("%w: %s", err, out)
		}
		r := map[string]float64{}
		for _, m := range sessionLine.FindAllSubmatch(out, -1) {
			if r[string(m[1])+string(m[2])], err = strconv.ParseFloat(string(m[3]), 64); err != nil {
				return "", err
			}
		}
		if len(r) != 4 {
			return "", fmt.Errorf("bench: four figures are wanted: %s", out)
		}
		fmt.Fprintf(o.tell, "sessions, round %d, MB/s: %v\n", n+1, r)
		rounds = append(rounds, r)
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "### Sessions against bare p2p/rlpx\n\nAt least 1.00 is wanted.\n\n| message | Starling, MB/s | p2p/rlpx, MB/s | ratio of medians | round by round |\n|---|---|---|---|---|\n")
	for _, size := range []string{"1024KiB", "1KiB"} {
		us := report.Each(rounds, func(r map[string]float64) float64 { return r["Ours"+size] })
		geth := report.Each(rounds, func(r map[string]float64) float64 { return r["Geth"+size] })
		ratio := report.Each(rounds, func(r map[string]float64) float64 { return r["Ours"+size] / r["Geth"+size] })
		fmt.Fprintf(&b, "| %s | %.0f | %.0f | **%.2f** | %.2f to %.2f |\n", size, us.Median, geth.Median, us.Median/geth.Median, ratio.Min, ratio.Max)
	}
	return b.String(), nil
}

// compile builds the tests of a package of the repository, and gives their program.
func (o options) compile(pkg string) (binary string, err error) {
	binary, err = filepath.Abs(filepath.Join(o.dir, filepath.Base(pkg)+".test"))
	if err != nil {
		return "", err
	}
	cmd := exec.Command("go", "test", "-c", "-o", binary, "./"+pkg)
	cmd.Dir = root()
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build of the tests of %s: %w\n%s", pkg, err, out)
	}
	return binary, nil
}
