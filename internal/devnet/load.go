package devnet

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/internal/daemon"
	"github.com/starlingp2p/starling/internal/pause"
	"github.com/starlingp2p/starling/internal/rpc"
	"github.com/starlingp2p/starling/ledger/sequenced"
)

// load sends signed transactions to the followers of a network in turn, at a
// steady rate.
type load struct {
	net     *Net
	rate    int // a second
	payload int // bytes each

	mu     sync.Mutex
	hashes []string
	failed error // the last refusal that was not a node's absence
}

func newLoad(n *Net, rate, payload int) *load {
	return &load{net: n, rate: rate, payload: max(payload, 1)}
}

// batchEvery is the pause between two batches.
const batchEvery = 200 * time.Millisecond

// maxBatchBytes bounds the transactions in one call; they travel as hex.
const maxBatchBytes = rpc.MaxRequestBytes / 4

// run sends until ctx ends. A batch that a node did not take, since it is
// down, goes to the next: transactions of one account must arrive in order.
func (l *load) run(ctx context.Context) {
	if l.rate == 0 {
		return
	}
	genesis, err := l.genesis(ctx)
	if err != nil {
		l.fail(err)
		return
	}
	tick := time.NewTicker(batchEvery)
	defer tick.Stop()
	nonces := make([]uint64, len(l.net.accounts))
	turn, owed := 0, 0.0
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		owed += float64(l.rate) * batchEvery.Seconds()
		var batch []string
		for ; owed >= 1; owed-- {
			account := (len(batch) + turn) % len(nonces)
			tx := sequenced.NewData(genesis, l.net.accounts[account], nonces[account], make([]byte, l.payload), 0)
			nonces[account]++
			batch = append(batch, hex.EncodeToString(tx.Bytes))
		}
		for part := range slices.Chunk(batch, max(1, min(len(batch), maxBatchBytes/(l.payload+256)))) {
			if !l.deliver(ctx, &turn, part) {
				return
			}
		}
	}
}

// deliver gives transactions to the next node that is there. It reports
// whether the sending goes on.
func (l *load) deliver(ctx context.Context, turn *int, batch []string) bool {
	for {
		*turn++
		node := l.net.Node(*turn % l.net.Len())
		if !node.Running() {
			if pause.For(ctx, time.Millisecond) != nil {
				return false
			}
			continue
		}
		// A batch that is under way is finished, so that no nonce is skipped.
		err := l.send(context.WithoutCancel(ctx), node, batch)
		if err == nil {
			return true
		}
		if !errors.Is(err, rpc.ErrUnreachable) {
			l.fail(err)
			return false
		}
		if pause.For(ctx, batchEvery) != nil {
			return false
		}
	}
}

// genesis asks the sequencer, to which signatures are bound.
func (l *load) genesis(ctx context.Context) (chain.Hash, error) {
	s, err := l.net.Node(0).Status(ctx)
	if err != nil {
		return chain.Hash{}, err
	}
	return chain.ParseHash(s.Genesis)
}

// send gives a batch to a node and notes what it took. A transaction that it
// has already, from a try whose answer was lost, counts as taken.
func (l *load) send(ctx context.Context, node *Node, batch []string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var replies []daemon.TxReply
	if err := node.Call(ctx, "starling_sendTransactions", &replies, batch); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range replies {
		if r.Verdict == "reject" {
			return fmt.Errorf("devnet: %s rejected transaction %s: %s", node.Name(), r.Hash, r.Reason)
		}
		l.hashes = append(l.hashes, r.Hash)
	}
	return nil
}

func (l *load) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failed = err
}

func (l *load) err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failed
}

// sent is how many transactions nodes have taken.
func (l *load) sent() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.hashes)
}

// included counts which of them are in a node's chain.
func (l *load) included(ctx context.Context, node *Node) (int, error) {
	c, err := rpc.Dial(ctx, daemon.SocketPath(node.dir))
	if err != nil {
		return 0, err
	}
	defer c.Close()
	l.mu.Lock()
	hashes := l.hashes
	l.mu.Unlock()
	found := 0
	for _, h := range hashes {
		var raw *string
		if err := c.Call(ctx, "starling_transaction", &raw, h); err != nil {
			return found, err
		}
		if raw != nil {
			found++
		}
	}
	return found, nil
}

// settled waits until a node's chain has all that was sent.
func (l *load) settled(ctx context.Context, node *Node) error {
	ctx, cancel := context.WithTimeout(ctx, settleFor)
	defer cancel()
	for {
		n, err := l.included(ctx, node)
		if err == nil && n == l.sent() {
			return nil
		}
		if pause.For(ctx, pollEvery) != nil {
			return fmt.Errorf("devnet: %s has included %d of %d transactions: %w", node.Name(), n, l.sent(), errors.Join(err, ctx.Err()))
		}
	}
}

// Load sends transactions until the returned function is called, which waits
// for the sending to end.
func (n *Net) Load(ctx context.Context, rate, payload int) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	l := newLoad(n, rate, payload)
	go func() {
		defer close(done)
		l.run(ctx)
	}()
	return func() { cancel(); <-done }
}
