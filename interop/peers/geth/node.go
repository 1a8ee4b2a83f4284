package geth

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/eth"
	"github.com/ethereum/go-ethereum/event"
	gethnode "github.com/ethereum/go-ethereum/node"
	"github.com/ethereum/go-ethereum/p2p"
	"github.com/ethereum/go-ethereum/p2p/enode"
	"github.com/ethereum/go-ethereum/rlp"

	"github.com/starlingp2p/starling/interop/peers/steer"
)

// Node is a geth that runs.
type Node struct {
	Stack *gethnode.Node
	Eth   *eth.Ethereum

	subs []event.Subscription
	done chan struct{}
}

// Watch tells of heads, transactions and peers until Close. header gives that of
// an event, which versions tell in different ways.
func (n *Node) Watch(emit func(any), header func(core.ChainHeadEvent) *types.Header) {
	heads := make(chan core.ChainHeadEvent, 256)
	txs := make(chan core.NewTxsEvent, 256)
	peers := make(chan *p2p.PeerEvent, 256)
	n.subs = []event.Subscription{
		n.Eth.BlockChain().SubscribeChainHeadEvent(heads), n.Eth.TxPool().SubscribeTransactions(txs, true),
		n.Stack.Server().SubscribeEvents(peers),
	}
	n.done = make(chan struct{})
	go func() {
		for {
			select {
			case h := <-heads:
				emit(map[string]any{"event": "head", "number": header(h).Number.Uint64(), "hash": header(h).Hash().Hex()})
			case t := <-txs:
				emit(map[string]any{"event": "txs", "count": len(t.Txs)})
			case p := <-peers:
				emit(map[string]any{"event": "peer", "what": p.Type, "peer": p.Peer.String(), "error": p.Error})
			case <-n.done:
				return
			}
		}
	}()
}

// Close ends what Watch began, and the node.
func (n *Node) Close() error {
	for _, s := range n.subs {
		s.Unsubscribe()
	}
	close(n.done)
	return n.Stack.Close()
}

// Do carries out the commands that every version takes.
func (n *Node) Do(ctx context.Context, c steer.Command) (any, error) {
	switch c.Do {
	case "connect", "trust":
		other, err := enode.Parse(enode.ValidSchemes, c.Addr)
		if err != nil {
			return nil, err
		}
		if c.Do == "trust" {
			n.Stack.Server().AddTrustedPeer(other)
		}
		n.Stack.Server().AddPeer(other)
		return true, nil
	case "peers":
		return n.Stack.Server().PeersInfo(), nil
	case "call":
		return n.call(ctx, c.Params)
	}
	return nil, fmt.Errorf("no command %q", c.Do)
}

// call asks geth's own RPC.
func (n *Node) call(ctx context.Context, params json.RawMessage) (raw json.RawMessage, err error) {
	var q struct {
		Method string `json:"method"`
		Args   []any  `json:"args"`
	}
	if err := json.Unmarshal(params, &q); err != nil {
		return nil, err
	}
	client := n.Stack.Attach()
	defer client.Close()
	err = client.CallContext(ctx, &raw, q.Method, q.Args...)
	return raw, err
}

// Enodes reads URLs of nodes.
func Enodes(texts []string) ([]*enode.Node, error) {
	var all []*enode.Node
	for _, text := range texts {
		n, err := enode.Parse(enode.ValidSchemes, text)
		if err != nil {
			return nil, fmt.Errorf("bootnode %q: %w", text, err)
		}
		all = append(all, n)
	}
	return all, nil
}

// Block is a block as an answer tells it.
func Block(b *types.Block) (map[string]any, error) {
	raw, err := rlp.EncodeToBytes(b)
	return map[string]any{"hash": b.Hash().Hex(), "rlp": hex.EncodeToString(raw), "txs": len(b.Transactions())}, err
}
