package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"golang.org/x/sys/unix"

	"github.com/starlingp2p/starling/interop/peers/steer"
)

// greedy is how many clients the crowd has.
const greedy = 25

type crowdParams struct {
	Enode  string `json:"enode"`
	Blocks uint64 `json:"blocks"`
	Status []byte `json:"status"`
}

// crowd is clients that ask for the most that there is, without a pause.
type crowd struct {
	stop context.CancelFunc
	wg   sync.WaitGroup
	got  atomic.Int64 // bytes of answers, as they travel
}

// startCrowd runs one at the lowest priority: what is measured is what they do to
// the node, not what they take of the machine. It is ready when all have a session.
func startCrowd(_ context.Context, raw json.RawMessage, _ func(any)) (steer.Peer, any, error) {
	var p crowdParams
	if err := json.Unmarshal(raw, &p); err != nil {
		return nil, nil, err
	}
	if err := stepBack(); err != nil {
		return nil, nil, err
	}
	first, err := dial(p.Enode, p.Status)
	if err != nil {
		return nil, nil, err
	}
	defer first.Close()
	chain, err := first.hashes(p.Blocks)
	if err != nil {
		return nil, nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	c := &crowd{stop: stop}
	ready, begin := make(chan error, greedy), make(chan struct{})
	for range greedy {
		c.wg.Go(func() {
			s, err := dial(p.Enode, p.Status)
			ready <- err
			<-begin
			for ctx.Err() == nil {
				if err == nil {
					c.take(ctx, s, chain)
					s.Close()
				}
				pause := time.NewTimer(100 * time.Millisecond) // it was thrown out
				select {
				case <-pause.C:
					s, err = dial(p.Enode, p.Status)
				case <-ctx.Done():
					pause.Stop()
				}
			}
		})
	}
	for range greedy {
		err = errors.Join(err, <-ready)
	}
	close(begin)
	if err != nil {
		return nil, nil, errors.Join(err, c.Close())
	}
	return c, map[string]any{}, nil
}

// stepBack lets all threads of the process run only where nothing else wants to:
// a nice value would not do, since Linux lets whoever runs keep the processor up
// to its next tick, 4 ms by default, from which a request would wait twice. Linux
// sets the policy of one thread at a time; those that are made later take that of
// their maker.
func stepBack() error {
	for range 2 { // one may have been made meanwhile
		threads, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return err
		}
		for _, t := range threads {
			id, err := strconv.Atoi(t.Name())
			if err != nil {
				return err
			}
			idle := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_IDLE}
			if err := unix.SchedSetAttr(id, &idle, 0); err != nil && !errors.Is(err, unix.ESRCH) {
				return err
			}
		}
	}
	return nil
}

// take asks for the most that there is, with width requests under way. Of the
// answers it reads only how much comes: what it would cost to decrypt them is
// no part of what they cost the node, and the processors are shared.
func (c *crowd) take(ctx context.Context, s *client, chain []common.Hash) {
	defer context.AfterFunc(ctx, func() { s.Close() })()
	wide := questions[1]
	wide.make = headers(uint64(min(512, len(chain)/2)))
	kinds := [...]question{wide, questions[2]}
	size := 0 // of two answers as they travel
	for _, q := range kinds {
		n, err := s.measure(q, chain)
		if err != nil {
			return
		}
		size += n
	}
	came := make(chan struct{}, width) // about as much as an answer is
	gone := make(chan struct{})
	c.wg.Go(func() {
		defer close(gone)
		each := max(size/len(kinds)*9/10, 1<<10) // a little less, or it would ask ever less
		buf, sum := make([]byte, 256<<10), 0
		for {
			n, err := s.raw.Read(buf)
			c.got.Add(int64(n))
			for sum += n; sum >= each; sum -= each {
				select {
				case came <- struct{}{}:
				default:
				}
			}
			if err != nil {
				return
			}
		}
	})
	defer func() { s.Close(); <-gone }()
	tick := time.NewTicker(10 * time.Millisecond) // refusals are small
	defer tick.Stop()
	for i := 0; ; i++ {
		if err := s.ask(kinds[i%len(kinds)], chain); err != nil {
			return
		}
		if i < width {
			continue
		}
		select {
		case <-came:
		case <-tick.C:
		case <-gone:
			return
		}
	}
}

// Do implements steer.Peer: "got" gives the bytes of all answers so far.
func (c *crowd) Do(_ context.Context, cmd steer.Command) (any, error) {
	if cmd.Do == "got" {
		return c.got.Load(), nil
	}
	return nil, fmt.Errorf("bench: no command %q", cmd.Do)
}

// Close implements steer.Peer.
func (c *crowd) Close() error {
	c.stop()
	c.wg.Wait()
	return nil
}
