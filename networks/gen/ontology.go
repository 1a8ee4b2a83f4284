package main

import "fmt"

// ontology makes the presets of Ontology's public networks. Their genesis
// blocks are in ledger/ontology.
func ontology(files map[string][]byte) error {
	for _, n := range []struct{ name, title, config, magic string }{
		{"ontology", "Ontology main net", "MainNetConfig", "NETWORK_MAGIC_MAINNET"},
		{"polaris", "Ontology Polaris", "PolarisConfig", "NETWORK_MAGIC_POLARIS"},
	} {
		config, err := ontioOnt.value(n.config, "common", "config", "config.go")
		if err != nil {
			return err
		}
		seeds, err := fieldOf(config, "SeedList")
		if err != nil {
			return fmt.Errorf("%s: %w", n.name, err)
		}
		ports := make([]uint64, 2)
		for i, name := range []string{"DEFAULT_NODE_PORT", "DEFAULT_CONSENSUS_PORT"} {
			v, err := ontioOnt.value(name, "common", "config", "config.go")
			if err == nil {
				ports[i], err = number(v)
			}
			if err != nil {
				return fmt.Errorf("%s: %w", n.name, err)
			}
		}
		v, err := ontioOnt.value(n.magic, "common", "constants", "constants.go")
		if err != nil {
			return err
		}
		magic, err := number(v)
		if err != nil {
			return fmt.Errorf("%s: %w", n.name, err)
		}
		p := newPage(n.title, fmt.Sprintf("a network of Ontology's kind, magic %#08x in v1.0.0", magic),
			fmt.Sprintf("%v: common/config (seeds, ports), common/constants (magic)", ontioOnt))
		p.line("name = %q", n.name)
		p.line(`wire = "ontology"`)
		p.line("listen = [\"0.0.0.0:%d\"]", ports[0])
		p.list("seeds", stringsIn(seeds))
		p.line("")
		p.line("[network.ontology]")
		p.line("consensus_listen = \"0.0.0.0:%d\"", ports[1])
		files[n.name+".toml"] = p.Bytes()
	}
	return nil
}
