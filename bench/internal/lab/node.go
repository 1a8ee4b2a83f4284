package lab

import (
	"context"
	"errors"
	"io"

	"github.com/starlingp2p/starling"
)

// Node is a node of ours that runs in this process, with its ledger.
type Node struct {
	*starling.Node
	ledger io.Closer
	cancel context.CancelFunc
	done   chan error
}

// Run runs a node and gives it once it is ready. The ledger is closed with it,
// and where it fails.
func Run(n *starling.Node, ledger io.Closer) (*Node, error) {
	ctx, cancel := context.WithCancel(context.Background())
	r := &Node{Node: n, ledger: ledger, cancel: cancel, done: make(chan error, 1)}
	go func() { r.done <- n.Run(ctx) }()
	select {
	case <-n.Ready():
		return r, nil
	case err := <-r.done:
		cancel()
		return nil, errors.Join(err, errors.New("bench: the node ended at once"), ledger.Close())
	}
}

// Stop ends it and waits for that.
func (r *Node) Stop() error {
	r.cancel()
	err := <-r.done
	if errors.Is(err, context.Canceled) {
		err = nil
	}
	return errors.Join(err, r.ledger.Close())
}
