package main

import (
	"errors"
	"fmt"
	"go/ast"
	"maps"
	"math/big"
	"slices"
	"strings"

	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/params"
)

// classicForks are the fields of core-geth's configuration that tell when the
// changes came that go-ethereum knows as one fork.
func classicForks(c *params.ChainConfig) map[string]**big.Int {
	return map[string]**big.Int{
		"EIP2FBlock": &c.HomesteadBlock, "EIP150Block": &c.EIP150Block, "EIP155Block": &c.EIP155Block, "EIP161FBlock": &c.EIP158Block,
		"EIP100FBlock": &c.ByzantiumBlock, "EIP145FBlock": &c.ConstantinopleBlock, "EIP1014FBlock": &c.PetersburgBlock,
		"EIP1884FBlock": &c.IstanbulBlock, "EIP2929FBlock": &c.BerlinBlock,
	}
}

// classic makes the preset of Ethereum Classic, whose genesis block is Ethereum's.
func classic(files map[string][]byte) error {
	lit, err := coreGeth.value("ClassicChainConfig", "params", "config_classic.go")
	if err != nil {
		return err
	}
	config, extra, err := classicConfig(lit)
	if err != nil {
		return fmt.Errorf("classic: %w", err)
	}
	bomb, err := classicBomb(lit)
	if err != nil {
		return fmt.Errorf("classic: %w", err)
	}
	block, err := classicGenesis()
	if err != nil {
		return fmt.Errorf("classic: %w", err)
	}
	text, err := genesis(block, config, extra, bomb)
	if err != nil {
		return err
	}
	boot, err := coreGeth.list("ClassicBootnodes", "params", "bootnodes_classic.go")
	if err != nil {
		return err
	}
	prefix, err := coreGeth.list("dnsPrefixETC", "params", "bootnodes_classic.go")
	if err != nil {
		return err
	}
	dns, err := coreGeth.list("ClassicDNSNetwork1", "params", "bootnodes_classic.go")
	if err != nil {
		return err
	}
	idAt, err := fieldOf(lit, "NetworkID")
	if err != nil {
		return err
	}
	id, err := number(idAt)
	if err != nil {
		return err
	}
	p := newPage("Ethereum Classic", fmt.Sprintf("a network of Ethereum's kind, chain %v, genesis %v", config.ChainID, block.Hash()),
		fmt.Sprintf("%v: params (chain, boot nodes, node list, genesis)", coreGeth),
		fmt.Sprintf("%v: core (the allocations of the genesis, which are Ethereum's)", goEthereum))
	ethPage(p, "classic", id, boot, nil, prefix[0]+dns[0])
	files["classic.toml"], files["classic.json"] = p.Bytes(), text
	return nil
}

// classicConfig makes go-ethereum's configuration of core-geth's. It has no
// place for some forks: they are extra.
func classicConfig(lit ast.Expr) (*params.ChainConfig, []uint64, error) {
	chainID, err := fieldOf(lit, "ChainID")
	if err != nil {
		return nil, nil, err
	}
	id, err := number(chainID)
	if err != nil {
		return nil, nil, err
	}
	c := &params.ChainConfig{ChainID: new(big.Int).SetUint64(id)}
	known := map[uint64]bool{}
	for name, at := range classicForks(c) { // each goes to a place of its own
		field, err := fieldOf(lit, name)
		if err != nil {
			return nil, nil, err
		}
		n, err := number(field)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", name, err)
		}
		*at, known[n] = new(big.Int).SetUint64(n), true
	}
	extra := map[uint64]bool{}
	for _, elt := range lit.(*ast.UnaryExpr).X.(*ast.CompositeLit).Elts {
		kv := elt.(*ast.KeyValueExpr)
		name := kv.Key.(*ast.Ident).Name
		// ECBP-1100 is a rule for choosing between forks that no fork id has.
		if !strings.HasSuffix(name, "Block") || strings.HasPrefix(name, "ECBP1100") {
			continue
		}
		n, err := number(kv.Value)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", name, err)
		}
		if !known[n] {
			extra[n] = true
		}
	}
	return c, slices.Sorted(maps.Keys(extra)), c.CheckConfigForkOrder()
}

// classicBomb is when the difficulty bomb was paused and taken away.
func classicBomb(lit ast.Expr) (*bomb, error) {
	var b bomb
	for name, at := range map[string]*uint64{"ECIP1010PauseBlock": &b.Pause, "ECIP1010Length": &b.Length, "DisposalBlock": &b.End} {
		field, err := fieldOf(lit, name)
		if err == nil {
			*at, err = number(field)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return &b, nil
}

// classicGenesis is Ethereum's genesis block, once core-geth is seen to make its
// own of the same.
func classicGenesis() (*types.Block, error) {
	g := core.DefaultGenesisBlock()
	text, err := coreGeth.read("params", "genesis_classic.go")
	if err != nil {
		return nil, err
	}
	for _, want := range []string{
		fmt.Sprintf("Nonce:      %d,", g.Nonce), fmt.Sprintf("%#x", g.ExtraData), fmt.Sprintf("GasLimit:   %d,", g.GasLimit),
		fmt.Sprintf("Difficulty: big.NewInt(%v)", g.Difficulty), "Alloc:      genesisT.DecodePreAlloc(mainnetAllocData)",
	} {
		if !strings.Contains(string(text), want) {
			return nil, errors.New("core-geth's genesis does not say " + want)
		}
	}
	return g.ToBlock(), nil
}
