package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/ethereum/go-ethereum/beacon/engine"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	gethnode "github.com/ethereum/go-ethereum/node"
	"github.com/ethereum/go-ethereum/rpc"

	"github.com/starlingp2p/starling/interop/peers/steer"
)

// driven is what another node's Engine API answers, in geth's own types.
type driven struct {
	Capabilities []string                   `json:"capabilities"`
	Client       []engine.ClientVersionV1   `json:"client"`
	Payload      engine.PayloadStatusV1     `json:"payload"`
	Wrong        engine.PayloadStatusV1     `json:"wrong"` // to the same payload with another state root
	Forkchoice   engine.ForkChoiceResponse  `json:"forkchoice"`
	Building     *engine.ForkChoiceResponse `json:"building"` // to one that asks for a block
	Syncing      json.RawMessage            `json:"syncing"`
}

// drive speaks to an Engine API as a consensus client does, with geth's own
// client, tokens and types.
func (n *node) drive(ctx context.Context, c steer.Command) (out driven, err error) {
	var secret string
	if err := json.Unmarshal(c.Params, &secret); err != nil {
		return out, err
	}
	auth := gethnode.NewJWTAuth([32]byte(common.FromHex(secret)))
	client, err := rpc.DialOptions(ctx, c.Addr, rpc.WithHTTPAuth(auth))
	if err != nil {
		return out, err
	}
	defer client.Close()
	n.maker.extend(c.Number)
	b := n.maker.blocks[c.Number-1]
	data := engine.BlockToExecutableData(b, common.Big0, nil, nil).ExecutionPayload
	version, params := 1, []any{data}
	switch {
	case n.maker.genesis.Config.IsPrague(b.Number(), b.Time()):
		version, params = 4, []any{data, []common.Hash{}, b.BeaconRoot(), []string{}}
	case n.maker.genesis.Config.IsCancun(b.Number(), b.Time()):
		version, params = 3, []any{data, []common.Hash{}, b.BeaconRoot()}
	case n.maker.genesis.Config.IsShanghai(b.Number(), b.Time()):
		version = 2
	}
	call := func(result any, method string, params ...any) {
		if err == nil {
			if err = client.CallContext(ctx, result, method, params...); err != nil {
				err = fmt.Errorf("%s: %w", method, err)
			}
		}
	}
	payload, choose := fmt.Sprintf("engine_newPayloadV%d", version), fmt.Sprintf("engine_forkchoiceUpdatedV%d", min(version, 3))
	call(&out.Capabilities, "engine_exchangeCapabilities", []string{payload, choose})
	call(&out.Client, "engine_getClientVersionV1", engine.ClientVersionV1{Code: "GE", Name: "go-ethereum", Version: "1.17.10", Commit: "00000000"})
	call(&out.Payload, payload, params...)
	wrong := *data
	wrong.StateRoot = common.Hash{0xbad & 0xff}
	call(&out.Wrong, payload, append([]any{&wrong}, params[1:]...)...)
	state := engine.ForkchoiceStateV1{HeadBlockHash: b.Hash()}
	call(&out.Forkchoice, choose, state, nil)
	attributes := &engine.PayloadAttributes{Timestamp: b.Time() + uint64(time.Minute/time.Second)}
	if version >= 2 {
		attributes.Withdrawals = []*types.Withdrawal{}
	}
	if version >= 3 {
		attributes.BeaconRoot = &common.Hash{1}
	}
	call(&out.Building, choose, state, attributes)
	call(&out.Syncing, "eth_syncing")
	return out, err
}
