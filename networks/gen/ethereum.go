package main

import (
	"encoding/json"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/params"
)

// genesisFile is a genesis.json whose allocations are left out: their root, the
// state hash, is all that the genesis block needs of them.
type genesisFile struct {
	Config     *params.ChainConfig `json:"config"`
	ExtraForks []uint64            `json:"extraForks,omitempty"`
	Bomb       *bomb               `json:"bomb,omitempty"`
	Nonce      hexutil.Uint64      `json:"nonce"`
	Timestamp  hexutil.Uint64      `json:"timestamp"`
	ExtraData  hexutil.Bytes       `json:"extraData"`
	GasLimit   hexutil.Uint64      `json:"gasLimit"`
	Difficulty *hexutil.Big        `json:"difficulty"`
	Mixhash    common.Hash         `json:"mixHash"`
	Coinbase   common.Address      `json:"coinbase"`
	StateHash  common.Hash         `json:"stateHash"`
	BaseFee    *hexutil.Big        `json:"baseFeePerGas,omitempty"`
}

// bomb is what became of the difficulty bomb where it was not delayed at
// Ethereum's forks.
type bomb struct {
	Pause  uint64 `json:"pause"`
	Length uint64 `json:"length"`
	End    uint64 `json:"end"`
}

// genesis writes the file of a genesis block.
func genesis(block *types.Block, config *params.ChainConfig, extra []uint64, bomb *bomb) ([]byte, error) {
	h := block.Header()
	if h.Number.Sign() != 0 || h.GasUsed != 0 || h.ExcessBlobGas != nil && *h.ExcessBlobGas != 0 || block.Transactions().Len() > 0 {
		return nil, fmt.Errorf("genesis %v has fields that the file has no room for", block.Hash())
	}
	text, err := json.MarshalIndent(genesisFile{
		Config: config, ExtraForks: extra, Bomb: bomb, Nonce: hexutil.Uint64(h.Nonce.Uint64()), Timestamp: hexutil.Uint64(h.Time), ExtraData: h.Extra,
		GasLimit: hexutil.Uint64(h.GasLimit), Difficulty: (*hexutil.Big)(h.Difficulty), Mixhash: h.MixDigest, Coinbase: h.Coinbase,
		StateHash: h.Root, BaseFee: (*hexutil.Big)(h.BaseFee),
	}, "", "  ")
	return append(text, '\n'), err
}

// ethereum makes the presets of Ethereum and its test networks.
func ethereum(files map[string][]byte) error {
	for _, n := range []struct {
		name, title string
		genesis     *core.Genesis
		hash        common.Hash
		boot        []string
	}{
		{"ethereum", "Ethereum", core.DefaultGenesisBlock(), params.MainnetGenesisHash, params.MainnetBootnodes},
		{"sepolia", "Sepolia", core.DefaultSepoliaGenesisBlock(), params.SepoliaGenesisHash, params.SepoliaBootnodes},
		{"hoodi", "Hoodi", core.DefaultHoodiGenesisBlock(), params.HoodiGenesisHash, params.HoodiBootnodes},
	} {
		block := n.genesis.ToBlock()
		if block.Hash() != n.hash {
			return fmt.Errorf("%s: genesis is %v, want %v", n.name, block.Hash(), n.hash)
		}
		text, err := genesis(block, n.genesis.Config, nil, nil)
		if err != nil {
			return fmt.Errorf("%s: %w", n.name, err)
		}
		id := n.genesis.Config.ChainID.Uint64()
		p := newPage(n.title, fmt.Sprintf("a network of Ethereum's kind, chain %d, genesis %v", id, n.hash),
			fmt.Sprintf("%v: params (chain, boot nodes, node lists) and core (genesis)", goEthereum))
		ethPage(p, n.name, id, n.boot, params.V5Bootnodes, params.KnownDNSNetwork(n.hash, "all"))
		files[n.name+".toml"] = p.Bytes()
		files[n.name+".json"] = text
	}
	return nil
}

// ethPage writes the rest of a preset for devp2p.
func ethPage(p *page, name string, id uint64, v4, v5 []string, dns string) {
	p.line("name = %q", name)
	p.line(`wire = "devp2p"`)
	p.line(`listen = ["0.0.0.0:30303"]`)
	p.line("")
	p.line("[network.ethereum]")
	p.line("network_id = %d", id)
	p.list("bootnodes", v4)
	if v5 != nil {
		p.list("bootnodes_v5", v5)
	}
	p.list("lists", []string{dns})
}
