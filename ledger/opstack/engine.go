package opstack

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/env"
	"github.com/starlingp2p/starling/internal/jwt"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire/opstack/codec"
)

// What an execution client says of a payload (execution-apis, src/engine/paris.md §PayloadStatusV1).
const (
	StatusValid    = "VALID"
	StatusInvalid  = "INVALID"
	StatusSyncing  = "SYNCING"
	StatusAccepted = "ACCEPTED"
	// StatusInvalidHash is what V1 of newPayload says of a hash that is not the payload's.
	StatusInvalidHash = "INVALID_BLOCK_HASH"
)

// Codes of the Engine API's errors (execution-apis, src/engine/common.md §Errors),
// and JSON-RPC's for a method that is not there.
const (
	codeNoMethod        = -32601
	codeForkchoice      = -38002
	codeUnsupportedFork = -38005
)

// PayloadStatus is the answer to a payload or a fork choice.
type PayloadStatus struct {
	Status          string
	ValidationError string // clean, empty where there is none
}

// Times that calls may take: a payload is executed before it is answered.
const (
	payloadTime    = 30 * time.Second
	forkchoiceTime = 30 * time.Second
	blockTime      = 5 * time.Second
)

// maxEngineReply bounds an answer: that to a question about a block lists the
// hashes of its transactions.
const maxEngineReply = 8 << 20

// Engine calls the Engine API of an execution client. It is safe for concurrent
// use; each call blocks until it is answered, its time is over or ctx ends.
type Engine struct {
	rpc *caller
}

// NewEngine makes a caller of the Engine API at an http:// or https:// endpoint.
// Nothing is asked yet. A nil wall is the machine's clock.
func NewEngine(endpoint string, secret jwt.Secret, wall env.Wall) (*Engine, error) {
	rpc, err := newCaller(endpoint, nil, nil)
	if err != nil {
		return nil, fmt.Errorf("opstack: engine: %w", err)
	}
	if wall == nil {
		wall = env.SystemWall()
	}
	rpc.bearer = func() string { return secret.Token(wall.Now()) }
	rpc.most = maxEngineReply
	return &Engine{rpc}, nil
}

// Host is where the client is, fit to be shown.
func (e *Engine) Host() string { return e.rpc.host }

// Close ends idle connections.
func (e *Engine) Close() { e.rpc.close() }

// status is PayloadStatusV1 as it comes.
type status struct {
	Status string  `json:"status"`
	Error  *string `json:"validationError"`
}

func (s status) clean() (PayloadStatus, error) {
	out := PayloadStatus{Status: s.Status}
	if s.Error != nil {
		out.ValidationError = peer.Clean(*s.Error)
	}
	switch s.Status {
	case StatusValid, StatusInvalid, StatusSyncing, StatusAccepted, StatusInvalidHash:
		return out, nil
	}
	return out, fmt.Errorf("%w: the status %q", errNoEngine, peer.Clean(s.Status))
}

// errNoEngine: what answers does not speak the Engine API.
var errNoEngine = errors.New("this is no answer of an Engine API")

// NewPayload hands a payload over (engine_newPayloadV1 to V4, by its fork).
func (e *Engine) NewPayload(ctx context.Context, p *codec.Envelope) (PayloadStatus, error) {
	ctx, cancel := context.WithTimeout(ctx, payloadTime)
	defer cancel()
	params := []any{&p.Payload} // in the form of the Engine API
	if p.Version >= codec.V3 {
		params = append(params, []common.Hash{}, common.Hash(p.BeaconRoot)) // no blobs are on a chain of the OP Stack
	}
	if p.Version >= codec.V4 {
		params = append(params, []hexutil.Bytes{}) // nor requests of the execution layer
	}
	var s status
	if err := e.rpc.call(ctx, fmt.Sprintf("engine_newPayloadV%d", p.Version), params, &s); err != nil {
		return PayloadStatus{}, err
	}
	return s.clean()
}

// Forkchoice names the unsafe, safe and finalized heads (engine_forkchoiceUpdatedV1
// to V3, by the head's fork); those that are not known are zero. No block is
// asked for.
func (e *Engine) Forkchoice(ctx context.Context, v codec.Version, head, safe, final chain.Hash) (PayloadStatus, error) {
	ctx, cancel := context.WithTimeout(ctx, forkchoiceTime)
	defer cancel()
	var s struct {
		Payload status `json:"payloadStatus"`
	}
	state := map[string]common.Hash{
		"headBlockHash": common.Hash(head), "safeBlockHash": common.Hash(safe), "finalizedBlockHash": common.Hash(final),
	}
	if err := e.rpc.call(ctx, fmt.Sprintf("engine_forkchoiceUpdatedV%d", min(v, codec.V3)), []any{state, nil}, &s); err != nil {
		return PayloadStatus{}, err
	}
	return s.Payload.clean()
}

// Head is the block that the client has as its head.
func (e *Engine) Head(ctx context.Context) (chain.Ref, error) {
	ref, _, err := e.block(ctx, "latest")
	return ref, err
}

// Block is the client's canonical block of a number; false where it has none.
func (e *Engine) Block(ctx context.Context, number uint64) (chain.Ref, bool, error) {
	return e.block(ctx, hexutil.EncodeUint64(number))
}

func (e *Engine) block(ctx context.Context, which string) (chain.Ref, bool, error) {
	ctx, cancel := context.WithTimeout(ctx, blockTime)
	defer cancel()
	var raw json.RawMessage
	if err := e.rpc.call(ctx, "eth_getBlockByNumber", []any{which, false}, &raw); err != nil {
		return chain.Ref{}, false, err
	}
	var b struct {
		Number *hexutil.Uint64 `json:"number"`
		Hash   *common.Hash    `json:"hash"`
	}
	if err := json.Unmarshal(raw, &b); err != nil {
		return chain.Ref{}, false, fmt.Errorf("eth_getBlockByNumber: %w: %w", errNoEngine, err)
	}
	if b.Number == nil || b.Hash == nil {
		return chain.Ref{}, false, nil
	}
	return chain.Ref{Number: uint64(*b.Number), Hash: chain.Hash(*b.Hash)}, true, nil
}
