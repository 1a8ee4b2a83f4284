package ethereum

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"slices"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/common/math"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/params"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/ethereum/go-ethereum/trie"

	"github.com/starlingp2p/starling/chain"
)

// Genesis is a genesis block as geth's genesis.json describes it.
type Genesis struct {
	Config *params.ChainConfig
	// ExtraForks are blocks from which rules change that Config has no place for:
	// part of fork identifiers all the same. Starling's own; geth's file has none.
	ExtraForks []uint64
	// Bomb is Ethereum Classic's; nil: the bomb is delayed at Config's forks, as
	// Ethereum's was. Starling's own too.
	Bomb *Bomb
	// Engine names a consensus that Config has no place for, as the file's
	// config does. What it asks of a difficulty nobody knows here.
	Engine string

	Nonce         uint64
	Timestamp     uint64
	ExtraData     []byte
	GasLimit      uint64
	Difficulty    *big.Int
	Mixhash       common.Hash
	Coinbase      common.Address
	Alloc         types.GenesisAlloc
	StateHash     *common.Hash // the root of the allocations, in their place (op-geth's stateHash); nil: Alloc counts
	Number        uint64
	GasUsed       uint64
	ParentHash    common.Hash
	BaseFee       *big.Int
	ExcessBlobGas *uint64
	BlobGasUsed   *uint64
	SlotNumber    *uint64
}

// maxGenesis bounds a genesis file, in bytes; main net's has 200 KiB.
const maxGenesis = 64 << 20

// maxExtraForks bounds ExtraForks.
const maxExtraForks = 256

// ParseGenesis reads a genesis.json.
func ParseGenesis(b []byte) (*Genesis, error) {
	if len(b) > maxGenesis {
		return nil, fmt.Errorf("ethereum: genesis file has %d bytes, at most %d", len(b), maxGenesis)
	}
	var in struct {
		Config        *params.ChainConfig   `json:"config"`
		ExtraForks    []uint64              `json:"extraForks"`
		Bomb          *Bomb                 `json:"bomb"`
		Nonce         math.HexOrDecimal64   `json:"nonce"`
		Timestamp     math.HexOrDecimal64   `json:"timestamp"`
		ExtraData     hexutil.Bytes         `json:"extraData"`
		GasLimit      *math.HexOrDecimal64  `json:"gasLimit"`
		Difficulty    *math.HexOrDecimal256 `json:"difficulty"`
		Mixhash       common.Hash           `json:"mixHash"`
		Coinbase      common.Address        `json:"coinbase"`
		Alloc         types.GenesisAlloc    `json:"alloc"`
		StateHash     *common.Hash          `json:"stateHash"`
		Number        math.HexOrDecimal64   `json:"number"`
		GasUsed       math.HexOrDecimal64   `json:"gasUsed"`
		ParentHash    common.Hash           `json:"parentHash"`
		BaseFee       *math.HexOrDecimal256 `json:"baseFeePerGas"`
		ExcessBlobGas *math.HexOrDecimal64  `json:"excessBlobGas"`
		BlobGasUsed   *math.HexOrDecimal64  `json:"blobGasUsed"`
		SlotNumber    *math.HexOrDecimal64  `json:"slotNumber"`
	}
	if err := json.Unmarshal(b, &in); err != nil {
		return nil, fmt.Errorf("ethereum: genesis file: %w", err)
	}
	if in.Config == nil || in.GasLimit == nil || in.Difficulty == nil || in.Alloc == nil && in.StateHash == nil {
		return nil, errors.New("ethereum: genesis file: config, gasLimit, difficulty and alloc are needed")
	}
	if len(in.Alloc) > 0 && in.StateHash != nil {
		return nil, errors.New("ethereum: genesis file: stateHash stands for alloc; leave one of them out")
	}
	if len(in.ExtraForks) > maxExtraForks {
		return nil, fmt.Errorf("ethereum: genesis file: %d extraForks, at most %d", len(in.ExtraForks), maxExtraForks)
	}
	engine, err := engineOf(b)
	if err != nil {
		return nil, err
	}
	return &Genesis{
		Config: in.Config, ExtraForks: in.ExtraForks, Bomb: in.Bomb, Engine: engine, StateHash: in.StateHash, Nonce: uint64(in.Nonce), Timestamp: uint64(in.Timestamp), ExtraData: in.ExtraData,
		GasLimit: uint64(*in.GasLimit), Difficulty: (*big.Int)(in.Difficulty), Mixhash: in.Mixhash, Coinbase: in.Coinbase,
		Alloc: in.Alloc, Number: uint64(in.Number), GasUsed: uint64(in.GasUsed), ParentHash: in.ParentHash,
		BaseFee: (*big.Int)(in.BaseFee), ExcessBlobGas: (*uint64)(in.ExcessBlobGas), BlobGasUsed: (*uint64)(in.BlobGasUsed), SlotNumber: (*uint64)(in.SlotNumber),
	}, nil
}

// plainObjects are objects in a config that are no consensus: geth's own
// engines, and what core-geth adds.
var plainObjects = []string{"ethash", "clique", "blobSchedule", "requireBlockHashes"}

// engineOf is the name of a consensus in a genesis file that is not geth's: in
// config each is an object under its name. A config that names none is one of
// proof of work.
func engineOf(file []byte) (string, error) {
	var in struct {
		Config map[string]json.RawMessage `json:"config"`
	}
	if err := json.Unmarshal(file, &in); err != nil {
		return "", fmt.Errorf("ethereum: genesis file: %w", err)
	}
	for _, name := range slices.Sorted(maps.Keys(in.Config)) {
		if bytes.HasPrefix(in.Config[name], []byte("{")) && !slices.Contains(plainObjects, name) {
			return name, nil
		}
	}
	return "", nil
}

// Header is the genesis block's header, its state root computed from the
// allocations.
func (g *Genesis) Header() (*types.Header, error) {
	root, err := g.state()
	if err != nil {
		return nil, err
	}
	h := &types.Header{
		ParentHash: g.ParentHash, UncleHash: types.EmptyUncleHash, Coinbase: g.Coinbase, Root: root,
		TxHash: types.EmptyTxsHash, ReceiptHash: types.EmptyReceiptsHash,
		Difficulty: g.Difficulty, Number: new(big.Int).SetUint64(g.Number),
		GasLimit: g.GasLimit, GasUsed: g.GasUsed, Time: g.Timestamp, Extra: g.ExtraData,
		MixDigest: g.Mixhash, Nonce: types.EncodeNonce(g.Nonce), BaseFee: g.BaseFee,
	}
	if h.GasLimit == 0 {
		h.GasLimit = params.GenesisGasLimit
	}
	if h.Difficulty == nil {
		h.Difficulty = params.GenesisDifficulty
	}
	if g.Config == nil {
		return h, nil
	}
	if g.Config.IsLondon(h.Number) && h.BaseFee == nil {
		h.BaseFee = big.NewInt(params.InitialBaseFee)
	}
	if g.Config.IsShanghai(h.Number, h.Time) {
		h.WithdrawalsHash = &types.EmptyWithdrawalsHash
	}
	if g.Config.IsCancun(h.Number, h.Time) {
		// EIP-4788: of the genesis block the beacon root is zero.
		h.ParentBeaconRoot = new(common.Hash)
		h.ExcessBlobGas, h.BlobGasUsed = new(uint64), new(uint64)
		if g.ExcessBlobGas != nil {
			*h.ExcessBlobGas = *g.ExcessBlobGas
		}
		if g.BlobGasUsed != nil {
			*h.BlobGasUsed = *g.BlobGasUsed
		}
	}
	if g.Config.IsPrague(h.Number, h.Time) {
		h.RequestsHash = &types.EmptyRequestsHash
	}
	if g.Config.IsAmsterdam(h.Number, h.Time) {
		h.BlockAccessListHash, h.SlotNumber = &types.EmptyBlockAccessListHash, new(uint64)
		if g.SlotNumber != nil {
			*h.SlotNumber = *g.SlotNumber
		}
	}
	return h, nil
}

// Block is the genesis block.
func (g *Genesis) Block() (chain.Block, error) {
	h, err := g.Header()
	if err != nil {
		return chain.Block{}, err
	}
	return GenesisOf(h)
}

// GenesisOf is the genesis block with that header, whose body is empty.
func GenesisOf(h *types.Header) (chain.Block, error) { return emptyBlock(h) }

// emptyBlock is the block with that header and nothing in it.
func emptyBlock(h *types.Header) (chain.Block, error) {
	raw, err := rlp.EncodeToBytes(h)
	if err != nil {
		return chain.Block{}, fmt.Errorf("ethereum: header of block %v: %w", h.Number, err)
	}
	ch, _, err := decodeHeader(raw)
	if err != nil {
		return chain.Block{}, err
	}
	body := emptyBody
	if h.WithdrawalsHash != nil {
		body = emptyShanghaiBody
	}
	return chain.Block{Header: ch, Body: bytes.Clone(body)}, nil
}

// Bodies without transactions, uncles and withdrawals.
var (
	emptyBody         = []byte{0xc2, 0xc0, 0xc0}
	emptyShanghaiBody = []byte{0xc3, 0xc0, 0xc0, 0xc0}
)

// leaf is an entry of a trie whose keys are hashed.
type leaf struct {
	key   common.Hash
	value []byte
}

func root(leaves []leaf) (common.Hash, error) {
	slices.SortFunc(leaves, func(a, b leaf) int { return a.key.Cmp(b.key) })
	t := trie.NewStackTrie(nil)
	for _, l := range leaves {
		if err := t.Update(l.key[:], l.value); err != nil {
			return common.Hash{}, fmt.Errorf("ethereum: genesis allocations: %w", err)
		}
	}
	return t.Hash(), nil
}

// state is the root of the state at genesis.
func (g *Genesis) state() (common.Hash, error) {
	if g.StateHash != nil {
		return *g.StateHash, nil
	}
	return stateRoot(g.Alloc)
}

// stateRoot is the root of the state that the allocations make.
func stateRoot(alloc types.GenesisAlloc) (common.Hash, error) {
	var leaves []leaf
	for addr, a := range alloc { // sorted by root
		account := types.NewEmptyStateAccount()
		account.Nonce = a.Nonce
		if a.Balance != nil && account.Balance.SetFromBig(a.Balance) {
			return common.Hash{}, fmt.Errorf("ethereum: genesis balance of %s is over 256 bits", addr)
		}
		if len(a.Code) > 0 {
			account.CodeHash = crypto.Keccak256(a.Code)
		}
		var slots []leaf
		for k, v := range a.Storage { // sorted by root
			if value := common.TrimLeftZeroes(v[:]); len(value) > 0 {
				enc, err := rlp.EncodeToBytes(value)
				if err != nil {
					return common.Hash{}, err
				}
				slots = append(slots, leaf{crypto.Keccak256Hash(k[:]), enc})
			}
		}
		var err error
		if len(slots) > 0 {
			if account.Root, err = root(slots); err != nil {
				return common.Hash{}, err
			}
		}
		enc, err := rlp.EncodeToBytes(account)
		if err != nil {
			return common.Hash{}, err
		}
		leaves = append(leaves, leaf{crypto.Keccak256Hash(addr[:]), enc})
	}
	return root(leaves)
}
