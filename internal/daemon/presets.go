package daemon

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/BurntSushi/toml"

	"github.com/starlingp2p/starling/networks"
	"github.com/starlingp2p/starling/wire/devp2p"
	"github.com/starlingp2p/starling/wire/ontology"
	"github.com/starlingp2p/starling/wire/opstack"
)

// presetKey says which preset lies below the file.
const presetKey = "network.preset"

// presetOrigin is how the origin of a preset's value begins.
const presetOrigin = "preset "

// PresetNames are the presets that a config may name.
func PresetNames() []string { return networks.Names() }

// LoadPreset gives a network with all that its preset says.
func LoadPreset(name string) (Network, error) {
	base, _, err := presetConfig(name)
	if err != nil {
		return Network{}, err
	}
	base.Networks[0].Preset = name
	return base.Networks[0], nil
}

// PresetAdvice is what a preset cannot say and somebody who begins with it should
// know; empty: nothing.
func PresetAdvice(n Network) string {
	switch {
	case n.Wire == opstack.Name && n.OPStack.L1 == "" && n.OPStack.Sequencer == "":
		return "before that, set l1 in [network.opstack] to the JSON-RPC of an L1 node: it knows the sequencer, whose signature makes blocks true"
	case n.Wire == devp2p.Name && n.needsTarget():
		return "before that, set target in [[network]] to a block that you trust, as NUMBER:HASH, or engine_listen in [network.ethereum] for a consensus client that names them: after the Merge nothing else makes blocks true"
	case n.Wire == ontology.Name:
		return "note: this protocol has neither encryption nor identities, and the node listens on " + strings.Join(n.Listen, ", ")
	}
	return ""
}

// needsTarget reports whether the preset's network has left proof of work.
func (n *Network) needsTarget() bool {
	g, _, err := readGenesis(*n, nil)
	return err == nil && g.Config.TerminalTotalDifficulty != nil
}

// presetConfig is a preset as a config, with the keys that it has.
func presetConfig(name string) (base Config, keys map[string]bool, err error) {
	p, err := networks.Find(name)
	if err != nil {
		return base, nil, fmt.Errorf("%s: %w", presetKey, withoutPackage(err))
	}
	meta, err := toml.NewDecoder(bytes.NewReader(p.Config)).Decode(&base)
	if err == nil && (len(meta.Undecoded()) > 0 || len(base.Networks) != 1) {
		err = fmt.Errorf("preset %s has %d networks and the unknown keys %v", name, len(base.Networks), meta.Undecoded())
	}
	keys = map[string]bool{}
	for _, k := range meta.Keys() {
		keys[k.String()] = true
	}
	return base, keys, err
}

// chosenPreset is the preset that the layers name: the last of them counts.
func (c *Config) chosenPreset(over []Override) (name string) {
	if len(c.Networks) > 0 {
		name = c.Networks[0].Preset
	}
	for _, o := range over {
		if o.Key == presetKey {
			name = o.Value
		}
	}
	return name
}

// layPreset puts a preset below what the file says: a key that the file has
// stays as it is, and so does an item of a table that it has.
func (c *Config) layPreset(name string) error {
	if name == "" || len(c.Networks) > 1 {
		return nil
	}
	base, keys, err := presetConfig(name)
	if err != nil {
		return err
	}
	if len(c.Networks) == 0 {
		c.Networks = make([]Network, 1)
	}
	for _, f := range fields() {
		if !keys[f.key] || !strings.HasPrefix(f.key, "network.") {
			continue
		}
		from, to := f.in(&base), f.in(c)
		if c.origins[f.key] == "" {
			to.Set(from)
			c.origins[f.key] = Origin(presetOrigin + name)
			continue
		}
		if from.Kind() == reflect.Map && !to.IsNil() {
			for _, k := range from.MapKeys() { // into another map
				if !to.MapIndex(k).IsValid() {
					to.SetMapIndex(k, from.MapIndex(k))
				}
			}
		}
	}
	return nil
}

// fromPreset reports whether it is the preset that says what a key is.
func (c *Config) fromPreset(key string) bool {
	return strings.HasPrefix(string(c.origins[key]), presetOrigin)
}

// withdraw takes back what a preset says where the operator turns off what it is
// for: who does not look for peers needs no boot nodes.
func (c *Config) withdraw() {
	if len(c.Networks) != 1 {
		return
	}
	n := &c.Networks[0]
	for _, t := range []struct {
		off  bool
		keys []string
	}{
		{n.NoListen, []string{"network.listen", "network.ontology.consensus_listen"}},
		{n.NoDial, []string{"network.seeds"}},
		{n.NoDiscovery, []string{"network.opstack.bootnodes", "network.ethereum.bootnodes", "network.ethereum.bootnodes_v5", "network.ethereum.lists"}},
		// Who names boot nodes of one kind means them for both.
		{c.origins["network.ethereum.bootnodes"] != "" && !c.fromPreset("network.ethereum.bootnodes"), []string{"network.ethereum.bootnodes_v5"}},
	} {
		for _, key := range t.keys {
			if f, ok := fieldOf(key); ok && t.off && c.fromPreset(key) {
				f.in(c).SetZero()
				delete(c.origins, key)
			}
		}
	}
}

// checkPreset looks for what a preset and the rest of the config contradict each
// other in. It reports whether the wire is the preset's.
func (n *Network) checkPreset(p *problems) bool {
	if n.Preset == "" {
		return true
	}
	of, err := LoadPreset(n.Preset)
	if err != nil {
		p.add(err)
		return false
	}
	if n.Wire != of.Wire {
		p.bad("network.wire is %.80q, and the preset %s is a network of the wire %q; leave wire out", n.Wire, n.Preset, of.Wire)
		return false
	}
	return true
}

// presetGenesis is the genesis file of the network's preset.
func (n *Network) presetGenesis() ([]byte, error) {
	p, err := networks.Find(n.Preset)
	if err == nil && p.Genesis == nil {
		err = errors.New("the preset " + n.Preset + " has no genesis file")
	}
	return p.Genesis, err
}
