package main

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/starlingp2p/starling/bench/internal/report"
)

// The two sides of a comparison.
const (
	us = iota
	rival
)

// width is how many requests a client has under way.
const width = 8

// served is what a node did with one kind of question.
type served struct{ Rate, CPU, Bytes float64 } // requests a second, and seconds and bytes of each

// serveRound is one measurement of each side: of each question, the p99 of a
// client alone and in a crowd, in milliseconds, and what the crowd got meanwhile,
// in MiB a second.
type serveRound struct {
	Served          [2][]served
	Idle, Held, Got [2]float64
}

// serving measures how a chain is served.
func serving(o options) (string, error) {
	geth, err := o.startGeth(o.blocks, 0)
	if err != nil {
		return "", err
	}
	defer geth.Stop()
	dir := filepath.Join(o.dir, "served")
	target, err := geth.hash(o.blocks)
	if err == nil {
		_, err = o.oursFrom(geth, dir, target)
	}
	if err != nil {
		return "", err
	}
	c, err := dial(geth.Enode, nil)
	if err != nil {
		return "", err
	}
	o.status = c.status
	c.Close()
	rounds := make([]serveRound, o.rounds)
	for _, budgets := range []bool{false, true} {
		err := func() error {
			ours, err := o.startOurs(dir, geth.Genesis, budgets)
			if err != nil {
				return err
			}
			defer ours.Stop()
			for n := range rounds {
				for side, s := range []*server{us: ours, rival: geth} {
					if budgets {
						err = o.isolation(&rounds[n], side, s)
					} else {
						err = o.throughput(&rounds[n], side, s)
					}
					if err != nil {
						return err
					}
				}
				fmt.Fprintf(o.tell, "serving, round %d: %+v\n", n+1, rounds[n])
			}
			return nil
		}()
		if err != nil {
			return "", err
		}
	}
	return servingReport(rounds), nil
}

// throughput asks one node for each kind.
func (o options) throughput(r *serveRound, side int, s *server) error {
	c, err := dial(s.Enode, o.status)
	if err != nil {
		return err
	}
	defer c.Close()
	chain, err := c.hashes(o.blocks)
	if err != nil {
		return err
	}
	for _, q := range questions {
		before, err := cpu(s.PID())
		if err != nil {
			return err
		}
		began := time.Now()
		n, size, err := c.pipe(q, chain, width, time.Duration(o.ask)*time.Millisecond)
		if err != nil {
			return err
		}
		took := time.Since(began).Seconds()
		after, err := cpu(s.PID())
		if err != nil {
			return err
		}
		r.Served[side] = append(r.Served[side], served{float64(n) / took, (after - before) / float64(n), float64(size) / float64(n)})
	}
	return nil
}

// isolation asks one node for headers one by one, alone and in a crowd.
func (o options) isolation(r *serveRound, side int, s *server) error {
	c, err := dial(s.Enode, o.status)
	if err != nil {
		return err
	}
	defer c.Close()
	chain, err := c.hashes(o.blocks)
	if err != nil {
		return err
	}
	if r.Idle[side], err = c.p99(chain, o.ask); err != nil {
		return err
	}
	crowd, err := o.startCrowd(s)
	if err != nil {
		return err
	}
	defer crowd.Stop()
	var before, after int64
	if err := crowd.Try(map[string]any{"do": "got"}, &before); err != nil {
		return err
	}
	began := time.Now()
	if r.Held[side], err = c.p99(chain, o.ask); err != nil {
		return err
	}
	took := time.Since(began).Seconds()
	err = crowd.Try(map[string]any{"do": "got"}, &after)
	r.Got[side] = float64(after-before) / (1 << 20) / took
	return err
}

// p99 asks for a header each 2 ms for a time, and gives the time to its answer
// that one in a hundred takes longer than, in milliseconds.
func (c *client) p99(chain []common.Hash, ms int) (float64, error) {
	var took []float64
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(time.Duration(ms) * time.Millisecond); time.Now().Before(end); <-tick.C {
		began := time.Now()
		if err := c.ask(questions[0], chain); err != nil {
			return 0, err
		}
		data, err := c.next(questions[0].answer)
		if err != nil {
			return 0, err
		}
		if len(data) < 100 {
			return 0, errors.New("bench: an innocent client was refused")
		}
		took = append(took, float64(time.Since(began).Microseconds())/1000)
	}
	slices.Sort(took)
	return took[int(math.Ceil(float64(len(took))*0.99))-1], nil
}

// servingReport is the report.
func servingReport(rounds []serveRound) string {
	var b bytes.Buffer
	fmt.Fprintf(&b, "### Serving\n\nOf the requests a second at least 1.00 of geth's is wanted, of the CPU time of each at most 0.90.\n\n")
	fmt.Fprintf(&b, "| asked for | bytes | Starling, requests/s | geth, requests/s | ratio | Starling, CPU ms | geth, CPU ms | ratio |\n|---|---|---|---|---|---|---|---|\n")
	for k, q := range questions {
		of := func(side int, f func(served) float64) float64 {
			return report.Each(rounds, func(r serveRound) float64 { return f(r.Served[side][k]) }).Median
		}
		rate := func(s served) float64 { return s.Rate }
		spent := func(s served) float64 { return s.CPU * 1000 }
		fmt.Fprintf(&b, "| %s | %.0f | %.0f | %.0f | **%.2f** | %.3f | %.3f | **%.2f** |\n", q.name,
			of(us, func(s served) float64 { return s.Bytes }), of(us, rate), of(rival, rate), of(us, rate)/of(rival, rate),
			of(us, spent), of(rival, spent), of(us, spent)/of(rival, spent))
	}
	fmt.Fprintf(&b, "\nA client that asks for a header each 2 ms, beside %d greedy ones. At most twice the idle p99, or 5 ms more, is wanted.\n\n", greedy)
	fmt.Fprintf(&b, "| p99, ms | idle | in the crowd | added | the crowd got, MiB/s |\n|---|---|---|---|---|\n")
	for side, name := range []string{us: "Starling, budgets as by default", rival: "geth"} {
		idle := report.Each(rounds, func(r serveRound) float64 { return r.Idle[side] })
		held := report.Each(rounds, func(r serveRound) float64 { return r.Held[side] })
		got := report.Each(rounds, func(r serveRound) float64 { return r.Got[side] })
		fmt.Fprintf(&b, "| %s | %.2f | **%.2f** (%.2f to %.2f) | %.2f | %.0f |\n", name, idle.Median, held.Median, held.Min, held.Max, held.Median-idle.Median, got.Median)
	}
	return b.String()
}
