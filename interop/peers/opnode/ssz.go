package opnode

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"math/rand/v2"

	"github.com/ethereum-optimism/optimism/op-service/eth"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/holiman/uint256"
)

// SSZ is what the command "ssz" takes: encodings for op-node to read, or how
// many payloads it is to make.
type SSZ struct {
	Version int      `json:"version"` // 1 to 4
	Items   []string `json:"items"`   // envelopes in hex
	Make    int      `json:"make"`
	Seed    uint64   `json:"seed"`
}

// Payload is what op-node makes of an envelope.
type Payload struct {
	Error string          `json:"error,omitempty"` // it does not decode, or not encode
	SSZ   string          `json:"ssz,omitempty"`   // as op-node encodes it, in hex
	Hash  string          `json:"hash,omitempty"`  // that its header has
	JSON  json.RawMessage `json:"json,omitempty"`
}

// ssz reads the encodings, and makes payloads.
func ssz(params json.RawMessage) ([]Payload, error) {
	var in SSZ
	if err := json.Unmarshal(params, &in); err != nil {
		return nil, err
	}
	out := []Payload{}
	for _, item := range in.Items {
		raw, err := hex.DecodeString(item)
		if err != nil {
			return nil, err
		}
		env, err := decode(raw, in.Version)
		if err != nil {
			out = append(out, Payload{Error: err.Error()})
			continue
		}
		out = append(out, describe(env))
	}
	r := rand.New(rand.NewPCG(in.Seed, uint64(in.Version)))
	for range in.Make {
		out = append(out, describe(draw(r, in.Version)))
	}
	return out, nil
}

// decode reads an envelope as gossip does.
func decode(raw []byte, version int) (*eth.ExecutionPayloadEnvelope, error) {
	v := eth.BlockVersion(version - 1)
	env := &eth.ExecutionPayloadEnvelope{}
	if v.HasParentBeaconBlockRoot() {
		return env, env.UnmarshalSSZ(v, uint32(len(raw)), bytes.NewReader(raw))
	}
	env.ExecutionPayload = &eth.ExecutionPayload{}
	return env, env.ExecutionPayload.UnmarshalSSZ(v, uint32(len(raw)), bytes.NewReader(raw))
}

func describe(env *eth.ExecutionPayloadEnvelope) Payload {
	raw, err := encode(env)
	if err != nil {
		return Payload{Error: err.Error()}
	}
	text, err := json.Marshal(env)
	if err != nil {
		return Payload{Error: err.Error()}
	}
	hash, _ := env.CheckBlockHash()
	return Payload{SSZ: hex.EncodeToString(raw), Hash: hash.Hex(), JSON: text}
}

// draw makes a payload of a version, at random but for its hash, which is right.
// Numbers have 63 bits at most: op-node has one hash for all above.
func draw(r *rand.Rand, version int) *eth.ExecutionPayloadEnvelope {
	fill := func(b []byte) []byte {
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		return b
	}
	hash := func() (h common.Hash) { fill(h[:]); return h }
	p := &eth.ExecutionPayload{
		ParentHash: hash(), FeeRecipient: common.Address(fill(make([]byte, 20))), StateRoot: eth.Bytes32(hash()), ReceiptsRoot: eth.Bytes32(hash()),
		PrevRandao: eth.Bytes32(hash()), BlockNumber: eth.Uint64Quantity(r.Uint64() >> (1 + r.IntN(63))), GasLimit: eth.Uint64Quantity(r.Uint64() >> r.IntN(64)),
		GasUsed: eth.Uint64Quantity(r.Uint64() >> r.IntN(64)), Timestamp: eth.Uint64Quantity(r.Uint64() >> (30 + r.IntN(34))),
		ExtraData:     fill(make([]byte, r.IntN(33))),
		BaseFeePerGas: eth.Uint256Quantity(*new(uint256.Int).SetBytes(fill(make([]byte, r.IntN(33))))),
		Transactions:  make([]eth.Data, r.IntN(40)),
	}
	fill(p.LogsBloom[:])
	for i := range p.Transactions {
		p.Transactions[i] = fill(make([]byte, 1+r.IntN(1<<r.IntN(12))))
	}
	env := &eth.ExecutionPayloadEnvelope{ExecutionPayload: p}
	if version >= 2 {
		p.Withdrawals = &types.Withdrawals{}
	}
	if version >= 3 {
		used, excess, root := eth.Uint64Quantity(r.Uint64()>>r.IntN(64)), eth.Uint64Quantity(r.Uint64()>>r.IntN(64)), hash()
		p.BlobGasUsed, p.ExcessBlobGas, env.ParentBeaconBlockRoot = &used, &excess, &root
	}
	if version >= 4 {
		root := hash()
		p.WithdrawalsRoot = &root
	}
	p.BlockHash, _ = env.CheckBlockHash()
	return env
}
