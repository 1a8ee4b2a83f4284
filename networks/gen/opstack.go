package main

import (
	"archive/zip"
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/BurntSushi/toml"
)

// opChain is a network of the superchain registry. The preset has the name that
// op-node's --network takes.
type opChain struct {
	name      string
	superchan string // the folder of the registry
	file      string
	from      module
	l1        string
	// consts are the constants in Rust that repeat the fork times of a chain
	// that the registry no longer has; empty: it has it.
	consts string
}

func opChains() []opChain {
	return []opChain{
		{"op-mainnet", "mainnet", "op", opGeth, "ethereum", ""},
		{"op-sepolia", "sepolia", "op", opGeth, "sepolia", ""},
		{"base-mainnet", "mainnet", "base", opGethBase, "ethereum", "BASE_MAINNET"},
		{"base-sepolia", "sepolia", "base", opGethBase, "sepolia", "BASE_SEPOLIA"},
		{"unichain-mainnet", "mainnet", "unichain", opGeth, "ethereum", ""},
		{"ink-mainnet", "mainnet", "ink", opGeth, "ethereum", ""},
		{"worldchain-mainnet", "mainnet", "worldchain", opGeth, "ethereum", ""},
		{"soneium-mainnet", "mainnet", "soneium", opGeth, "ethereum", ""},
		{"mode-mainnet", "mainnet", "mode", opGeth, "ethereum", ""},
		{"zora-mainnet", "mainnet", "zora", opGeth, "ethereum", ""},
	}
}

// opForks are the forks that a schedule may name, oldest first. Regolith is not
// in the registry: all of its chains have it from the first block on (optimism,
// op-core/superchain/params.go).
var opForks = []string{"canyon", "delta", "ecotone", "fjord", "granite", "holocene", "isthmus", "jovian", "karst", "lagoon"}

// chainConfig is a file of the registry.
type chainConfig struct {
	Name      string         `toml:"name"`
	ChainID   uint64         `toml:"chain_id"`
	BlockTime uint64         `toml:"block_time"`
	Hardforks map[string]any `toml:"hardforks"`
	Genesis   struct {
		L2Time uint64 `toml:"l2_time"`
		L2     struct {
			Hash   string `toml:"hash"`
			Number uint64 `toml:"number"`
		} `toml:"l2"`
	} `toml:"genesis"`
	Roles     struct{ UnsafeBlockSigner string }
	Addresses struct{ SystemConfigProxy string }
}

// forks are the fork times of a registry's table.
func forks(table map[string]any) (map[string]uint64, error) {
	out := map[string]uint64{}
	for key, v := range table {
		name, ok := strings.CutSuffix(key, "_time")
		if !ok || name == "pectra_blob_schedule" || v == nil { // which changes fees on L1 only
			continue
		}
		if !slices.Contains(opForks, name) {
			return nil, fmt.Errorf("fork %q is not known here", name)
		}
		n, err := strconv.ParseUint(fmt.Sprint(v), 10, 64)
		if err != nil {
			return nil, fmt.Errorf("fork %q: %w", name, err)
		}
		out[name] = n
	}
	return out, nil
}

// registry reads a chain of the registry that op-geth embeds, and the commit of
// the registry.
func registry(m module, superchain, file string) (c chainConfig, commit string, err error) {
	raw, err := m.read("superchain", "superchain-configs.zip")
	if err != nil {
		return c, "", err
	}
	z, err := zip.NewReader(bytes.NewReader(raw), int64(len(raw)))
	if err != nil {
		return c, "", err
	}
	sum, err := fs.ReadFile(z, "COMMIT")
	if err != nil {
		return c, "", err
	}
	f, err := z.Open(path.Join("configs", superchain, file+".toml"))
	if err != nil {
		return c, "", err
	}
	defer f.Close()
	text, err := io.ReadAll(f)
	if err != nil {
		return c, "", err
	}
	_, err = toml.Decode(string(text), &c)
	return c, strings.TrimSpace(string(sum)), err
}

// newer are the fork times of the registry that op-node's module carries in the
// source of its sibling kona, by chain id.
func newer() (map[uint64]map[string]uint64, error) {
	raw, err := optimism.read("rust", "kona", "crates", "protocol", "registry", "etc", "configs.json")
	if err != nil {
		return nil, err
	}
	var in struct {
		Superchains []struct {
			Chains []struct {
				ID    uint64         `json:"l2_chain_id"`
				Forks map[string]any `json:"hardfork_configuration"`
			}
		}
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err := d.Decode(&in); err != nil {
		return nil, err
	}
	out := map[uint64]map[string]uint64{}
	for _, s := range in.Superchains {
		for _, c := range s.Chains {
			if out[c.ID], err = forks(c.Forks); err != nil {
				return nil, fmt.Errorf("chain %d: %w", c.ID, err)
			}
		}
	}
	return out, nil
}

// rustConst is a constant of alloy-op-hardforks: a number, or another constant.
var rustConst = regexp.MustCompile(`(?m)^pub const ([A-Z_]+)_TIMESTAMP: u64 =\s+(?:([A-Z_]+)_TIMESTAMP|([0-9_]+));`)

// constants are the fork times of a chain in op-node's module, where they stand
// as constants in Rust.
func constants(prefix string) (map[string]uint64, error) {
	value, alias := map[string]uint64{}, map[string]string{}
	for _, file := range []string{"optimism/mainnet.rs", "optimism/sepolia.rs", "base/mainnet.rs", "base/sepolia.rs"} {
		text, err := optimism.read("rust", "alloy-op-hardforks", "src", file)
		if err != nil {
			return nil, err
		}
		for _, m := range rustConst.FindAllStringSubmatch(string(text), -1) {
			if m[2] != "" {
				alias[m[1]] = m[2]
				continue
			}
			n, err := strconv.ParseUint(strings.ReplaceAll(m[3], "_", ""), 10, 64)
			if err != nil {
				return nil, err
			}
			value[m[1]] = n
		}
	}
	out := map[string]uint64{}
	for _, fork := range opForks {
		name := prefix + "_" + strings.ToUpper(fork)
		n, ok := value[cmp.Or(alias[name], name)]
		if ok {
			out[fork] = n
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("no fork times of %s", prefix)
	}
	return out, nil
}

// later adds to a schedule the forks at its end that only another source has.
// It is an error if the two disagree.
func later(have, other map[string]uint64) error {
	last := -1
	for i, f := range opForks {
		if _, ok := have[f]; ok {
			last = i
		}
	}
	for i, f := range opForks {
		a, here := have[f]
		b, there := other[f]
		switch {
		case here && there && a != b:
			return fmt.Errorf("fork %s is at %d and at %d", f, a, b)
		case !here && there && i < last:
			return fmt.Errorf("fork %s is in one source only, and is not the last", f)
		case !here && there:
			have[f] = b
		}
	}
	return nil
}

// opstack makes the presets of OP Stack networks.
func opstack(files map[string][]byte) error {
	boot, err := optimism.list("DefaultBootnodes", "op-node", "p2p", "config.go")
	if err != nil {
		return err
	}
	carried, err := newer()
	if err != nil {
		return err
	}
	for _, chain := range opChains() {
		c, commit, err := registry(chain.from, chain.superchan, chain.file)
		if err != nil {
			return fmt.Errorf("%s: %w", chain.name, err)
		}
		schedule, err := forks(c.Hardforks)
		if err != nil {
			return fmt.Errorf("%s: %w", chain.name, err)
		}
		other, ok := carried[c.ChainID]
		source := "kona's registry"
		if chain.consts != "" {
			if ok {
				return fmt.Errorf("%s: it is in the registry again", chain.name)
			}
			source = "alloy-op-hardforks"
			if other, err = constants(chain.consts); err != nil {
				return fmt.Errorf("%s: %w", chain.name, err)
			}
		} else if !ok {
			return fmt.Errorf("%s: %v does not carry chain %d", chain.name, optimism, c.ChainID)
		}
		own := maps.Clone(schedule)
		if err := later(schedule, other); err != nil {
			return fmt.Errorf("%s: %w", chain.name, err)
		}
		p := newPage(c.Name, fmt.Sprintf("an OP Stack network, chain %d, on top of %s", c.ChainID, chain.l1),
			fmt.Sprintf("%v: the chain, out of the superchain registry at %s", chain.from, commit),
			fmt.Sprintf("%v: boot nodes (op-node/p2p/config.go); fork times compared (%s)", optimism, source))
		p.line("name = %q", chain.name)
		p.line(`wire = "opstack"`)
		p.line(`listen = ["/ip4/0.0.0.0/tcp/9222"]`)
		p.line("")
		p.line("[network.opstack]")
		p.line("chain_id = %d", c.ChainID)
		p.line("block_time = \"%ds\"", c.BlockTime)
		p.line("genesis_number = %d", c.Genesis.L2.Number)
		p.line("genesis_hash = %q", c.Genesis.L2.Hash)
		p.line("genesis_time = %d", c.Genesis.L2Time)
		if s := c.Roles.UnsafeBlockSigner; s != "" {
			p.line("sequencer = %q", s)
		}
		p.line("system_config = %q", c.Addresses.SystemConfigProxy)
		p.list("bootnodes", boot)
		p.line("")
		p.line("[network.opstack.forks]")
		p.line("regolith = 0")
		for _, f := range opForks {
			at, ok := schedule[f]
			if !ok {
				continue
			}
			note := ""
			if _, here := own[f]; !here {
				note = " # only " + optimism.version + " of optimism has it"
			}
			p.line("%s = %d%s", f, at, note)
		}
		files[chain.name+".toml"] = p.Bytes()
	}
	return nil
}
