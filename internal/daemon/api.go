package daemon

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/internal/rpc"
	"github.com/starlingp2p/starling/peer"
)

// StatusReply answers starling_status. Fields are added, never renamed.
type StatusReply struct {
	V            int          `json:"v"`
	Agent        string       `json:"agent"`
	ID           string       `json:"id"`
	Network      string       `json:"network"`
	Wire         string       `json:"wire"`
	Addrs        []string     `json:"addrs"`
	Record       string       `json:"record,omitempty"` // by which discovery knows the node
	Genesis      string       `json:"genesis"`
	Head         BlockName    `json:"head"`
	Finalized    BlockName    `json:"finalized"`
	Earliest     uint64       `json:"earliest"`
	Peers        int          `json:"peers"`
	Inbound      int          `json:"inbound"`
	Outbound     int          `json:"outbound"`
	Bans         int          `json:"bans"`
	BansEver     uint64       `json:"bans_by_score"`
	Sync         SyncReply    `json:"sync"`
	Engine       *EngineReply `json:"engine,omitempty"` // of the execution client that follows, where there is one
	PoolTxs      int          `json:"pool_txs"`
	ClockSuspect bool         `json:"clock_suspect"`
	Uptime       string       `json:"uptime"`
}

// BlockName is a block's number and hash.
type BlockName struct {
	Number uint64 `json:"number"`
	Hash   string `json:"hash"`
}

// SyncReply is where the sync stands.
type SyncReply struct {
	Mode   string `json:"mode"`
	Target uint64 `json:"target"`
	Staged int    `json:"staged,omitempty"` // fetched backwards, and not imported yet
	Stuck  string `json:"stuck,omitempty"`
}

// EngineReply is where the execution client stands that follows the node.
type EngineReply struct {
	State string     `json:"state"` // a word of its own for each trouble, as in the findings of starling_why
	Head  BlockName  `json:"head"`  // that it has taken last
	Fill  *FillReply `json:"fill,omitempty"`
}

// FillReply is how far an execution client was brought that lacks many blocks.
type FillReply struct {
	From uint64  `json:"from"`
	At   uint64  `json:"at"`
	To   uint64  `json:"to"`
	Rate float64 `json:"rate"` // blocks a second
	Left string  `json:"left,omitempty"`
}

// PeerReply is one entry of starling_peers.
type PeerReply struct {
	ID        string    `json:"id"`
	Addr      string    `json:"addr"`
	Direction string    `json:"direction"`
	Agent     string    `json:"agent"`
	Score     float64   `json:"score"`
	Head      BlockName `json:"head"`
	Opened    time.Time `json:"opened"`
}

// BlockReply answers starling_block.
type BlockReply struct {
	V      int       `json:"v"`
	Number uint64    `json:"number"`
	Hash   string    `json:"hash"`
	Parent string    `json:"parent"`
	Time   time.Time `json:"time"`
	Bytes  int       `json:"bytes"`
	Txs    []string  `json:"txs"`
}

// TxReply is one entry of what starling_sendTransactions answers.
type TxReply struct {
	Hash    string `json:"hash"`
	Verdict string `json:"verdict"` // "accept", "ignore" or "reject"
	Reason  string `json:"reason,omitempty"`
}

func nameOf(r chain.Ref) BlockName { return BlockName{r.Number, r.Hash.String()} }

func (n *Node) peers() []PeerReply {
	out := []PeerReply{}
	for _, p := range n.node.Client().Peers() {
		out = append(out, PeerReply{
			ID: string(p.Info.ID), Addr: p.Info.Addr.String(), Direction: p.Info.Direction.String(),
			Agent: p.Info.Agent, Score: p.Score, Head: nameOf(p.Claims.Head), Opened: p.Info.Opened,
		})
	}
	return out
}

func (n *Node) callBlock(ctx context.Context, params json.RawMessage) (any, error) {
	var number uint64
	if err := rpc.Params(params, &number); err != nil {
		return nil, err
	}
	b, err := n.stack.chain.Block(ctx, chain.Ref{Number: number})
	if err != nil {
		return nil, err
	}
	txs, err := n.stack.txs(b)
	if err != nil {
		return nil, err
	}
	reply := BlockReply{
		V: 1, Number: b.Header.Ref.Number, Hash: b.Header.Ref.Hash.String(), Parent: b.Header.Parent.String(),
		Time: b.Header.Time, Bytes: b.Size(), Txs: []string{},
	}
	for _, tx := range txs {
		reply.Txs = append(reply.Txs, tx.Hash.String())
	}
	return reply, nil
}

func (n *Node) callTx(ctx context.Context, params json.RawMessage) (any, error) {
	var text string
	if err := rpc.Params(params, &text); err != nil {
		return nil, err
	}
	hash, err := chain.ParseHash(text)
	if err != nil {
		return nil, rpc.BadParams("%v", err)
	}
	tx, err := n.stack.ledger.Tx(ctx, hash)
	if errors.Is(err, chain.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return hex.EncodeToString(tx.Bytes), nil
}

func (n *Node) callConnect(ctx context.Context, params json.RawMessage) (any, error) {
	var address string
	if err := rpc.Params(params, &address); err != nil {
		return nil, err
	}
	if address == "" {
		return nil, rpc.BadParams("starling_connect wants an address")
	}
	return true, n.node.Client().Connect(ctx, address)
}

func (n *Node) callDisconnect(ctx context.Context, params json.RawMessage) (any, error) {
	var id string
	if err := rpc.Params(params, &id); err != nil {
		return nil, err
	}
	return true, n.node.Client().Disconnect(ctx, peer.ID(id))
}

func (n *Node) callSendTxs(ctx context.Context, params json.RawMessage) (any, error) {
	var texts []string
	if err := rpc.Params(params, &texts); err != nil {
		return nil, err
	}
	var txs []chain.Tx
	for i, s := range texts {
		raw, err := hex.DecodeString(s)
		if err != nil {
			return nil, rpc.BadParams("transaction %d is not hex: %v", i+1, err)
		}
		txs = append(txs, chain.Tx{Bytes: raw})
	}
	verdicts, err := n.node.Client().PublishTxs(ctx, txs)
	if err != nil {
		return nil, err
	}
	replies := []TxReply{}
	for i, v := range verdicts {
		r := TxReply{Verdict: v.Action.String(), Reason: v.Reason}
		if hash, ok := n.stack.hashOf(txs[i].Bytes); ok {
			r.Hash = hash.String()
		}
		replies = append(replies, r)
	}
	return replies, nil
}
