package ethereum

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/params"
	"github.com/ethereum/go-ethereum/trie"
	"github.com/holiman/uint256"

	"github.com/starlingp2p/starling/chain"
)

// Times of the forks of the tests' network.
const (
	shanghaiTime = 1_800_000_000
	cancunTime   = 1_800_000_100
	pragueTime   = 1_800_000_200
)

// ledgerOf is a ledger as an EngineAPI sees it.
type ledgerOf struct {
	mu     sync.Mutex
	blocks []chain.Block // canonical
	final  chain.Ref
}

func (l *ledgerOf) Status() chain.Status {
	l.mu.Lock()
	defer l.mu.Unlock()
	return chain.Status{Head: l.blocks[len(l.blocks)-1].Ref(), Finalized: l.final}
}

func (l *ledgerOf) Header(_ context.Context, ref chain.Ref) (chain.Header, error) {
	for _, b := range l.blocks {
		if b.Ref().Hash == ref.Hash || ref.Hash.IsZero() && b.Ref().Number == ref.Number {
			return b.Header, nil
		}
	}
	return chain.Header{}, chain.ErrNotFound
}

func (l *ledgerOf) Finalize(_ context.Context, ref chain.Ref) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.final = ref
	return nil
}

// merged is a network after the Merge, with an EngineAPI before its ledger.
type merged struct {
	*EngineAPI
	ledger  *ledgerOf
	targets []chain.Ref
}

func afterTheMerge(t testing.TB) *merged {
	t.Helper()
	cfg := *params.MergedTestChainConfig
	shanghai, cancun, prague := uint64(shanghaiTime), uint64(cancunTime), uint64(pragueTime)
	cfg.ShanghaiTime, cfg.CancunTime, cfg.PragueTime, cfg.OsakaTime = &shanghai, &cancun, &prague, nil
	w := generate(t, &cfg, 5)
	m := &merged{ledger: &ledgerOf{blocks: w.blocks}}
	var err error
	m.EngineAPI, err = NewEngineAPI(EngineConfig{Family: w.family, Chain: m.ledger, Target: func(_ context.Context, ref chain.Ref) error {
		m.targets = append(m.targets, ref)
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// call is a call of newPayload as a consensus client makes it.
type call struct {
	version int
	payload map[string]any
	blobs   []common.Hash
	root    *common.Hash
	asked   []hexutil.Bytes
	ref     chain.Ref
}

func (c call) args(t testing.TB) []json.RawMessage {
	t.Helper()
	all := []any{c.payload, c.blobs, c.root, c.asked}
	var out []json.RawMessage
	for _, v := range all[:[]int{1: 1, 2: 1, 3: 3, 4: 4}[c.version]] {
		raw, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, raw)
	}
	return out
}

// payloadCall is a block of the fork of a version, made by hand from what the
// specifications say, with transactions, withdrawals and blobs as far as it has them.
func payloadCall(t testing.TB, version int) call {
	t.Helper()
	times := []uint64{1: shanghaiTime - 10, 2: shanghaiTime, 3: cancunTime, 4: pragueTime}
	signer := types.LatestSignerForChainID(big.NewInt(1))
	txs := types.Transactions{
		types.MustSignNewTx(key(t, 1), signer, &types.LegacyTx{Nonce: 1, GasPrice: big.NewInt(7), Gas: 21000, To: &common.Address{1}, Value: big.NewInt(3)}),
		types.MustSignNewTx(key(t, 1), signer, &types.DynamicFeeTx{ChainID: big.NewInt(1), Nonce: 2, GasFeeCap: big.NewInt(7), Gas: 21000, To: &common.Address{2}}),
	}
	c := call{version: version, blobs: []common.Hash{}, asked: []hexutil.Bytes{{0, 1, 2}, {1, 9}}}
	h := &types.Header{
		ParentHash: common.Hash{9}, UncleHash: types.EmptyUncleHash, Coinbase: common.Address{8}, Root: common.Hash{7}, ReceiptHash: common.Hash{6}, Bloom: types.Bloom{5},
		Difficulty: new(big.Int), Number: big.NewInt(77), GasLimit: 30e6, GasUsed: 42000, Time: times[version], Extra: []byte("made by hand"), MixDigest: common.Hash{4}, BaseFee: big.NewInt(7),
	}
	withdrawals := types.Withdrawals{{Index: 1, Validator: 2, Address: common.Address{3}, Amount: 4}}
	if version >= 2 {
		root := types.DeriveSha(withdrawals, trie.NewStackTrie(nil))
		h.WithdrawalsHash = &root
	}
	if version >= 3 {
		c.blobs, c.root = []common.Hash{{1, 0xaa}, {1, 0xbb}}, &common.Hash{0xbe}
		txs = append(txs, types.MustSignNewTx(key(t, 1), signer, &types.BlobTx{
			ChainID: uint256.NewInt(1), Nonce: 3, GasFeeCap: uint256.NewInt(7), Gas: 21000, BlobFeeCap: uint256.NewInt(1), BlobHashes: c.blobs,
		}))
		used, excess := uint64(262144), uint64(0)
		h.BlobGasUsed, h.ExcessBlobGas, h.ParentBeaconRoot = &used, &excess, c.root
	}
	if version >= 4 {
		hash := types.CalcRequestsHash([][]byte{c.asked[0], c.asked[1]})
		h.RequestsHash = &hash
	}
	h.TxHash = types.DeriveSha(txs, trie.NewStackTrie(nil))
	bins := []hexutil.Bytes{}
	for _, tx := range txs {
		bin, err := tx.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		bins = append(bins, bin)
	}
	c.ref = chain.Ref{Number: 77, Hash: chain.Hash(h.Hash())}
	c.payload = map[string]any{
		"parentHash": h.ParentHash, "feeRecipient": strings.ToLower(h.Coinbase.Hex()), "stateRoot": h.Root, "receiptsRoot": h.ReceiptHash, "logsBloom": h.Bloom, "prevRandao": h.MixDigest,
		"blockNumber": hexutil.Uint64(77), "gasLimit": hexutil.Uint64(h.GasLimit), "gasUsed": hexutil.Uint64(h.GasUsed), "timestamp": hexutil.Uint64(h.Time),
		"extraData": hexutil.Bytes(h.Extra), "baseFeePerGas": (*hexutil.Big)(h.BaseFee), "blockHash": h.Hash(), "transactions": bins,
	}
	if version >= 2 {
		c.payload["withdrawals"] = withdrawals
	}
	if version >= 3 {
		c.payload["blobGasUsed"], c.payload["excessBlobGas"] = hexutil.Uint64(*h.BlobGasUsed), hexutil.Uint64(0)
	}
	return c
}

func state(head, final chain.Hash) json.RawMessage {
	return json.RawMessage(fmt.Sprintf(`{"headBlockHash":"%v","safeBlockHash":"%v","finalizedBlockHash":"%v"}`, head, final, final))
}

// A payload whose hash is right is never called valid, and one whose hash is not
// right is invalid, in each fork; what the first told of can be the target.
func TestPayloadsAreLookedAtAndNeverValid(t *testing.T) {
	for version := 1; version <= newestPayload; version++ {
		m, c := afterTheMerge(t), payloadCall(t, version)
		before, err := m.Forkchoice(t.Context(), min(version, newestForkchoice), []json.RawMessage{state(c.ref.Hash, chain.Hash{})})
		if err != nil || before.PayloadStatus.Status != statusSyncing || len(m.targets) != 0 {
			t.Errorf("V%d: a head that nobody told of: %+v, %v, targets %v", version, before, err, m.targets)
		}
		st, err := m.NewPayload(t.Context(), version, c.args(t))
		if err != nil || st.Status != statusSyncing || st.LatestValidHash != nil || st.ValidationError != nil {
			t.Fatalf("V%d: %+v, %v", version, st, err)
		}
		// It asks for a block on top, which is not built.
		attributes := json.RawMessage(`{"timestamp":"0x7fffffff","prevRandao":"0x00","suggestedFeeRecipient":"0x00"}`)
		choice, err := m.Forkchoice(t.Context(), min(version, newestForkchoice), []json.RawMessage{state(c.ref.Hash, chain.Hash{}), attributes})
		if err != nil || choice.PayloadStatus.Status != statusSyncing || choice.PayloadID != nil || len(m.targets) != 1 || m.targets[0] != c.ref {
			t.Errorf("V%d: %+v, %v, targets %v, want %v", version, choice, err, m.targets, c.ref)
		}
		for field, wrong := range map[string]any{
			"stateRoot": common.Hash{1}, "blockNumber": hexutil.Uint64(78), "prevRandao": common.Hash{1}, "extraData": hexutil.Bytes("made by another"),
			"baseFeePerGas": (*hexutil.Big)(big.NewInt(8)), "blockHash": common.Hash{1}, "transactions": []string{},
		} {
			c := payloadCall(t, version)
			if field == "transactions" {
				c.blobs = []common.Hash{}
			}
			c.payload[field] = wrong
			st, err := m.NewPayload(t.Context(), version, c.args(t))
			if err != nil || st.Status != statusInvalid || st.LatestValidHash != nil || st.ValidationError == nil || !strings.Contains(*st.ValidationError, "blockHash is") {
				t.Errorf("V%d with another %s: %+v, %v", version, field, st, err)
			}
		}
	}
}

// What is no payload of its version, or of another fork, is refused with the
// codes of the specification, and nothing of it is kept. Threats M-04 and M-07.
func TestBadPayloadsAreRefused(t *testing.T) {
	set := func(field string, v any) func(*call) { return func(c *call) { c.payload[field] = v } }
	many := make([]string, maxPayloadTxs+1)
	for i := range many {
		many[i] = "0x"
	}
	for _, tt := range []struct {
		name    string
		version int
		change  func(*call)
		code    int // 0: the status is INVALID
	}{
		{"a field is missing", 4, func(c *call) { delete(c.payload, "stateRoot") }, CodeInvalidParams},
		{"a field is null", 1, set("logsBloom", nil), CodeInvalidParams},
		{"a field is too short", 1, set("parentHash", "0x01"), CodeInvalidParams},
		{"a number is not minimal", 1, set("gasUsed", "0x01"), CodeInvalidParams},
		{"a number is too large", 1, set("blockNumber", "0x10000000000000000"), CodeInvalidParams},
		{"the fee has 257 bits", 1, set("baseFeePerGas", "0x1"+strings.Repeat("0", 64)), CodeInvalidParams},
		{"transactions are no list", 1, set("transactions", "0x"), CodeInvalidParams},
		{"too many transactions", 1, set("transactions", many), CodeInvalidParams},
		{"a transaction is empty", 1, set("transactions", []string{"0x"}), 0},
		{"a transaction is of no type", 1, set("transactions", []string{"0x7f00"}), 0},
		{"long extra data", 1, set("extraData", hexutil.Bytes(make([]byte, 33))), 0},
		{"withdrawals before Shanghai", 1, set("withdrawals", []string{}), CodeInvalidParams},
		{"none after it", 2, set("withdrawals", nil), CodeInvalidParams},
		{"a withdrawal that is null", 2, set("withdrawals", []any{nil}), CodeInvalidParams},
		{"blob gas before Cancun", 2, set("blobGasUsed", "0x0"), CodeInvalidParams},
		{"none after it", 3, set("excessBlobGas", nil), CodeInvalidParams},
		{"no beacon root", 3, func(c *call) { c.root = nil }, CodeInvalidParams},
		{"no blob hashes", 3, func(c *call) { c.blobs = nil }, CodeInvalidParams},
		{"other blobs", 3, func(c *call) { c.blobs[1][5]++ }, 0},
		{"fewer blobs", 3, func(c *call) { c.blobs = c.blobs[:1] }, 0},
		{"no requests", 4, func(c *call) { c.asked = nil }, CodeInvalidParams},
		{"requests that do not ascend", 4, func(c *call) { c.asked[1][0] = 0 }, CodeInvalidParams},
		{"an empty request", 4, func(c *call) { c.asked[0] = c.asked[0][:1] }, CodeInvalidParams},
		{"V1 after Shanghai", 1, set("timestamp", hexutil.Uint64(shanghaiTime)), CodeInvalidParams},
		{"V2 after Cancun", 2, set("timestamp", hexutil.Uint64(cancunTime)), CodeInvalidParams},
		{"V3 before Cancun", 3, set("timestamp", hexutil.Uint64(cancunTime-1)), CodeUnsupportedFork},
		{"V3 after Prague", 3, set("timestamp", hexutil.Uint64(pragueTime)), CodeUnsupportedFork},
		{"V4 before Prague", 4, set("timestamp", hexutil.Uint64(pragueTime-1)), CodeUnsupportedFork},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m, c := afterTheMerge(t), payloadCall(t, tt.version)
			tt.change(&c)
			st, err := m.NewPayload(t.Context(), tt.version, c.args(t))
			var own *EngineError
			switch {
			case tt.code == 0 && (err != nil || st.Status != statusInvalid || strings.Contains(*st.ValidationError, "blockHash is")):
				t.Errorf("%+v, %v; want INVALID, for more than its hash", st, err)
			case tt.code != 0 && (!errors.As(err, &own) || own.Code != tt.code):
				t.Errorf("%+v, %v; want the code %d", st, err, tt.code)
			}
			if m.heads.Len() != 0 {
				t.Error("it is remembered")
			}
		})
	}
	m := afterTheMerge(t)
	for _, args := range [][]json.RawMessage{nil, {json.RawMessage(`{}`)}, {json.RawMessage(`null`)}, {json.RawMessage(`7`)}, {state(chain.Hash{}, chain.Hash{})}, {state(chain.Hash{1}, chain.Hash{}), nil, nil}} {
		if got, err := m.Forkchoice(t.Context(), 1, args); err == nil {
			t.Errorf("a fork choice of %s: %+v", args, got)
		}
		if got, err := m.NewPayload(t.Context(), 1, args); err == nil {
			t.Errorf("a payload of %s: %+v", args, got)
		}
	}
	if len(m.targets) != 0 {
		t.Errorf("targets %v", m.targets)
	}
}

// A head that is here is a target too, unless it is the head already; what is
// final is made so once it is canonical here. However much is told of, a bounded
// number of payloads is remembered.
func TestAForkChoiceLeadsTheSync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := afterTheMerge(t)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- m.Run(ctx) }()
		have := m.ledger.blocks
		for _, tt := range []struct {
			head, final chain.Hash
			target      *chain.Ref
			isFinal     uint64
		}{
			{have[5].Ref().Hash, chain.Hash{}, nil, 0},
			{have[5].Ref().Hash, chain.Hash{77}, nil, 0}, // which has not come yet
			{have[5].Ref().Hash, have[2].Ref().Hash, nil, 2},
			{have[5].Ref().Hash, have[1].Ref().Hash, nil, 2}, // which is below
			{have[4].Ref().Hash, have[3].Ref().Hash, &chain.Ref{Number: 4, Hash: have[4].Ref().Hash}, 3},
		} {
			m.targets = nil
			if got, err := m.Forkchoice(ctx, 3, []json.RawMessage{state(tt.head, tt.final), json.RawMessage("null")}); err != nil || got.PayloadStatus.Status != statusSyncing {
				t.Errorf("%+v, %v", got, err)
			}
			synctest.Wait()
			if final := m.ledger.Status().Finalized.Number; final != tt.isFinal || (tt.target == nil) != (len(m.targets) == 0) || tt.target != nil && m.targets[0] != *tt.target {
				t.Errorf("head %v, final %v: targets %v, block %d is final; want %+v", tt.head, tt.final, m.targets, final, tt)
			}
		}
		cancel()
		<-done
		if m.Quiet() {
			t.Error("it was called just now, and is quiet")
		}
		time.Sleep(consensusClientQuiet + 2*time.Second)
		if !m.Quiet() {
			t.Error("nobody has called for two minutes, and it is not quiet")
		}
		for i := range 2 * maxEngineHeads {
			m.heads.Add(chain.Hash{byte(i), byte(i >> 8)}, uint64(i))
		}
		if n := m.heads.Len(); n != maxEngineHeads {
			t.Errorf("%d payloads are remembered, at most %d", n, maxEngineHeads)
		}
	})
}

// No consensus client leads a network that was never merged.
func TestOnlyMergedNetworksHaveAnEngineAPI(t *testing.T) {
	cfg := *params.TestChainConfig
	cfg.TerminalTotalDifficulty = nil
	w := generate(t, &cfg, 1)
	if _, err := NewEngineAPI(EngineConfig{Family: w.family, Chain: &ledgerOf{}, Target: func(context.Context, chain.Ref) error { return nil }}); err == nil {
		t.Error("a network of proof of work has one")
	}
}

func FuzzNewPayload(f *testing.F) {
	for version := 1; version <= newestPayload; version++ {
		c := payloadCall(f, version)
		raw, err := json.Marshal(c.payload)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(version, raw)
	}
	f.Add(1, []byte(`{"transactions":[`))
	m := afterTheMerge(f)
	f.Fuzz(func(t *testing.T, version int, raw []byte) {
		c := payloadCall(t, min(max(version, 1), newestPayload))
		args := c.args(t)
		args[0] = raw
		st, err := m.NewPayload(t.Context(), c.version, args)
		if err == nil && st.Status != statusSyncing && st.Status != statusInvalid {
			t.Errorf("%s: %+v", raw, st)
		}
	})
}
