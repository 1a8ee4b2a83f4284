package daemon

import (
	"bytes"
	"cmp"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/starlingp2p/starling/ledger"
	"github.com/starlingp2p/starling/ledger/ethereum"
	family "github.com/starlingp2p/starling/ledger/opstack"
	"github.com/starlingp2p/starling/networks"
	"github.com/starlingp2p/starling/wire/opstack/codec"
	"github.com/starlingp2p/starling/wire/opstack/codec/rules"
)

func presetOf(name string) string {
	return "config_version = 1\n[[network]]\npreset = \"" + name + "\"\n"
}

// quiet is a node that neither dials nor is dialled nor looks for anybody.
const quiet = "no_dial = true\nno_listen = true\nno_discovery = true\n"

// Two lines make a member of every network: its chain is opened, and what is
// listened on is written down. Nobody is dialled.
func TestEveryPresetIsOpened(t *testing.T) {
	for _, name := range PresetNames() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg, err := ParseConfig([]byte(presetOf(name)))
			if err != nil {
				t.Fatal(err)
			}
			n := cfg.Networks[0]
			if n.Name != name || len(n.Listen) != 1 || !strings.Contains(n.Listen[0], "0.0.0.0") {
				t.Errorf("network %q listens on %q, want a port of every interface, written down", n.Name, n.Listen)
			}
			if len(n.OPStack.Bootnodes)+len(n.Ethereum.Bootnodes)+len(n.Seeds) == 0 {
				t.Error("nobody to begin with")
			}
			if n.Wire == "devp2p" && len(n.Ethereum.Lists) != 1 {
				t.Errorf("lists of nodes are %q, want one", n.Ethereum.Lists)
			}
			if cfg, err = ParseConfig([]byte(presetOf(name) + quiet)); err != nil {
				t.Fatal(err)
			}
			cfg.Datadir = t.TempDir()
			node, err := Open(cfg, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := node.Close(); err != nil {
					t.Error(err)
				}
			}()
			st := node.Status()
			if st.Network != name || st.Wire != n.Wire || st.Head.Hash != st.Genesis || st.Head.Number != n.OPStack.GenesisNumber {
				t.Errorf("status %+v", st)
			}
			if want := map[string]uint64{"ethereum": 1, "sepolia": 11155111, "hoodi": 560048, "classic": 1}[name]; node.stack.networkID != want {
				t.Errorf("peers compare the number %d, want %d", node.stack.networkID, want)
			}
			spiral := ledger.Rule{Name: "extra-19250000", From: 19250000}
			if name == "classic" && !slices.Contains(node.stack.eth.Spec().Rules, spiral) {
				t.Errorf("rules %v, want %v among them", node.stack.eth.Spec().Rules, spiral)
			}
			if want := n.OPStack.GenesisHash; want != "" && st.Genesis != want {
				t.Errorf("genesis is %s, want %s", st.Genesis, want)
			}
		})
	}
}

// What is written down counts for more than the preset, and the config tells
// where each value comes from.
func TestKeysCountForMoreThanThePreset(t *testing.T) {
	path := writeConfig(t, presetOf("op-mainnet")+`listen = ["/ip4/127.0.0.1/tcp/0"]
[network.opstack]
block_time = "1s"
[network.opstack.forks]
jovian = 1764691203
lagoon = 1999999999
`)
	c, err := LoadLayers(path, Override{Key: "network.opstack.chain_id", Value: "11", Origin: "flag --x"})
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]Value{
		"network.preset":                {Value: "op-mainnet", Origin: "file " + path + ":3"},
		"network.name":                  {Value: "op-mainnet", Origin: "preset op-mainnet"},
		"network.wire":                  {Value: "opstack", Origin: "preset op-mainnet"},
		"network.listen":                {Value: "/ip4/127.0.0.1/tcp/0", Origin: "file " + path + ":4"},
		"network.max_peers":             {Value: "50", Origin: "default"},
		"network.opstack.chain_id":      {Value: "11", Origin: "flag --x"},
		"network.opstack.block_time":    {Value: "1s", Origin: "file " + path + ":6"},
		"network.opstack.genesis_time":  {Value: "1686068903", Origin: "preset op-mainnet"},
		"network.opstack.system_config": {Value: "0x229047fed2591dbec1eF1118d64F7aF3dB9EB290", Origin: "preset op-mainnet"},
		"network.opstack.forks": {
			Value:  "canyon=1704992401,delta=1708560000,ecotone=1710374401,fjord=1720627201,granite=1726070401,holocene=1736445601,isthmus=1746806401,jovian=1764691203,karst=1783526401,lagoon=1999999999,regolith=0",
			Origin: "file " + path + ":7",
		},
	} {
		if got := valueOf(t, c, key); got.Value != want.Value || got.Origin != want.Origin {
			t.Errorf("%s is %s (%s), want %s (%s)", key, got.Value, got.Origin, want.Value, want.Origin)
		}
	}
	again, err := LoadPreset("op-mainnet")
	if err != nil || again.OPStack.Forks["jovian"] != 1764691201 || again.OPStack.ChainID != 10 {
		t.Errorf("the preset itself has changed: %+v, %v", again.OPStack, err)
	}
}

// A preset can be named by a flag or the environment too, and then stands below
// the file all the same.
func TestAPresetMayComeFromAFlag(t *testing.T) {
	path := writeConfig(t, "config_version = 1\n")
	env, _ := FromEnv([]string{"STARLING_NETWORK_PRESET=sepolia"})
	for _, tt := range []struct {
		over []Override
		want string
	}{
		{env, "devp2p"},
		{append(env, Override{Key: presetKey, Value: "polaris", Origin: "flag --network"}), "ontology"},
	} {
		c, err := LoadLayers(path, tt.over...)
		if err != nil || c.Networks[0].Wire != tt.want {
			t.Errorf("%v: wire %v, %v, want %q", tt.over, c.Networks, err, tt.want)
		}
	}
}

func TestWhatContradictsAPresetIsRefused(t *testing.T) {
	known := strings.Join(PresetNames(), ", ")
	for _, tt := range []struct{ name, text, want string }{
		{"unknown", presetOf("mainnet"), `line 3: network.preset: "mainnet" is not known, want one of ` + known},
		{"another wire", presetOf("op-mainnet") + `wire = "devp2p"`, `line 4: network.wire is "devp2p", and the preset op-mainnet is a network of the wire "opstack"`},
		{"another chain's table", presetOf("op-mainnet") + "[network.ethereum]\nreceipts = true", `[network.ethereum] describes a chain of the wire "devp2p"`},
		{"two networks", presetOf("op-mainnet") + "[[network]]\nname = \"x\"", "2 [[network]] tables"},
		{"a fork too many", presetOf("op-mainnet") + "[network.opstack.forks]\ncanion = 4", `line 4: network.opstack.forks has "canion"`},
		{"boot node", presetOf("sepolia") + "[network.ethereum]\nbootnodes = [\"enr:-\"]", "network.ethereum.bootnodes"},
		{"dialling nobody, and static", presetOf("sepolia") + "no_dial = true\nseeds = [\"enode://3c72addb4fdf09af94f0c94d7fe92a386a7e70cf8a1d85916386bb2535c7b1b13b306b0fe085665d8fc1b28ae1676cd3ad6e08eaeda225fe38d0da4de55703e0@203.0.113.7:30303\"]", "no_dial is set"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := ParseConfig([]byte(tt.text)); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("ParseConfig = %v, want %q in it", err, tt.want)
			}
		})
	}
	_, err := LoadLayers(writeConfig(t, presetOf("sepolia")), Override{Key: presetKey, Value: "nope", Origin: "env STARLING_NETWORK_PRESET"})
	if err == nil || !strings.Contains(err.Error(), "STARLING_NETWORK_PRESET: network.preset") {
		t.Errorf("an unknown preset in the environment: %v", err)
	}
}

// What a preset cannot say is told to whoever begins with it.
func TestAPresetSaysWhatItLacks(t *testing.T) {
	for name, want := range map[string]string{"base-mainnet": "set l1", "hoodi": "set target", "classic": "", "ontology": "0.0.0.0:20338"} {
		n, err := LoadPreset(name)
		if err != nil {
			t.Fatal(err)
		}
		if got := PresetAdvice(n); !strings.Contains(got, want) || (got == "") != (want == "") {
			t.Errorf("%s: %q, want %q in it", name, got, want)
		}
	}
}

// Boot nodes of one's own take the place of both lists of the preset.
func TestOwnBootNodesReplaceThePresets(t *testing.T) {
	const mine = "enode://3c72addb4fdf09af94f0c94d7fe92a386a7e70cf8a1d85916386bb2535c7b1b13b306b0fe085665d8fc1b28ae1676cd3ad6e08eaeda225fe38d0da4de55703e0@203.0.113.7:30303"
	c, err := ParseConfig([]byte(presetOf("sepolia") + "[network.ethereum]\nbootnodes = [\"" + mine + "\"]"))
	if err != nil {
		t.Fatal(err)
	}
	e := c.Networks[0].Ethereum
	d, err := e.discovery(c.Networks[0], "127.0.0.1:30303", &Datadir{})
	if err != nil || !slices.Equal(d.BootnodesV4, []string{mine}) || !slices.Equal(d.BootnodesV5, []string{mine}) {
		t.Errorf("boot nodes are %q and %q, %v", d.BootnodesV4, d.BootnodesV5, err)
	}
}

// Without a source of the sequencer's address the operator is told so.
func TestAnOPNetworkWithoutASignerSaysSo(t *testing.T) {
	for more, want := range map[string]bool{
		"": true,
		"[network.opstack]\nl1 = \"http://127.0.0.1:1\"\n":                                false,
		"[network.opstack]\nsequencer = \"0x19E7E376E7C213B7E7e7e46cc70A5dD086DAff2A\"\n": false,
		"[network.opstack]\nsequencer_file = \"sequencer.txt\"\n":                         false,
	} {
		cfg, err := ParseConfig([]byte(presetOf("ink-mainnet") + quiet + more))
		if err != nil {
			t.Fatal(err)
		}
		cfg.Datadir = t.TempDir()
		var log bytes.Buffer
		n, err := Open(cfg, slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		n.Close()
		if warned := strings.Contains(log.String(), "level=WARN") && strings.Contains(log.String(), "set l1"); warned != want {
			t.Errorf("%q: warned %v, want %v: %s", more, warned, want, log.String())
		}
	}
}

// The topic of a block is that of the forks at its time, on every OP Stack
// preset: V2 from Canyon on, V3 from Ecotone, V4 from Isthmus.
func TestTopicsOfThePresetsFollowTheirForks(t *testing.T) {
	seen := 0
	for _, name := range PresetNames() {
		n, err := LoadPreset(name)
		if err != nil {
			t.Fatal(err)
		}
		if n.Wire != "opstack" {
			continue
		}
		seen++
		cfg, err := n.OPStack.family(name)
		if err != nil {
			t.Fatal(err)
		}
		fam, err := family.New(cfg)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		r := fam.Rules().Config()
		topic := func(at uint64) string { return codec.Topic(r.ChainID, r.VersionAt(at)) }
		for fork, number := range map[string]int{"canyon": 1, "ecotone": 2, "isthmus": 3} {
			at, ok := n.OPStack.Forks[fork]
			if !ok || at == rules.Never {
				t.Errorf("%s has no %s", name, fork)
				continue
			}
			if want := fmt.Sprintf("/optimism/%d/%d/blocks", n.OPStack.ChainID, number); topic(at) != want && at > 0 {
				t.Errorf("%s at %s: %s, want %s", name, fork, topic(at), want)
			}
			if want := fmt.Sprintf("/optimism/%d/%d/blocks", n.OPStack.ChainID, number-1); at > 0 && topic(at-1) != want {
				t.Errorf("%s before %s: %s, want %s", name, fork, topic(at-1), want)
			}
		}
	}
	if seen != 10 {
		t.Errorf("%d presets of the OP Stack, want 10", seen)
	}
	// OP Mainnet's, as its announcements have them.
	op, _ := LoadPreset("op-mainnet")
	if f := op.OPStack.Forks; f["canyon"] != 1704992401 || f["ecotone"] != 1710374401 || f["isthmus"] != 1746806401 {
		t.Errorf("OP Mainnet's forks are %v", f)
	}
}

// The config's own words name every preset.
func TestTheConfigNamesThePresets(t *testing.T) {
	f, ok := fieldOf(presetKey)
	if !ok {
		t.Fatal("no such key")
	}
	words := strings.FieldsFunc(f.comment, func(r rune) bool { return strings.ContainsRune(" ,;:", r) })
	for _, name := range PresetNames() {
		if !slices.Contains(words, name) {
			t.Errorf("the comment of %s does not name %s: %s", presetKey, name, f.comment)
		}
	}
	if !strings.Contains(SampleConfig(), "# preset = \"op-mainnet\"") {
		t.Error("the sample has no preset")
	}
}

// lastFork is the fork that counts last of a schedule, and from when.
func lastFork(g *ethereum.Genesis) string {
	last := slices.MaxFunc(ethereum.Rules(g.Config, g.ExtraForks...), func(a, b ledger.Rule) int {
		if a.ByTime != b.ByTime {
			return map[bool]int{true: 1, false: -1}[a.ByTime]
		}
		return cmp.Compare(a.From, b.From)
	})
	if !last.ByTime {
		return fmt.Sprintf("block %d", last.From)
	}
	return fmt.Sprintf("%s, %d", last.Name, last.From)
}

const networksDoc = "../../docs/networks.md"

// The table of presets in docs/networks.md is made of the presets. To write it
// anew: go test ./internal/daemon -run Document -update.
func TestTheDocumentHasEveryPreset(t *testing.T) {
	var table strings.Builder
	table.WriteString("\n| preset | network | wire | chain | genesis | last fork | to begin with |\n|---|---|---|---|---|---|---|\n")
	for _, name := range PresetNames() {
		p, err := networks.Find(name)
		if err != nil {
			t.Fatal(err)
		}
		cfg, err := ParseConfig([]byte(presetOf(name) + quiet))
		if err != nil {
			t.Fatal(err)
		}
		cfg.Datadir = t.TempDir()
		node, err := Open(cfg, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		genesis := node.Status().Genesis
		node.Close()
		n, err := LoadPreset(name)
		if err != nil {
			t.Fatal(err)
		}
		chain, fork, boot := "", "", fmt.Sprintf("%d seeds", len(n.Seeds))
		switch n.Wire {
		case "opstack":
			chain, boot = fmt.Sprint(n.OPStack.ChainID), fmt.Sprintf("%d boot nodes", len(n.OPStack.Bootnodes))
			last := slices.MaxFunc(slices.Sorted(maps.Keys(n.OPStack.Forks)), func(a, b string) int {
				return slices.Index(family.ForkNames(), a) - slices.Index(family.ForkNames(), b)
			})
			fork = fmt.Sprintf("%s, %d", last, n.OPStack.Forks[last])
		case "devp2p":
			g, _, err := readGenesis(n, nil)
			if err != nil {
				t.Fatal(err)
			}
			fork = lastFork(g)
			chain, boot = g.Config.ChainID.String(), fmt.Sprintf("%d boot nodes, a list in DNS", len(n.Ethereum.Bootnodes))
		default:
			o, err := n.Ontology.network(&n, nil)
			if err != nil {
				t.Fatal(err)
			}
			chain = fmt.Sprintf("magic %#x", o.Magic)
		}
		fmt.Fprintf(&table, "| `%s` | %s | %s | %s | `%s…` | %s | %s |\n", name, p.Title, n.Wire, chain, genesis[:18], fork, boot)
	}
	table.WriteByte('\n')
	keepSection(t, networksDoc, "presets", table.String())
}
