package opnode

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/big"
	"sync"

	"github.com/ethereum-optimism/optimism/op-node/rollup"
	"github.com/ethereum-optimism/optimism/op-service/eth"
	"github.com/ethereum/go-ethereum"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/holiman/uint256"
)

// source makes the chain's blocks. It is safe for concurrent use.
type source struct {
	params Chain
	serve  Start

	mu     sync.Mutex
	hashes []common.Hash // of blocks 0, 1, …
	served map[uint64]int
}

func (c Chain) config() *rollup.Config {
	zero := uint64(0)
	return &rollup.Config{
		Genesis:      rollup.Genesis{L2Time: c.GenesisTime},
		BlockTime:    c.BlockTime,
		L2ChainID:    new(big.Int).SetUint64(c.ID),
		L1ChainID:    big.NewInt(900),
		RegolithTime: &zero, CanyonTime: c.Canyon, DeltaTime: c.Canyon, EcotoneTime: c.Ecotone, FjordTime: c.Ecotone,
		GraniteTime: c.Ecotone, HoloceneTime: c.Ecotone, IsthmusTime: c.Isthmus, JovianTime: c.Jovian,
	}
}

// payload makes block n on a parent.
func (c Chain) payload(n uint64, parent common.Hash, salt string) *eth.ExecutionPayloadEnvelope {
	draw := func(what string) (b [32]byte) {
		return sha256.Sum256(binary.BigEndian.AppendUint64([]byte(what+salt), n))
	}
	cfg, at := c.config(), c.GenesisTime+n*c.BlockTime
	p := &eth.ExecutionPayload{
		ParentHash: parent, FeeRecipient: common.Address(bytes.Repeat([]byte{0x11}, 20)),
		StateRoot: draw("state"), ReceiptsRoot: draw("receipts"), PrevRandao: draw("randao"),
		BlockNumber: eth.Uint64Quantity(n), GasLimit: 30_000_000, GasUsed: eth.Uint64Quantity(21_000 * c.Txs),
		Timestamp: eth.Uint64Quantity(at), ExtraData: []byte("interop"),
		BaseFeePerGas: eth.Uint256Quantity(*uint256.NewInt(1_000_000_000)),
	}
	p.Transactions = make([]eth.Data, c.Txs)
	for i := range p.Transactions {
		p.Transactions[i] = c.tx(n, i)
	}
	env := &eth.ExecutionPayloadEnvelope{ExecutionPayload: p}
	if cfg.IsCanyon(at) {
		p.Withdrawals = &types.Withdrawals{}
	}
	if cfg.IsEcotone(at) {
		zero, root := eth.Uint64Quantity(0), common.Hash(draw("beacon"))
		p.BlobGasUsed, p.ExcessBlobGas, env.ParentBeaconBlockRoot = &zero, &zero, &root
	}
	if cfg.IsIsthmus(at) {
		root := common.Hash(draw("withdrawals"))
		p.WithdrawalsRoot = &root
	}
	hash, _ := env.CheckBlockHash()
	p.BlockHash = hash
	return env
}

// tx is opaque bytes of a typed transaction: nobody here executes it.
func (c Chain) tx(n uint64, i int) eth.Data {
	out := []byte{0x7e}
	for k := uint64(0); len(out) < c.TxBytes; k++ {
		sum := sha256.Sum256(binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, n), uint64(i)), k))
		out = append(out, sum[:]...)
	}
	return out[:max(c.TxBytes, 1)]
}

// at gives block n of the chain.
func (s *source) at(n uint64) *eth.ExecutionPayloadEnvelope {
	s.mu.Lock()
	defer s.mu.Unlock()
	for uint64(len(s.hashes)) <= n {
		k := uint64(len(s.hashes))
		s.hashes = append(s.hashes, s.params.payload(k, s.parent(k), "").ExecutionPayload.BlockHash)
	}
	return s.params.payload(n, s.parent(n), "")
}

// parent is the hash below block n; the mutex is held.
func (s *source) parent(n uint64) common.Hash {
	if n == 0 {
		return common.Hash{}
	}
	return s.hashes[n-1]
}

// PayloadByNumber implements p2p.L2Chain.
func (s *source) PayloadByNumber(ctx context.Context, n uint64) (*eth.ExecutionPayloadEnvelope, error) {
	switch {
	case s.serve.Stall:
		<-ctx.Done()
		return nil, ctx.Err()
	case n > s.serve.Head || n < s.serve.Lowest:
		return nil, ethereum.NotFound
	}
	s.mu.Lock()
	s.served[n]++
	s.mu.Unlock()
	if n <= s.serve.Wrong && n != 0 {
		return s.params.payload(n, common.Hash{0xbb}, "wrong"), nil
	}
	return s.at(n), nil
}

// block is what a test is told of block n.
func (s *source) block(n uint64) (Block, error) {
	env := s.at(n)
	ssz, err := encode(env)
	if err != nil {
		return Block{}, fmt.Errorf("block %d: %w", n, err)
	}
	p := env.ExecutionPayload
	return Block{n, p.BlockHash.Hex(), p.ParentHash.Hex(), uint64(p.Timestamp), hex.EncodeToString(ssz)}, nil
}

// encode is an envelope as it is gossiped behind the signature.
func encode(env *eth.ExecutionPayloadEnvelope) ([]byte, error) {
	var buf bytes.Buffer
	var err error
	if env.ParentBeaconBlockRoot != nil {
		_, err = env.MarshalSSZ(&buf)
	} else {
		_, err = env.ExecutionPayload.MarshalSSZ(&buf)
	}
	return buf.Bytes(), err
}
