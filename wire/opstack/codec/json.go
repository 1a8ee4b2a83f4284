package codec

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/big"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"

	"github.com/starlingp2p/starling/chain"
)

// payloadJSON is a payload as the Engine API and op-node's RPC write it
// (op-service/eth/types.go): which of the last fields are there tells the
// version.
type payloadJSON struct {
	ParentHash      common.Hash         `json:"parentHash"`
	FeeRecipient    common.Address      `json:"feeRecipient"`
	StateRoot       common.Hash         `json:"stateRoot"`
	ReceiptsRoot    common.Hash         `json:"receiptsRoot"`
	LogsBloom       types.Bloom         `json:"logsBloom"`
	PrevRandao      common.Hash         `json:"prevRandao"`
	Number          hexutil.Uint64      `json:"blockNumber"`
	GasLimit        hexutil.Uint64      `json:"gasLimit"`
	GasUsed         hexutil.Uint64      `json:"gasUsed"`
	Time            hexutil.Uint64      `json:"timestamp"`
	ExtraData       hexutil.Bytes       `json:"extraData"`
	BaseFee         *hexutil.Big        `json:"baseFeePerGas"`
	BlockHash       common.Hash         `json:"blockHash"`
	Transactions    []hexutil.Bytes     `json:"transactions"`
	Withdrawals     *[]*json.RawMessage `json:"withdrawals,omitempty"`
	BlobGasUsed     *hexutil.Uint64     `json:"blobGasUsed,omitempty"`
	ExcessBlobGas   *hexutil.Uint64     `json:"excessBlobGas,omitempty"`
	WithdrawalsRoot *common.Hash        `json:"withdrawalsRoot,omitempty"`
}

// envelopeJSON is an envelope as op-node's RPC writes it.
type envelopeJSON struct {
	BeaconRoot *common.Hash `json:"parentBeaconBlockRoot,omitempty"`
	Payload    *Payload     `json:"executionPayload"`
}

// MarshalJSON implements json.Marshaler, in the form of the Engine API. A
// payload with withdrawals, which no valid one has, cannot be written.
func (p *Payload) MarshalJSON() ([]byte, error) {
	if len(p.Withdrawals) > 0 {
		return nil, errors.New("opstack: a payload with withdrawals has no JSON here")
	}
	out := payloadJSON{
		ParentHash: common.Hash(p.ParentHash), FeeRecipient: p.FeeRecipient, StateRoot: common.Hash(p.StateRoot),
		ReceiptsRoot: common.Hash(p.ReceiptsRoot), LogsBloom: p.LogsBloom, PrevRandao: common.Hash(p.PrevRandao),
		Number: hexutil.Uint64(p.Number), GasLimit: hexutil.Uint64(p.GasLimit), GasUsed: hexutil.Uint64(p.GasUsed), Time: hexutil.Uint64(p.Time),
		ExtraData: p.ExtraData, BaseFee: (*hexutil.Big)(new(big.Int).SetBytes(p.BaseFee[:])), BlockHash: common.Hash(p.BlockHash),
		Transactions: make([]hexutil.Bytes, 0, CountTxs(p.Txs)),
	}
	for _, tx := range Transactions(p.Txs) {
		out.Transactions = append(out.Transactions, tx)
	}
	if p.Version >= V2 {
		out.Withdrawals = &[]*json.RawMessage{}
	}
	if p.Version >= V3 {
		out.BlobGasUsed, out.ExcessBlobGas = (*hexutil.Uint64)(&p.BlobGasUsed), (*hexutil.Uint64)(&p.ExcessBlobGas)
	}
	if p.Version >= V4 {
		out.WithdrawalsRoot = (*common.Hash)(&p.WithdrawalsRoot)
	}
	return json.Marshal(out)
}

// UnmarshalJSON implements json.Unmarshaler. What it takes is as well formed as
// what DecodePayload gives; whether the hash is right is another question.
func (p *Payload) UnmarshalJSON(raw []byte) error {
	var in payloadJSON
	if err := json.Unmarshal(raw, &in); err != nil {
		return fmt.Errorf("opstack: payload: %w", err)
	}
	switch {
	case len(in.ExtraData) > MaxExtraData:
		return fmt.Errorf("opstack: payload: %d bytes of extra data, at most %d", len(in.ExtraData), MaxExtraData)
	case in.BaseFee == nil || in.BaseFee.ToInt().BitLen() > 256:
		return fmt.Errorf("opstack: payload: baseFeePerGas is missing, or over 256 bits")
	case len(in.Transactions) > MaxTxs:
		return fmt.Errorf("opstack: payload: %d transactions, at most %d", len(in.Transactions), MaxTxs)
	case in.Withdrawals != nil && len(*in.Withdrawals) > 0:
		return fmt.Errorf("opstack: payload: %d withdrawals, which no OP Stack block has", len(*in.Withdrawals))
	case (in.BlobGasUsed == nil) != (in.ExcessBlobGas == nil):
		return fmt.Errorf("opstack: payload: one of blobGasUsed and excessBlobGas is missing")
	}
	*p = Payload{
		Version: V1, ParentHash: chain.Hash(in.ParentHash), FeeRecipient: in.FeeRecipient, StateRoot: chain.Hash(in.StateRoot),
		ReceiptsRoot: chain.Hash(in.ReceiptsRoot), LogsBloom: in.LogsBloom, PrevRandao: chain.Hash(in.PrevRandao),
		Number: uint64(in.Number), GasLimit: uint64(in.GasLimit), GasUsed: uint64(in.GasUsed), Time: uint64(in.Time),
		ExtraData: in.ExtraData, BlockHash: chain.Hash(in.BlockHash),
	}
	in.BaseFee.ToInt().FillBytes(p.BaseFee[:])
	txs := make([][]byte, len(in.Transactions))
	for i, tx := range in.Transactions {
		txs[i] = tx
	}
	p.Txs = AppendTxs(nil, txs)
	if in.Withdrawals != nil {
		p.Version = V2
	}
	if in.BlobGasUsed != nil {
		p.Version, p.BlobGasUsed, p.ExcessBlobGas = V3, uint64(*in.BlobGasUsed), uint64(*in.ExcessBlobGas)
	}
	if in.WithdrawalsRoot != nil {
		p.Version, p.WithdrawalsRoot = V4, chain.Hash(*in.WithdrawalsRoot)
	}
	if p.Version >= V3 && (in.BlobGasUsed == nil || in.Withdrawals == nil) {
		return fmt.Errorf("opstack: payload %s: withdrawals, blobGasUsed or excessBlobGas are missing", p.Version)
	}
	return nil
}

// MarshalJSON implements json.Marshaler, in op-node's form.
func (e *Envelope) MarshalJSON() ([]byte, error) {
	out := envelopeJSON{Payload: &e.Payload}
	if e.Version.Enveloped() {
		out.BeaconRoot = (*common.Hash)(&e.BeaconRoot)
	}
	return json.Marshal(out)
}

// UnmarshalJSON implements json.Unmarshaler, as that of Payload.
func (e *Envelope) UnmarshalJSON(raw []byte) error {
	var in envelopeJSON
	if err := json.Unmarshal(raw, &in); err != nil {
		return fmt.Errorf("opstack: envelope: %w", err)
	}
	if in.Payload == nil {
		return fmt.Errorf("opstack: envelope: executionPayload is missing")
	}
	if in.Payload.Version.Enveloped() != (in.BeaconRoot != nil) {
		return fmt.Errorf("opstack: envelope: parentBeaconBlockRoot goes with payloads from V3 on, and this is %s", in.Payload.Version)
	}
	*e = Envelope{Payload: *in.Payload}
	if in.BeaconRoot != nil {
		e.BeaconRoot = chain.Hash(*in.BeaconRoot)
	}
	return nil
}

// Signed is an envelope with the sequencer's signature, as op-node's RPC has
// them (op-service/signer/signed_envelope.go).
type Signed struct {
	Envelope  *Envelope     `json:"envelope"`
	Signature hexutil.Bytes `json:"signature"`
}
