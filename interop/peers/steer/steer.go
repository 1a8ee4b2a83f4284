// Package steer lets a test steer a real peer that runs as a process of its own.
//
// The process reads commands, one JSON object a line, on its standard input, and
// writes answers and events, one JSON object a line, on its standard output; its
// log goes to standard error. It ends when the input does. What commands there
// are is each peer's affair; the first must be "start".
package steer

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// Command is one line of input. ID comes back in the answer; of the rest a
// command uses what it needs.
type Command struct {
	ID     int             `json:"id"`
	Do     string          `json:"do"`
	Addr   string          `json:"addr"`
	Peer   string          `json:"peer"`
	Number uint64          `json:"number"`
	End    uint64          `json:"end"`
	Count  int             `json:"count"`
	Mode   string          `json:"mode"`
	Params json.RawMessage `json:"params"`
}

// Answer is a line of output for a command. Lines that nobody asked for have the
// field "event" instead of an ID.
type Answer struct {
	ID     int    `json:"id"`
	Result any    `json:"result,omitempty"`
	Error  string `json:"error,omitempty"`
}

// Peer is a peer that runs.
type Peer interface {
	// Do carries out a command. Calls may be concurrent.
	Do(ctx context.Context, c Command) (any, error)
	Close() error
}

// Start makes a peer of the first command's parameters. ready is its answer.
// What is emitted goes out as a line, at any time.
type Start func(ctx context.Context, params json.RawMessage, emit func(any)) (p Peer, ready any, err error)

// commandTimeout bounds one command.
const commandTimeout = time.Minute

// Main runs the process.
func Main(start Start) {
	if err := run(os.Stdin, os.Stdout, start); err != nil {
		fmt.Fprintln(os.Stderr, "peer:", err)
		os.Exit(1)
	}
}

func run(in io.Reader, out io.Writer, start Start) (err error) {
	var mu sync.Mutex
	enc := json.NewEncoder(out)
	emit := func(v any) {
		mu.Lock()
		defer mu.Unlock()
		_ = enc.Encode(v) // whoever steers us has gone: the input ends too
	}
	ctx, stop := context.WithCancel(context.Background())
	var (
		p  Peer
		wg sync.WaitGroup
	)
	defer func() {
		if p != nil {
			err = errors.Join(err, p.Close())
		}
		stop()
		wg.Wait()
	}()
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var c Command
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			return fmt.Errorf("input: %w", err)
		}
		if p == nil {
			if c.Do != "start" {
				return errors.New("the first command must be start")
			}
			peer, ready, err := start(ctx, c.Params, emit)
			if err != nil {
				return fmt.Errorf("start: %w", err)
			}
			p = peer
			emit(Answer{ID: c.ID, Result: ready})
			continue
		}
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, commandTimeout)
			defer cancel()
			result, err := p.Do(ctx, c)
			a := Answer{ID: c.ID, Result: result}
			if err != nil {
				a.Error = err.Error()
			}
			emit(a)
		})
	}
	return lines.Err()
}
