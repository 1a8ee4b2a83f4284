package networks

import (
	"embed"
	"fmt"
	"io/fs"
	"slices"
	"strings"
)

// files are the presets, which cannot change.
//
//go:embed presets
var files embed.FS

// Preset is a network that is known by name.
type Preset struct {
	Name    string
	Title   string // as people call it
	About   string // of what kind it is, in a line
	Sources []string
	Config  []byte // a config file with one [[network]] table
	Genesis []byte // the genesis file of a network of Ethereum's kind; nil: none
}

// order is that of the table in the documents: by wire, the best known first.
var order = []string{
	"op-mainnet", "op-sepolia", "base-mainnet", "base-sepolia", "unichain-mainnet", "ink-mainnet", "worldchain-mainnet",
	"soneium-mainnet", "mode-mainnet", "zora-mainnet",
	"ethereum", "sepolia", "hoodi", "classic",
	"ontology", "polaris",
}

// Names lists the presets, those of a wire together.
func Names() []string { return slices.Clone(order) }

// Find gives a preset. The error lists those that there are.
func Find(name string) (Preset, error) {
	if !slices.Contains(order, name) {
		return Preset{}, fmt.Errorf("networks: %.80q is not known, want one of %s", name, strings.Join(order, ", "))
	}
	text, err := files.ReadFile("presets/" + name + ".toml")
	if err != nil {
		return Preset{}, fmt.Errorf("networks: %w", err)
	}
	p := Preset{Name: name, Config: text}
	lines := strings.Split(string(text), "\n")
	p.Title, p.About = strings.TrimPrefix(lines[0], "# "), strings.TrimPrefix(lines[1], "# ")
	for _, line := range lines {
		if source, ok := strings.CutPrefix(line, "#   "); ok {
			p.Sources = append(p.Sources, source)
		}
	}
	if genesis, err := fs.ReadFile(files, "presets/"+name+".json"); err == nil {
		p.Genesis = genesis
	}
	return p, nil
}
