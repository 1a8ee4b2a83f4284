package main

import (
	"bytes"
	"fmt"
	"path/filepath"
	"time"

	"github.com/starlingp2p/starling/bench/internal/report"
)

// syncRound is the seconds that each took for the chain.
type syncRound struct{ Ours, Geth float64 }

// syncs measures a download of ours against a full sync of geth's.
func syncs(o options) (string, error) {
	source, err := o.startGeth(o.blocks, 0)
	if err != nil {
		return "", err
	}
	defer source.Stop()
	target, err := source.hash(o.blocks)
	if err != nil {
		return "", err
	}
	var rounds []syncRound
	for n := range o.rounds {
		var r syncRound
		if r.Ours, err = o.oursFrom(source, filepath.Join(o.dir, fmt.Sprint("sync", n)), target); err != nil {
			return "", err
		}
		if r.Geth, err = o.gethFrom(source, target, n); err != nil {
			return "", err
		}
		fmt.Fprintf(o.tell, "sync, round %d: starling %.2f s, geth %.2f s\n", n+1, r.Ours, r.Geth)
		rounds = append(rounds, r)
	}
	us := report.Each(rounds, func(r syncRound) float64 { return r.Ours })
	geth := report.Each(rounds, func(r syncRound) float64 { return r.Geth })
	var b bytes.Buffer
	fmt.Fprintf(&b, "### Sync of %d blocks with %d transfers\n\n**Ratio, median over median: %.3f** (at most 0.2 is wanted).\n\n", o.blocks, int(o.blocks)*o.txs, us.Median/geth.Median)
	fmt.Fprintf(&b, "| seconds | least | median | greatest | blocks/s |\n|---|---|---|---|---|\n")
	fmt.Fprintf(&b, "| Starling: bodies and receipts, every root checked, to disk | %.2f | %.2f | %.2f | %.0f |\n", us.Min, us.Median, us.Max, float64(o.blocks)/us.Median)
	fmt.Fprintf(&b, "| geth: full sync, which executes the blocks, in memory | %.2f | %.2f | %.2f | %.0f |\n", geth.Min, geth.Median, geth.Max, float64(o.blocks)/geth.Median)
	return b.String(), nil
}

// oursFrom has a fresh node of ours download the chain, and gives the seconds
// from the target to the head.
func (o options) oursFrom(source *server, dir, target string) (float64, error) {
	n, err := o.startOurs(dir, source.Genesis, false)
	if err != nil {
		return 0, err
	}
	defer n.Stop()
	if err := n.Try(map[string]any{"do": "connect", "addr": source.Enode}, nil); err != nil {
		return 0, err
	}
	began := time.Now()
	err = n.Try(map[string]any{"do": "target", "number": o.blocks, "peer": target}, nil)
	return time.Since(began).Seconds(), err
}

// gethFrom does the same with a fresh geth.
func (o options) gethFrom(source *server, target string, n int) (float64, error) {
	g, err := o.startGeth(0, 1+n)
	if err != nil {
		return 0, err
	}
	defer g.Stop()
	if _, err := g.hash(o.blocks); err != nil { // it makes the chain, of which it needs the head's header
		return 0, err
	}
	if err := g.Try(map[string]any{"do": "connect", "addr": source.Enode}, nil); err != nil {
		return 0, err
	}
	if _, err := g.Await("a peer", func(e told) bool { return e.Event == "peer" && e.What == "add" }); err != nil {
		return 0, err
	}
	began := time.Now()
	if err := g.Try(map[string]any{"do": "target", "number": o.blocks}, nil); err != nil {
		return 0, err
	}
	_, err = g.Await("the head", func(e told) bool { return e.Event == "head" && e.Hash == target })
	return time.Since(began).Seconds(), err
}
