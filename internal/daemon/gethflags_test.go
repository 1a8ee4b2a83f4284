package daemon

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// gethsOwn are the flags in geth's source, and whether each takes no value.
func gethsOwn(t *testing.T) map[string]bool {
	t.Helper()
	dir, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/ethereum/go-ethereum").Output()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]bool{}
	for _, file := range []string{"cmd/utils/flags.go", "cmd/utils/flags_legacy.go", "internal/debug/flags.go", "cmd/geth/config.go"} {
		f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(strings.TrimSpace(string(dir)), file), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			lit, ok := n.(*ast.CompositeLit)
			if !ok {
				return true
			}
			kind, ok := lit.Type.(*ast.SelectorExpr)
			if !ok || !strings.HasSuffix(kind.Sel.Name, "Flag") {
				return true
			}
			for _, e := range lit.Elts {
				kv, ok := e.(*ast.KeyValueExpr)
				if !ok {
					continue
				}
				switch kv.Key.(*ast.Ident).Name {
				case "Name", "Aliases":
					ast.Inspect(kv.Value, func(n ast.Node) bool {
						if s, ok := n.(*ast.BasicLit); ok && s.Kind == token.STRING {
							if name, err := strconv.Unquote(s.Value); err == nil && len(name) > 1 { // not -H
								out[name] = kind.Sel.Name == "BoolFlag"
							}
						}
						return true
					})
				}
			}
			return true
		})
	}
	return out
}

// Every flag of geth's, by its own source, stands for something here or is
// refused with what to do, and takes a value if it does so there.
func TestEveryFlagInGethsSourceHasAPlace(t *testing.T) {
	own := gethsOwn(t)
	if len(own) < 180 {
		t.Fatalf("%d flags are found in geth's source; it is read wrongly", len(own))
	}
	flags := gethFlags()
	for name, bare := range own {
		i := slices.IndexFunc(flags, func(f flagName) bool { return f.name == name })
		if i < 0 {
			t.Errorf("%s has no place", name)
			continue
		}
		f := flags[i]
		if f.bare != bare {
			t.Errorf("%s takes no value: %v, and with geth: %v", name, f.bare, bare)
		}
		if f.key == "" && f.with == "" && f.why == "" {
			t.Errorf("%s is neither taken nor refused with a reason", name)
		}
	}
	// Of others there are those of older ones that a private network needed.
	for _, f := range flags {
		if _, ok := own[f.name]; !ok && !slices.Contains([]string{"classic", "mine", "miner.etherbase", "unlock"}, f.name) {
			t.Errorf("%s is no flag of geth's", f.name)
		}
	}
}
