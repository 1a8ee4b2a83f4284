// Command geth is go-ethereum v1.17.10 as a library, for tests to talk to: a
// node with its real P2P server, eth protocol, downloader and pool, on a chain
// that is a pure function of its parameters. It never imports Starling.
//
// It reads commands, one JSON object a line, on its standard input, and writes
// answers and events, one JSON object a line, on its standard output; its log
// goes to standard error. It ends when the input does. See command.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
)

// command is one line of input. ID comes back in the answer. The first must be
// "start".
//
//	start     Params: start. Answers ready.
//	connect   URL: an enode or ENR, dialled and redialled.
//	trust     URL: as connect, over the limits.
//	peers     Answers what admin_peers does.
//	head      Answers number and hash.
//	block     Number: of the chain. Answers its RLP in hex, its hash and its receipts' count.
//	target    Number: syncs to that block of the chain, as a consensus client would have it.
//	extend    Number: makes the chain that long, and imports it.
//	synced    Takes transactions from now on.
//	send      Count: transfers into the own pool, as local ones. Answers their hashes.
//	pool      Answers the hashes of what is pending.
type command struct {
	ID     int             `json:"id"`
	Do     string          `json:"do"`
	URL    string          `json:"url"`
	Number uint64          `json:"number"`
	Count  int             `json:"count"`
	Params json.RawMessage `json:"params"`
}

// answer is a line of output for a command.
type answer struct {
	ID     int    `json:"id"`
	Result any    `json:"result,omitempty"`
	Error  string `json:"error,omitempty"`
}

func main() {
	if err := run(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "geth:", err)
		os.Exit(1)
	}
}

func run(in io.Reader, out io.Writer) (err error) {
	var mu sync.Mutex
	enc := json.NewEncoder(out)
	emit := func(v any) {
		mu.Lock()
		defer mu.Unlock()
		_ = enc.Encode(v) // whoever steers us has gone: the input ends too
	}
	var n *node
	defer func() {
		if n != nil {
			err = errors.Join(err, n.close())
		}
	}()
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var c command
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			return fmt.Errorf("input: %w", err)
		}
		if n == nil {
			if c.Do != "start" {
				return errors.New("the first command must be start")
			}
			var s startParams
			if err := json.Unmarshal(c.Params, &s); err != nil {
				return fmt.Errorf("start: %w", err)
			}
			if n, err = start(s, emit); err != nil {
				return fmt.Errorf("start: %w", err)
			}
			emit(answer{ID: c.ID, Result: n.ready()})
			continue
		}
		result, err := n.do(c)
		a := answer{ID: c.ID, Result: result}
		if err != nil {
			a.Error = err.Error()
		}
		emit(a)
	}
	return lines.Err()
}
