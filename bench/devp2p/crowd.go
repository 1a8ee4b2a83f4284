package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
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

// stepBack gives all threads of the process the lowest priority. Linux sets that
// of one thread at a time; those that are made later take that of their maker.
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
			if err := unix.Setpriority(unix.PRIO_PROCESS, id, 19); err != nil && !errors.Is(err, unix.ESRCH) {
				return err
			}
		}
	}
	return nil
}

func (c *crowd) take(ctx context.Context, s *client, chain []common.Hash) {
	defer context.AfterFunc(ctx, func() { s.Close() })()
	wide := questions[1]
	wide.make = headers(uint64(min(512, len(chain)/2)))
	for i := 0; ctx.Err() == nil; i++ {
		q := wide
		if i%2 == 1 {
			q = questions[2]
		}
		if _, _, err := s.pipe(q, chain, 8, 100*time.Millisecond); err != nil {
			return
		}
	}
}

// Do implements steer.Peer.
func (c *crowd) Do(context.Context, steer.Command) (any, error) {
	return nil, fmt.Errorf("bench: a crowd takes no commands")
}

// Close implements steer.Peer.
func (c *crowd) Close() error {
	c.stop()
	c.wg.Wait()
	return nil
}
