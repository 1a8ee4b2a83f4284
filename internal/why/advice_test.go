package why

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"strings"
	"testing"

	"github.com/starlingp2p/starling/internal/blocksync"
	"github.com/starlingp2p/starling/internal/eventlog"
	"github.com/starlingp2p/starling/peer"
)

// constants are the values of the string constants of one type in a file.
func constants(t *testing.T, file, typ string) (out []string) {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range f.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok || g.Tok != token.CONST {
			continue
		}
		for _, s := range g.Specs {
			v := s.(*ast.ValueSpec)
			if id, ok := v.Type.(*ast.Ident); !ok || id.Name != typ {
				continue
			}
			for _, e := range v.Values {
				text, err := strconv.Unquote(e.(*ast.BasicLit).Value)
				if err != nil {
					t.Fatal(err)
				}
				out = append(out, text)
			}
		}
	}
	if len(out) == 0 {
		t.Fatalf("%s has no constants of %s", file, typ)
	}
	return out
}

// A new reason, offense, cause or error needs a text that says what it means
// and what helps.
func TestEverythingHasACauseAndARemedy(t *testing.T) {
	check := func(what, name string, cause, remedy string) {
		if cause == "" || remedy == "" || strings.HasSuffix(cause, ".") || strings.HasSuffix(remedy, ".") {
			t.Errorf("%s %q has the cause %q and the remedy %q", what, name, cause, remedy)
		}
	}
	known := map[string]bool{}
	for _, r := range constants(t, "../../peer/reason.go", "Reason") {
		if r == string(peer.OK) {
			continue
		}
		known[r] = true
		a := reasons()[peer.Reason(r)]
		check("reason", r, a.cause, a.remedy)
		if a.theirs != "" || a.theirR != "" {
			check("the other side's reason", r, a.theirs, a.theirR)
		}
	}
	for r := range reasons() {
		if !known[string(r)] {
			t.Errorf("reason %q is in the table, and nowhere else", r)
		}
	}
	for _, o := range peer.Offenses() {
		check("offense", string(o), offenses()[o].cause, offenses()[o].remedy)
	}
	causes := map[string]bool{}
	for _, c := range blocksync.Causes() {
		causes[string(c)] = true
		check("cause", string(c), stalls()[c].cause, stalls()[c].remedy)
	}
	for _, c := range constants(t, "../blocksync/cause.go", "Cause") {
		if !causes[c] {
			t.Errorf("blocksync.Causes lacks %q", c)
		}
	}
	for _, e := range eventlog.PublishErrors() {
		check("publish error", e, publishes()[e].cause, publishes()[e].remedy)
	}
	if c, r := adviceOn("of-the-future", true); c == "" || r == "" {
		t.Error("an unknown reason has no text")
	}
}
