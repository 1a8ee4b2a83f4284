package archtest

import (
	"go/ast"
	"slices"
	"strings"
	"testing"
)

const (
	maxLines     = 500
	maxTestLines = 800
)

func TestFilesAreShort(t *testing.T) {
	for _, f := range tree(t).files {
		limit := maxLines
		if f.test {
			limit = maxTestLines
		}
		if f.lines > limit && !f.generated {
			t.Errorf("%s has %d lines, at most %d", f.path, f.lines, limit)
		}
	}
}

// docless are the folders of commands and examples, where one file may hold
// code and package comment both.
var docless = []string{"cmd", "examples", "interop", "bench"}

func TestPackagesSayWhatTheyAre(t *testing.T) {
	r := tree(t)
	comment, docfile := map[string]bool{}, map[string]bool{}
	var dirs []string
	for _, f := range r.files {
		if f.test {
			continue
		}
		if !slices.Contains(dirs, f.dir) {
			dirs = append(dirs, f.dir)
		}
		docfile[f.dir] = docfile[f.dir] || strings.HasSuffix("/"+f.path, "/doc.go")
		text := f.ast.Doc.Text()
		if strings.HasPrefix(text, "Package "+f.ast.Name.Name+" ") || f.ast.Name.Name == "main" && len(text) > 0 {
			comment[f.dir] = true
		}
	}
	for _, dir := range dirs {
		if !comment[dir] {
			t.Errorf("%s: no package comment", dir)
		}
		if !docfile[dir] && !slices.ContainsFunc(docless, func(d string) bool { return within(dir, d) }) {
			t.Errorf("%s: no doc.go", dir)
		}
	}
}

// marks are what unfinished work is marked with; put together here, so that
// this file has none.
var marks = []string{"TO" + "DO", "FIX" + "ME", "XX" + "X"}

func TestNothingIsMarkedUnfinished(t *testing.T) {
	for _, f := range tree(t).files {
		for _, group := range f.ast.Comments {
			for _, mark := range marks {
				if strings.Contains(group.Text(), mark) {
					t.Errorf("%s: a comment says %s", tree(t).line(group), mark)
				}
			}
		}
	}
}

func TestNoInitFunctions(t *testing.T) {
	for _, f := range tree(t).product() {
		for _, d := range f.ast.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Name.Name == "init" && fn.Recv == nil && !f.generated {
				t.Errorf("%s: func init: nothing happens before main", tree(t).line(fn))
			}
		}
	}
}

// calls visits the calls in a node by the text of what is called: "time",
// "Sleep"; a function of the file's own package has an empty first part.
func calls(n ast.Node, visit func(call *ast.CallExpr, on, name string)) {
	ast.Inspect(n, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		switch fn := call.Fun.(type) {
		case *ast.Ident:
			visit(call, "", fn.Name)
		case *ast.SelectorExpr:
			if on, ok := fn.X.(*ast.Ident); ok {
				visit(call, on.Name, fn.Sel.Name)
			}
		}
		return true
	})
}

// bubbles gives the functions of a folder's tests that run their argument in a
// synctest bubble, as "folder.name".
func (r *repo) bubbles() map[string]bool {
	found := map[string]bool{}
	for _, f := range r.files {
		if !f.test || !slices.Contains(f.imports, "testing/synctest") {
			continue
		}
		for _, d := range f.ast.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && called(fn, "synctest", "Test") {
				found[f.dir+"."+fn.Name.Name] = true
			}
		}
	}
	return found
}

// called reports whether a node holds a call of on.name.
func called(n ast.Node, on, name string) bool {
	found := false
	calls(n, func(_ *ast.CallExpr, o, c string) { found = found || o == on && c == name })
	return found
}

// TestTestsNeitherSkipNorSleep takes a test for one in a bubble if its file
// imports testing/synctest or calls a helper that makes a bubble, and a helper
// for one if any test of its package does.
func TestTestsNeitherSkipNorSleep(t *testing.T) {
	r := tree(t)
	bubbles := r.bubbles()
	fake := map[string]bool{} // folders whose tests use bubbles
	for _, f := range r.files {
		fake[f.dir] = fake[f.dir] || f.test && slices.Contains(f.imports, "testing/synctest")
	}
	for _, f := range r.files {
		if !f.test || f.dir == "internal/archtest" {
			continue
		}
		bubble := slices.Contains(f.imports, "testing/synctest")
		calls(f.ast, func(_ *ast.CallExpr, on, name string) { bubble = bubble || on == "" && bubbles[f.dir+"."+name] })
		for _, d := range f.ast.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			helper := fn.Recv != nil || !testName.MatchString(fn.Name.Name)
			calls(fn, func(call *ast.CallExpr, on, name string) {
				switch {
				case on == "time" && name == "Sleep" && !bubble && !(helper && fake[f.dir]):
					t.Errorf("%s: time.Sleep outside a synctest bubble", r.line(call))
				case slices.Contains([]string{"t", "b", "f", "tb"}, on) && slices.Contains([]string{"Skip", "Skipf", "SkipNow"}, name):
					t.Errorf("%s: %s.%s hides what is not checked", r.line(call), on, name)
				}
			})
		}
	}
}

// goroutines reports whether a file starts goroutines.
func (f *file) goroutines() bool {
	found := false
	ast.Inspect(f.ast, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			found = true
		case *ast.SelectorExpr: // an errgroup, or a WaitGroup's Go
			found = found || n.Sel.Name == "Go"
		}
		return !found
	})
	return found
}

func TestPackagesWithGoroutinesCheckForLeaks(t *testing.T) {
	r := tree(t)
	checked := map[string]bool{}
	for _, f := range r.files {
		if f.test && slices.Contains(f.imports, "go.uber.org/goleak") {
			checked[f.dir] = true
		}
	}
	told := map[string]bool{}
	for _, f := range r.product() {
		if f.goroutines() && !checked[f.dir] && !told[f.dir] && f.ast.Name.Name != "main" {
			told[f.dir] = true
			t.Errorf("%s starts goroutines, and no test of %s asks goleak", f.path, f.dir)
		}
	}
}
