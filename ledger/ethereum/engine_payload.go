package ethereum

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/params"
	"github.com/ethereum/go-ethereum/trie"

	"github.com/starlingp2p/starling/chain"
)

// Bounds of what a payload lists, looked at before anything is decoded: far
// above what a block's gas allows, and what a list of empty items would cost.
const (
	maxPayloadTxs         = 1 << 17
	maxPayloadWithdrawals = 1 << 10
	maxPayloadHashes      = 1 << 12
	maxPayloadRequests    = 256
)

// payload is ExecutionPayloadV1 to V3 (execution-apis, src/engine). What a fork
// adds is nil before it; lists are decoded once they are known to be short.
type payload struct {
	ParentHash    *common.Hash    `json:"parentHash"`
	FeeRecipient  *common.Address `json:"feeRecipient"`
	StateRoot     *common.Hash    `json:"stateRoot"`
	ReceiptsRoot  *common.Hash    `json:"receiptsRoot"`
	LogsBloom     *types.Bloom    `json:"logsBloom"`
	PrevRandao    *common.Hash    `json:"prevRandao"`
	Number        *hexutil.Uint64 `json:"blockNumber"`
	GasLimit      *hexutil.Uint64 `json:"gasLimit"`
	GasUsed       *hexutil.Uint64 `json:"gasUsed"`
	Time          *hexutil.Uint64 `json:"timestamp"`
	ExtraData     *hexutil.Bytes  `json:"extraData"`
	BaseFee       *hexutil.Big    `json:"baseFeePerGas"`
	BlockHash     *common.Hash    `json:"blockHash"`
	Txs           json.RawMessage `json:"transactions"`
	Withdrawals   json.RawMessage `json:"withdrawals"`
	BlobGasUsed   *hexutil.Uint64 `json:"blobGasUsed"`
	ExcessBlobGas *hexutil.Uint64 `json:"excessBlobGas"`
}

// beside is what comes beside a payload: from V3 on the hashes of its blobs and
// the parent's beacon block root, from V4 on the execution layer's requests.
type beside struct {
	blobs    []common.Hash
	root     *common.Hash
	requests [][]byte
}

// errParams: something that must be there is not, or is of another form.
var errParams = errors.New("invalid parameters")

func badParams(format string, args ...any) error {
	return fmt.Errorf("%w: %w", errParams, fmt.Errorf(format, args...))
}

// list decodes a JSON array of at most so many items, which are at least a comma
// apart. null and nothing are nil.
func list[T any](raw json.RawMessage, what string, most int) ([]T, error) {
	if len(raw) == 0 || string(raw) == "null" {
		return nil, nil
	}
	if n := bytes.Count(raw, []byte{','}); n >= most {
		return nil, badParams("%s has over %d items", what, most)
	}
	out := []T{}
	if err := json.Unmarshal(raw, &out); err != nil {
		return nil, badParams("%s: %w", what, err)
	}
	return out, nil
}

// whole reports what is missing of a payload of any fork.
func (p *payload) whole() error {
	for _, field := range []struct {
		name    string
		missing bool
	}{
		{"parentHash", p.ParentHash == nil},
		{"feeRecipient", p.FeeRecipient == nil},
		{"stateRoot", p.StateRoot == nil},
		{"receiptsRoot", p.ReceiptsRoot == nil},
		{"logsBloom", p.LogsBloom == nil},
		{"prevRandao", p.PrevRandao == nil},
		{"blockNumber", p.Number == nil},
		{"gasLimit", p.GasLimit == nil},
		{"gasUsed", p.GasUsed == nil},
		{"timestamp", p.Time == nil},
		{"extraData", p.ExtraData == nil},
		{"baseFeePerGas", p.BaseFee == nil},
		{"blockHash", p.BlockHash == nil},
		{"transactions", len(p.Txs) == 0 || string(p.Txs) == "null"},
	} {
		if field.missing {
			return badParams("%s is missing", field.name)
		}
	}
	return nil
}

// header is the header that the payload describes. It fails with errParams for
// what is no payload, and with another error for one that cannot be valid.
func (p *payload) header(b beside) (*types.Header, error) {
	h := &types.Header{
		ParentHash: *p.ParentHash, UncleHash: types.EmptyUncleHash, Coinbase: *p.FeeRecipient, Root: *p.StateRoot,
		ReceiptHash: *p.ReceiptsRoot, Bloom: *p.LogsBloom, Difficulty: new(big.Int), Number: new(big.Int).SetUint64(uint64(*p.Number)),
		GasLimit: uint64(*p.GasLimit), GasUsed: uint64(*p.GasUsed), Time: uint64(*p.Time), Extra: *p.ExtraData,
		MixDigest: *p.PrevRandao, BaseFee: (*big.Int)(p.BaseFee),
		BlobGasUsed: (*uint64)(p.BlobGasUsed), ExcessBlobGas: (*uint64)(p.ExcessBlobGas), ParentBeaconRoot: b.root,
	}
	if n := len(h.Extra); n > int(params.MaximumExtraDataSize) {
		return nil, fmt.Errorf("extraData has %d bytes, at most %d", n, params.MaximumExtraDataSize)
	}
	txs, err := list[hexutil.Bytes](p.Txs, "transactions", maxPayloadTxs)
	if err != nil {
		return nil, err
	}
	var (
		raw   = make(rawList, len(txs))
		blobs []common.Hash
	)
	for i, bin := range txs {
		var tx types.Transaction
		if err := tx.UnmarshalBinary(bin); err != nil {
			return nil, fmt.Errorf("transaction %d: %w", i, err)
		}
		raw[i], blobs = bin, append(blobs, tx.BlobHashes()...)
	}
	if len(blobs) != len(b.blobs) {
		return nil, fmt.Errorf("its transactions have %d blobs, %d are expected", len(blobs), len(b.blobs))
	}
	for i, hash := range blobs {
		if hash != b.blobs[i] {
			return nil, fmt.Errorf("blob %d has the hash %v, expected is %v", i, hash, b.blobs[i])
		}
	}
	h.TxHash = common.Hash(rootOf(raw))
	ws, err := list[*types.Withdrawal](p.Withdrawals, "withdrawals", 4*maxPayloadWithdrawals) // one has 3 commas itself
	if err != nil {
		return nil, err
	}
	if ws != nil {
		for i, w := range ws {
			if w == nil {
				return nil, badParams("withdrawal %d is null", i)
			}
		}
		root := types.DeriveSha(types.Withdrawals(ws), trie.NewStackTrie(nil))
		h.WithdrawalsHash = &root
	}
	if b.requests != nil {
		hash := types.CalcRequestsHash(b.requests)
		h.RequestsHash = &hash
	}
	return h, nil
}

// requestsOf decodes the execution layer's requests: each has a type and
// content, and the types ascend (EIP-7685).
func requestsOf(raw json.RawMessage) ([][]byte, error) {
	items, err := list[hexutil.Bytes](raw, "executionRequests", maxPayloadRequests)
	if err != nil || items == nil {
		return nil, err
	}
	out := make([][]byte, len(items))
	for i, r := range items {
		if len(r) < 2 || i > 0 && r[0] <= items[i-1][0] {
			return nil, badParams("executionRequests: item %d is empty, or its type does not follow the one before", i)
		}
		out[i] = r
	}
	return out, nil
}

// refOf is the block that a header is.
func refOf(h *types.Header) chain.Ref {
	return chain.Ref{Number: h.Number.Uint64(), Hash: chain.Hash(h.Hash())}
}
