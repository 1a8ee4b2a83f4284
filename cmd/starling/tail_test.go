package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	root "github.com/starlingp2p/starling"
	"github.com/starlingp2p/starling/internal/daemon"
	"github.com/starlingp2p/starling/internal/rpc"
)

// fakeNode answers as a node does whose chain grows by a block at each look,
// and is another one from a look on: blocks from the fork's number on have
// other hashes.
type fakeNode struct {
	mu    sync.Mutex
	looks uint64
	turn  uint64 // the look at which the chain is another
	fork  uint64
}

func (f *fakeNode) hash(number uint64) string {
	if f.looks >= f.turn && number >= f.fork {
		return fmt.Sprintf("b%d", number)
	}
	return fmt.Sprintf("a%d", number)
}

func (f *fakeNode) status(context.Context, json.RawMessage) (any, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.looks++
	head := 2 + f.looks
	if f.looks >= f.turn {
		head-- // the other branch is no longer than what was there
	}
	return daemon.StatusReply{V: 1, Head: daemon.BlockName{Number: head, Hash: f.hash(head)}}, nil
}

func (f *fakeNode) block(_ context.Context, params json.RawMessage) (any, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var number uint64
	if err := rpc.Params(params, &number); err != nil {
		return nil, err
	}
	return daemon.BlockReply{V: 1, Number: number, Hash: f.hash(number), Parent: f.hash(number - 1)}, nil
}

// serve answers on the socket of a new datadir until the test ends.
func (f *fakeNode) serve(t *testing.T) (dir string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "tail")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s, err := rpc.New([]root.Method{{Name: "starling_status", Call: f.status}, {Name: "starling_block", Call: f.block}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	l, err := rpc.Listen(daemon.SocketPath(dir))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return dir
}

// A block that takes the place of one that was printed is printed again, and
// standard error says so; no block is printed twice otherwise, and none is left out.
func TestTailTellsOfAReorganisation(t *testing.T) {
	for name, tt := range map[string]struct {
		turn, fork uint64
		count      string
	}{"at the head": {3, 4, "5"}, "below it": {3, 3, "5"}, "deep below it": {6, 4, "8"}, "none": {100, 100, "5"}} {
		t.Run(name, func(t *testing.T) {
			f := &fakeNode{turn: tt.turn, fork: tt.fork}
			dir := f.serve(t)
			var out, errs bytes.Buffer
			if code := run([]string{"starling", "tail", "--datadir", dir, "--count", tt.count, "--json"}, &out, &errs); code != exitOK {
				t.Fatalf("exit code %d and %s", code, errs.String())
			}
			var last daemon.BlockReply
			for line := range strings.Lines(out.String()) {
				var b daemon.BlockReply
				if err := json.Unmarshal([]byte(line), &b); err != nil {
					t.Fatal(err)
				}
				again := b.Number <= last.Number
				if last.V != 0 && !again && (b.Number != last.Number+1 || b.Parent != last.Hash) {
					t.Errorf("after %d %s comes %d %s on %s", last.Number, last.Hash, b.Number, b.Hash, b.Parent)
				}
				if again && b.Number != tt.fork {
					t.Errorf("after %d %s it began anew at %d, want %d, where the chains part", last.Number, last.Hash, b.Number, tt.fork)
				}
				if again && b.Hash == last.Hash {
					t.Errorf("block %d %s was printed twice", b.Number, b.Hash)
				}
				last = b
			}
			if told := strings.Contains(errs.String(), "reorganised"); told != (name != "none") {
				t.Errorf("it said %q", errs.String())
			}
			if name != "none" && !strings.Contains(out.String(), `"hash":"b`) {
				t.Errorf("the new branch was not printed: %s", out.String())
			}
		})
	}
}
