package ethereum

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"sync/atomic"
	"time"

	"github.com/ethereum/go-ethereum/common"
	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/starlingp2p/starling/chain"
)

// Codes of EngineErrors (JSON-RPC 2.0 §5.1; execution-apis, src/engine/common.md §Errors).
const (
	CodeInvalidParams    = -32602
	CodeEngineFailed     = -32000
	CodeForkchoiceState  = -38002
	CodeUnsupportedFork  = -38005
	statusSyncing        = "SYNCING"
	statusInvalid        = "INVALID"
	maxEngineHeads       = 1 << 10 // payloads that a consensus client has told of
	newestPayload        = 4
	newestForkchoice     = 3
	consensusClientQuiet = 2 * time.Minute
)

// EngineError is an error of the Engine API with its code.
type EngineError struct {
	Code int
	Text string
}

func (e *EngineError) Error() string { return e.Text }

// EngineStatus is PayloadStatusV1. latestValidHash is always null: nothing is
// executed here, so nothing is known to be valid.
type EngineStatus struct {
	Status          string  `json:"status"`
	LatestValidHash *string `json:"latestValidHash"`
	ValidationError *string `json:"validationError"`
}

// EngineChoice is the answer to a fork choice. No payload is ever built.
type EngineChoice struct {
	PayloadStatus EngineStatus `json:"payloadStatus"`
	PayloadID     *string      `json:"payloadId"`
}

// EngineConfig configures an EngineAPI. All but Logger is required.
type EngineConfig struct {
	Family *Family
	Chain  EngineChain
	// Target gives the sync a block that is trusted. It must not wait for long.
	Target func(ctx context.Context, ref chain.Ref) error
	Logger *slog.Logger // nil: nothing
}

// EngineChain is what an EngineAPI asks of a ledger.
type EngineChain interface {
	Status() chain.Status
	Header(ctx context.Context, ref chain.Ref) (chain.Header, error)
	Finalize(ctx context.Context, ref chain.Ref) error
}

// EngineAPI answers a consensus client, so that it can say what block is to be
// reached. It is for following, not for staking: a payload is looked at, not
// executed, so that none is ever called valid, and none is built. It is safe for
// concurrent use.
//
// Who calls it knows the secret, and is trusted with where the chain is. What it
// sends is bounded all the same.
type EngineAPI struct {
	c     EngineConfig
	heads *lru.Cache[chain.Hash, uint64] // numbers of payloads whose hash was right
	heard atomic.Int64                   // when it was called last, in nanoseconds since began; 0: never
	began time.Time
	final chan chain.Hash // capacity 1: the newest that is called final
}

// NewEngineAPI makes one. It fails for a network that was never merged: no
// consensus client leads that.
func NewEngineAPI(c EngineConfig) (*EngineAPI, error) {
	if c.Family == nil || c.Chain == nil || c.Target == nil {
		return nil, errors.New("ethereum: EngineConfig needs Family, Chain and Target")
	}
	if !c.Family.NeedsTarget() {
		return nil, errors.New("ethereum: this network has no consensus clients: it is not one after the Merge")
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	heads, err := lru.New[chain.Hash, uint64](maxEngineHeads)
	if err != nil {
		return nil, fmt.Errorf("ethereum: %w", err)
	}
	return &EngineAPI{c: c, heads: heads, began: time.Now(), final: make(chan chain.Hash, 1)}, nil
}

// Quiet reports whether no consensus client has called for two minutes.
func (e *EngineAPI) Quiet() bool {
	return time.Since(e.began)-time.Duration(e.heard.Load()) > consensusClientQuiet
}

// called notes a call, by a clock that setting the machine's does not move.
func (e *EngineAPI) called() { e.heard.Store(int64(time.Since(e.began))) }

// NewPayload answers engine_newPayloadV1 to V4: SYNCING to a payload whose hash
// is right, INVALID to another. It does no I/O.
func (e *EngineAPI) NewPayload(_ context.Context, version int, args []json.RawMessage) (EngineStatus, error) {
	e.called()
	h, want, err := e.decode(version, args)
	var failure *EngineError
	switch {
	case errors.As(err, &failure):
		return EngineStatus{}, failure
	case errors.Is(err, errParams):
		return EngineStatus{}, &EngineError{CodeInvalidParams, err.Error()}
	case err != nil:
		return invalidPayload(err.Error()), nil
	case h.Hash != want:
		return invalidPayload(fmt.Sprintf("blockHash is %v, the payload has %v", want, h.Hash)), nil
	}
	e.heads.Add(h.Hash, h.Number)
	return EngineStatus{Status: statusSyncing}, nil
}

func invalidPayload(why string) EngineStatus {
	return EngineStatus{Status: statusInvalid, ValidationError: &why}
}

// decode gives the block that a payload is, and the hash that it says it has.
func (e *EngineAPI) decode(version int, args []json.RawMessage) (got chain.Ref, want chain.Hash, err error) {
	wants := []int{1: 1, 2: 1, 3: 3, 4: 4}
	if version < 1 || version > newestPayload || len(args) != wants[version] {
		return got, want, badParams("engine_newPayloadV%d has %d params", version, len(args))
	}
	var p payload
	if err := json.Unmarshal(args[0], &p); err != nil {
		return got, want, badParams("payload: %w", err)
	}
	if err := p.whole(); err != nil {
		return got, want, err
	}
	var b beside
	if version >= 3 {
		if b.blobs, err = list[common.Hash](args[1], "expectedBlobVersionedHashes", maxPayloadHashes); err != nil {
			return got, want, err
		}
		if err := json.Unmarshal(args[2], &b.root); err != nil {
			return got, want, badParams("parentBeaconBlockRoot: %w", err)
		}
		if b.blobs == nil || b.root == nil {
			return got, want, badParams("expectedBlobVersionedHashes or parentBeaconBlockRoot is missing")
		}
	}
	if version >= 4 {
		if b.requests, err = requestsOf(args[3]); err != nil {
			return got, want, err
		}
		if b.requests == nil {
			return got, want, badParams("executionRequests is missing")
		}
	}
	if err := e.fits(version, &p); err != nil {
		return got, want, err
	}
	h, err := p.header(b)
	if err != nil {
		return got, want, err
	}
	return refOf(h), chain.Hash(*p.BlockHash), nil
}

// fits reports whether a payload has what its version has, and whether its time
// is of the fork that the version is for.
func (e *EngineAPI) fits(version int, p *payload) error {
	var (
		chain, number = e.c.Family.c.Chain, new(big.Int).SetUint64(uint64(*p.Number))
		at            = uint64(*p.Time)
		shanghai      = chain.IsShanghai(number, at)
		cancun        = chain.IsCancun(number, at)
		prague        = chain.IsPrague(number, at)
		withdraws     = len(p.Withdrawals) > 0 && string(p.Withdrawals) != "null"
		blobs         = p.BlobGasUsed != nil && p.ExcessBlobGas != nil
		noBlobs       = p.BlobGasUsed == nil && p.ExcessBlobGas == nil
	)
	switch {
	case version == 1 && withdraws, version == 2 && withdraws != shanghai, version >= 3 && !withdraws:
		return badParams("withdrawals are there: %v, which engine_newPayloadV%d has otherwise at this time", withdraws, version)
	case version <= 2 && !noBlobs, version >= 3 && !blobs:
		return badParams("blobGasUsed and excessBlobGas go with engine_newPayloadV3 and V4, and only with them")
	case version <= 2 && cancun, version == 1 && shanghai:
		return badParams("engine_newPayloadV%d is not for payloads of this time", version)
	case version == 3 && (!cancun || prague), version == 4 && (!prague || chain.IsAmsterdam(number, at)):
		return &EngineError{CodeUnsupportedFork, fmt.Sprintf("Unsupported fork: engine_newPayloadV%d is not for payloads of this time", version)}
	}
	return nil
}

// Forkchoice answers engine_forkchoiceUpdatedV1 to V3: always SYNCING. A head
// that a payload told of, or that is here, is what the sync is to reach; of
// another nothing is known but its hash, and its payload is awaited. What is
// asked to be built is not (paris.md §engine_forkchoiceUpdatedV1: only on a head
// that is VALID). It may read the disk.
func (e *EngineAPI) Forkchoice(ctx context.Context, version int, args []json.RawMessage) (EngineChoice, error) {
	e.called()
	var state struct {
		Head  *common.Hash `json:"headBlockHash"`
		Safe  *common.Hash `json:"safeBlockHash"`
		Final *common.Hash `json:"finalizedBlockHash"`
	}
	if version < 1 || version > newestForkchoice || len(args) < 1 || len(args) > 2 {
		return EngineChoice{}, &EngineError{CodeInvalidParams, fmt.Sprintf("engine_forkchoiceUpdatedV%d has %d params", version, len(args))}
	}
	if err := json.Unmarshal(args[0], &state); err != nil {
		return EngineChoice{}, &EngineError{CodeInvalidParams, "forkchoiceState: " + err.Error()}
	}
	if state.Head == nil || state.Safe == nil || state.Final == nil {
		return EngineChoice{}, &EngineError{CodeInvalidParams, "forkchoiceState lacks a hash"}
	}
	if *state.Head == (common.Hash{}) {
		return EngineChoice{}, &EngineError{CodeForkchoiceState, "Invalid forkchoice state: the head is zero"}
	}
	answer := EngineChoice{PayloadStatus: EngineStatus{Status: statusSyncing}}
	ref, ok, err := e.find(ctx, chain.Hash(*state.Head))
	if err != nil {
		return EngineChoice{}, &EngineError{CodeEngineFailed, err.Error()}
	}
	if !ok {
		e.c.Logger.Debug("a fork choice names a head whose payload has not come", "head", chain.Hash(*state.Head).String())
		return answer, nil
	}
	if ref != e.c.Chain.Status().Head {
		if err := e.c.Target(ctx, ref); err != nil {
			return EngineChoice{}, &EngineError{CodeEngineFailed, err.Error()}
		}
	}
	select { // the newest counts
	case <-e.final:
	default:
	}
	select {
	case e.final <- chain.Hash(*state.Final):
	default:
	}
	return answer, nil
}

// Run makes final what the consensus client calls final, until ctx ends, and
// gives its cause.
func (e *EngineAPI) Run(ctx context.Context) error {
	for {
		select {
		case hash := <-e.final:
			if err := e.finalize(ctx, hash); err != nil && ctx.Err() == nil {
				e.c.Logger.Warn("ethereum: a block that the consensus client calls final was not made so", "err", err)
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// find gives the number of a block that somebody told of.
func (e *EngineAPI) find(ctx context.Context, hash chain.Hash) (chain.Ref, bool, error) {
	if n, ok := e.heads.Get(hash); ok {
		return chain.Ref{Number: n, Hash: hash}, true, nil
	}
	h, err := e.c.Chain.Header(ctx, chain.Ref{Hash: hash})
	if errors.Is(err, chain.ErrNotFound) {
		return chain.Ref{}, false, nil
	}
	return h.Ref, err == nil, err
}

// finalize makes a block final that is canonical here; another will be when it
// has come.
func (e *EngineAPI) finalize(ctx context.Context, hash chain.Hash) error {
	if hash.IsZero() {
		return nil
	}
	h, err := e.c.Chain.Header(ctx, chain.Ref{Hash: hash})
	if errors.Is(err, chain.ErrNotFound) {
		return nil
	}
	st := e.c.Chain.Status()
	if err != nil || h.Ref.Number <= st.Finalized.Number || h.Ref.Number > st.Head.Number {
		return err
	}
	at, err := e.c.Chain.Header(ctx, chain.Ref{Number: h.Ref.Number})
	if err != nil || at.Ref != h.Ref {
		return err
	}
	return e.c.Chain.Finalize(ctx, h.Ref)
}
