package opstack

import (
	"math/big"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"

	"github.com/starlingp2p/starling/wire/opstack/codec"
)

// payload is ExecutionPayloadV1 to V3 (execution-apis, src/engine), and V4 of
// the OP Stack, which adds the root of withdrawals (specs, isthmus/exec-engine).
type payload struct {
	ParentHash    common.Hash     `json:"parentHash"`
	FeeRecipient  common.Address  `json:"feeRecipient"`
	StateRoot     common.Hash     `json:"stateRoot"`
	ReceiptsRoot  common.Hash     `json:"receiptsRoot"`
	LogsBloom     hexutil.Bytes   `json:"logsBloom"`
	PrevRandao    common.Hash     `json:"prevRandao"`
	Number        hexutil.Uint64  `json:"blockNumber"`
	GasLimit      hexutil.Uint64  `json:"gasLimit"`
	GasUsed       hexutil.Uint64  `json:"gasUsed"`
	Time          hexutil.Uint64  `json:"timestamp"`
	ExtraData     hexutil.Bytes   `json:"extraData"`
	BaseFee       *hexutil.Big    `json:"baseFeePerGas"`
	BlockHash     common.Hash     `json:"blockHash"`
	Txs           []hexutil.Bytes `json:"transactions"`
	Withdrawals   *[]struct{}     `json:"withdrawals,omitempty"`   // from V2 on; none on the OP Stack
	BlobGasUsed   *hexutil.Uint64 `json:"blobGasUsed,omitempty"`   // from V3 on
	ExcessBlobGas *hexutil.Uint64 `json:"excessBlobGas,omitempty"` // from V3 on
	// WithdrawalsRoot is from V4 on: on the OP Stack it is not the root of
	// Withdrawals, so it cannot be told from them.
	WithdrawalsRoot *common.Hash `json:"withdrawalsRoot,omitempty"`
}

// executable is a payload as the Engine API has it.
func executable(e *codec.Envelope) *payload {
	p := &payload{
		ParentHash: common.Hash(e.ParentHash), FeeRecipient: e.FeeRecipient, StateRoot: common.Hash(e.StateRoot),
		ReceiptsRoot: common.Hash(e.ReceiptsRoot), LogsBloom: e.LogsBloom[:], PrevRandao: common.Hash(e.PrevRandao),
		Number: hexutil.Uint64(e.Number), GasLimit: hexutil.Uint64(e.GasLimit), GasUsed: hexutil.Uint64(e.GasUsed), Time: hexutil.Uint64(e.Time),
		ExtraData: e.ExtraData, BaseFee: (*hexutil.Big)(new(big.Int).SetBytes(e.BaseFee[:])), BlockHash: common.Hash(e.BlockHash),
		Txs: make([]hexutil.Bytes, 0, codec.CountTxs(e.Txs)),
	}
	for _, tx := range codec.Transactions(e.Txs) {
		p.Txs = append(p.Txs, tx)
	}
	if e.Version >= codec.V2 {
		p.Withdrawals = &[]struct{}{}
	}
	if e.Version >= codec.V3 {
		p.BlobGasUsed, p.ExcessBlobGas = (*hexutil.Uint64)(&e.BlobGasUsed), (*hexutil.Uint64)(&e.ExcessBlobGas)
	}
	if e.Version >= codec.V4 {
		root := common.Hash(e.WithdrawalsRoot)
		p.WithdrawalsRoot = &root
	}
	return p
}
