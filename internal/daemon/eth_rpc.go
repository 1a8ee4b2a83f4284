package daemon

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/starlingp2p/starling"
	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/internal/rpc"
	"github.com/starlingp2p/starling/ledger/ethereum"
)

// ethAPI answers the part of geth's eth and txpool namespaces that needs no
// state.
type ethAPI struct {
	node    *Node
	family  *ethereum.Family
	pool    *ethereum.Pool
	started uint64 // the head's number when the node started
}

// EthSyncing answers eth_syncing while a sync is under way; else it is false.
// What geth tells of states is not here: nothing is executed.
type EthSyncing struct {
	Starting string `json:"startingBlock"`
	Current  string `json:"currentBlock"`
	Highest  string `json:"highestBlock"`
}

// TxPoolStatus answers txpool_status.
type TxPoolStatus struct {
	Pending string `json:"pending"` // may be in the next blocks
	Queued  string `json:"queued"`  // wait for a transaction with a lower nonce
}

func (e *ethAPI) methods() []starling.Method {
	number := param("block", `a number in hex, "latest", "earliest", "finalized" or "safe"`, "")
	hash := param("hash", "the block's", "")
	full := option("full", "whole transactions; else their hashes", false)
	return []starling.Method{
		read("eth_chainId", "The chain's number, as a hex number.", asks(e.chainID), ""),
		read("eth_blockNumber", "The head's number, as a hex number.", asks(func() string { return hexNumber(e.head().Number) }), ""),
		read("eth_syncing", "How far a sync is; false while there is none.", asks(e.syncing), EthSyncing{}),
		read("eth_getBlockByNumber", "A block of the chain in geth's shape; null where there is none.", e.byNumber, (*ethereum.ShownBlock)(nil), number, full),
		read("eth_getBlockByHash", "A block in geth's shape; null where it is not known.", e.byHash, (*ethereum.ShownBlock)(nil), hash, full),
		read("eth_getUncleByBlockHashAndIndex", "An uncle of a block in geth's shape; null where it has no such uncle.", e.uncle, (*ethereum.ShownUncle)(nil),
			hash, param("index", "of the uncle, from 0, as a hex number", "")),
		write("eth_sendRawTransaction", "Adds a transaction to the pool and gossips it; gives its hash.", e.send, "", param("transaction", "in hex, as it is signed; with blobs: and their sidecar", "")),
		read("txpool_status", "How many transactions wait, as hex numbers.", asks(e.poolStatus), TxPoolStatus{}),
	}
}

// hexNumber writes a number as Ethereum's JSON-RPC has it.
func hexNumber(n uint64) string { return "0x" + strconv.FormatUint(n, 16) }

func (e *ethAPI) head() chain.Ref { return e.node.stack.chain.Status().Head }

func (e *ethAPI) chainID() string { return fmt.Sprintf("%#x", e.family.Config().Chain.ChainID) }

func (e *ethAPI) syncing() any {
	head, target := e.head().Number, e.node.node.Client().Status().Sync.Target
	if target <= head {
		return false
	}
	return EthSyncing{hexNumber(min(e.started, head)), hexNumber(head), hexNumber(target)}
}

func (e *ethAPI) poolStatus() TxPoolStatus {
	all, _ := e.pool.Len()
	fit := min(len(e.pool.Pending(0, 0)), all)
	return TxPoolStatus{hexNumber(uint64(fit)), hexNumber(uint64(all - fit))}
}

// ref reads what names a block by number; false: there is no such block.
func (e *ethAPI) ref(text string) (chain.Ref, bool, error) {
	st := e.node.stack.chain.Status()
	switch text {
	case "", "latest":
		return st.Head, true, nil
	case "earliest":
		return chain.Ref{Hash: st.Genesis}, true, nil
	case "pending": // no block is built here
		return chain.Ref{}, false, nil
	case "finalized", "safe":
		if st.Finalized.Hash.IsZero() {
			return chain.Ref{}, false, fmt.Errorf("%s block not found", text) // geth's words
		}
		return st.Finalized, true, nil
	}
	digits, ok := strings.CutPrefix(text, "0x")
	n, err := strconv.ParseUint(digits, 16, 63)
	if !ok || err != nil {
		return chain.Ref{}, false, rpc.BadParams(`invalid argument 0: %.40q is no block number; write it in hex behind 0x, or "latest"`, text)
	}
	return chain.Ref{Number: n}, n <= st.Head.Number, nil
}

func (e *ethAPI) byNumber(ctx context.Context, params json.RawMessage) (any, error) {
	var text string
	var full bool
	if err := rpc.Params(params, &text, &full); err != nil {
		return nil, err
	}
	ref, ok, err := e.ref(text)
	if err != nil || !ok {
		return nil, err
	}
	return e.show(ctx, ref, full)
}

func (e *ethAPI) byHash(ctx context.Context, params json.RawMessage) (any, error) {
	var text string
	var full bool
	if err := rpc.Params(params, &text, &full); err != nil {
		return nil, err
	}
	hash, err := chain.ParseHash(text)
	if err != nil || hash.IsZero() {
		return nil, rpc.BadParams("invalid argument 0: %.80q is no hash", text)
	}
	return e.show(ctx, chain.Ref{Hash: hash}, full)
}

// block gives one block of the chain; nil where there is none.
func (e *ethAPI) block(ctx context.Context, ref chain.Ref) (*chain.Block, error) {
	b, err := e.node.stack.chain.Block(ctx, ref)
	if errors.Is(err, chain.ErrNotFound) {
		return nil, nil
	}
	return &b, err
}

func (e *ethAPI) show(ctx context.Context, ref chain.Ref, full bool) (any, error) {
	b, err := e.block(ctx, ref)
	if b == nil || err != nil {
		return nil, err
	}
	weight, err := e.node.stack.ledger.Weigh(ctx, b.Header)
	if b.Ref().Hash == e.node.stack.chain.Status().Genesis {
		weight, err = e.family.Weight(chain.Weight{}, b.Header), nil
	}
	if errors.Is(err, chain.ErrUnknownParent) {
		return nil, nil // it waits for those below it
	}
	if err != nil {
		return nil, err
	}
	return e.family.Show(*b, weight, full)
}

func (e *ethAPI) uncle(ctx context.Context, params json.RawMessage) (any, error) {
	var text, at string
	if err := rpc.Params(params, &text, &at); err != nil {
		return nil, err
	}
	hash, err := chain.ParseHash(text)
	index, bad := strconv.ParseUint(strings.TrimPrefix(at, "0x"), 16, 31)
	if err != nil || hash.IsZero() || bad != nil {
		return nil, rpc.BadParams("%.80q and %.40q are not a block's hash and an index in hex", text, at)
	}
	b, err := e.block(ctx, chain.Ref{Hash: hash})
	if b == nil || err != nil {
		return nil, err
	}
	u, err := e.family.ShowUncle(*b, index)
	if u == nil {
		return nil, err
	}
	return u, nil
}

func (e *ethAPI) send(ctx context.Context, params json.RawMessage) (any, error) {
	var text string
	if err := rpc.Params(params, &text); err != nil {
		return nil, err
	}
	digits, ok := strings.CutPrefix(text, "0x")
	raw, err := hex.DecodeString(digits)
	if !ok || err != nil || len(raw) == 0 {
		return nil, rpc.BadParams("invalid argument 0: want the transaction in hex behind 0x")
	}
	verdicts, err := e.node.node.Client().PublishTxs(ctx, []chain.Tx{{Bytes: raw}})
	if err != nil {
		return nil, err
	}
	if v := verdicts[0]; v.Action != chain.Accept {
		return nil, errors.New(refusalText(v.Reason))
	}
	hash, _ := e.node.stack.hashOf(raw)
	return hash.String(), nil
}

// refusalText is what geth says where its pool does not take a transaction
// (core/txpool, core), which wallets look for; where it has no words for it,
// ours.
func refusalText(reason string) string {
	switch reason {
	case "known":
		return "already known"
	case "nonce-used":
		return "nonce too low"
	case "nonce-too-large":
		return "nonce has max value"
	case "underpriced":
		return "transaction underpriced"
	case "underpriced-replacement":
		return "replacement transaction underpriced"
	case "pool-full":
		return "txpool is full"
	case "sender-full":
		return "account limit exceeded"
	case "gas-too-low":
		return "intrinsic gas too low"
	case "gas-over-block-limit":
		return "exceeds block gas limit"
	case "gas-over-limit":
		return "transaction gas limit too high"
	case "tip-over-fee-cap":
		return "max priority fee per gas higher than max fee per gas"
	case "bad-signature":
		return "invalid sender"
	case "too-large":
		return "oversized data"
	case "fork-not-active":
		return "transaction type not supported"
	case "wrong-network":
		return "invalid chain id for signer"
	case "blob-fee-too-low":
		return "max fee per blob gas less than block blob gas fee"
	case "too-many-blobs":
		return "blob transaction has too many blobs"
	case "no-blobs":
		return "blob transaction missing blob hashes"
	case "bad-proof":
		return "KZG verification error"
	}
	return "transaction refused: " + reason
}
