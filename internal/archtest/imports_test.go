package archtest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// tiers lists the folders from the lowest to the highest. A package imports
// packages of lower tiers only, or of its own part: the folder that is listed,
// and what is below it. Of two entries that match a folder the longer counts.
var tiers = [][]string{
	{"env", "peer"},
	{"chain"},
	{"wire", "chain/chaintest"},
	{"internal"}, // leaves that are not listed below
	{"wire/internal", "wire/wiretest", "sim/bed"},
	{"wire/opstack/codec", "wire/devp2p/eth", "wire/ontology/codec"},
	{"internal/swarm", "internal/relay", "internal/blocksync", "wire/native", "wire/opstack", "wire/devp2p", "wire/ontology", "ledger"},
	{"."},
	{"internal/eventlog"},
	{"internal/why", "internal/doctor", "internal/metrics", "internal/rpc", "networks"},
	{"internal/daemon"},
	{"internal/devnet"},
	{"cmd", "examples", "internal/archtest"},
}

// contracts import the standard library and lower contracts only.
var contracts = []string{"env", "peer", "chain", "wire"}

// denied are imports that their tiers alone would allow.
var denied = []struct {
	from, to []string
	why      string
}{
	{[]string{"."}, []string{"wire/native", "wire/opstack", "wire/devp2p", "wire/ontology", "wire/internal", "ledger"}, "a wire and a chain are handed to the node as values"},
	{[]string{"ledger"}, []string{"wire/internal"}, "a family may import its wire's codec, not its stack"},
	{[]string{"internal/swarm", "internal/relay", "internal/blocksync"}, []string{"wire/internal", "wire/opstack/codec", "wire/devp2p/eth", "wire/ontology/codec"}, "services choose by Caps; none asks which wire it is on"},
	{[]string{"."}, []string{"chain/chaintest", "wire/wiretest", "sim/bed"}, "what is for tests stays out of the product"},
}

// lgpl are the module of LGPL code and the only folders that may reach it.
var lgpl = struct {
	module  string
	folders []string
}{
	"github.com/ethereum/go-ethereum",
	[]string{"wire/opstack", "wire/devp2p", "wire/internal/discv", "wire/internal/keccak", "ledger/opstack", "ledger/ethereum"},
}

// place gives the part that a folder belongs to and the number of its tier.
func place(dir string) (part string, tier int, ok bool) {
	tier = -1
	for i, parts := range tiers {
		for _, p := range parts {
			matches := dir == p || p != "." && within(dir, p)
			if matches && len(p) > len(part) {
				part, tier = p, i
			}
		}
	}
	// A folder below a contract is not the contract.
	if slices.Contains(contracts, part) && dir != part {
		return "", 0, false
	}
	return part, tier, tier >= 0
}

// wires are the folders of wires: none imports another, its codec included.
var wires = []string{"wire/native", "wire/opstack", "wire/devp2p", "wire/ontology"}

// mayNot says why the folder from must not import the folder to; empty if it
// may, or if one of them has no place.
func mayNot(from, to string) string {
	part, tier, ok := place(from)
	itsPart, itsTier, okay := place(to)
	if !ok || !okay {
		return ""
	}
	for _, w := range wires {
		if within(to, w) && !within(from, w) && slices.ContainsFunc(wires, func(own string) bool { return within(from, own) }) {
			return "a wire never imports another"
		}
	}
	for _, d := range denied {
		if slices.Contains(d.from, part) && slices.ContainsFunc(d.to, func(t string) bool { return within(to, t) }) {
			return d.why
		}
	}
	if itsTier >= tier && itsPart != part {
		return fmt.Sprintf("%s is of tier %d and %s of tier %d; only lower tiers may be imported", part, tier, itsPart, itsTier)
	}
	return ""
}

// TestRulesNameFoldersThatExist: a rule about a folder that is not there checks
// nothing, and tells its reader of a house that does not stand.
func TestRulesNameFoldersThatExist(t *testing.T) {
	named := slices.Concat(slices.Concat(tiers...), contracts, wires, lgpl.folders, docless)
	for _, d := range denied {
		named = slices.Concat(named, d.from, d.to)
	}
	for _, dir := range named {
		if info, err := os.Stat(filepath.Join(root, filepath.FromSlash(dir))); err != nil || !info.IsDir() {
			t.Errorf("a rule names the folder %s, which is not there", dir)
		}
	}
}

func TestPackagesImportLowerTiersOnly(t *testing.T) {
	for _, f := range tree(t).product() {
		if _, _, ok := place(f.dir); !ok {
			t.Errorf("%s: the folder %s has no tier: give it one in internal/archtest", f.path, f.dir)
		}
		for _, imported := range f.imports {
			dir, ok := local(imported)
			if !ok {
				continue
			}
			if why := mayNot(f.dir, dir); why != "" {
				t.Errorf("%s imports %s: %s", f.path, dir, why)
			}
		}
	}
}

func TestContractsImportTheStandardLibraryOnly(t *testing.T) {
	for _, f := range tree(t).product() {
		if !slices.Contains(contracts, f.dir) && f.dir != "chain/chaintest" {
			continue
		}
		for _, imported := range f.imports {
			if _, ok := local(imported); !ok && !standard(imported) {
				t.Errorf("%s imports %s: the contracts import only the standard library", f.path, imported)
			}
		}
	}
}

func TestOnlyNamedFoldersImportLGPLCode(t *testing.T) {
	for _, f := range tree(t).files {
		if f.nested || slices.ContainsFunc(lgpl.folders, func(dir string) bool { return within(f.dir, dir) }) {
			continue
		}
		for _, imported := range f.imports {
			if within(imported, lgpl.module) {
				t.Errorf("%s imports %s, which is LGPL: only %v may", f.path, imported, lgpl.folders)
			}
		}
	}
}

// deps gives what the packages of these folders link, those of them that exist.
func deps(t *testing.T, dirs ...string) []string {
	t.Helper()
	var there []string
	for _, dir := range dirs {
		if slices.ContainsFunc(tree(t).product(), func(f *file) bool { return f.dir == dir }) {
			there = append(there, "./"+dir)
		}
	}
	if len(there) == 0 {
		return nil
	}
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"list", "-deps"}, there...)...)
	cmd.Dir = root
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, stderr.String())
	}
	return strings.Fields(string(out))
}

func TestNativeNodeLinksNoLGPLCode(t *testing.T) {
	for _, linked := range deps(t, ".", "wire/native", "ledger/sequenced") {
		if within(linked, lgpl.module) {
			t.Errorf("a node of native and sequenced links %s, which is LGPL", linked)
		}
	}
}

func TestDaemonLinksNoTestCode(t *testing.T) {
	for _, linked := range deps(t, "cmd/starling") {
		dir, ok := local(linked)
		if ok && slices.Contains([]string{"chain/chaintest", "wire/wiretest", "sim/bed"}, dir) {
			t.Errorf("cmd/starling links %s, which is for tests", linked)
		}
	}
}
