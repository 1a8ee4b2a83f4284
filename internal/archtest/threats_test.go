package archtest

import (
	"flag"
	"go/ast"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the tests column of docs/threats.md")

// threat is a row of docs/threats.md: | M-01 | case | tests |
var threat = regexp.MustCompile(`^\| ([A-Z]-[0-9]{2}) \|(.*)\|(.*)\|$`)

// threatID is how a test names a row.
var threatID = regexp.MustCompile(`\b[A-Z]-[0-9]{2}\b`)

// testName tells what go test runs.
var testName = regexp.MustCompile(`^(Test|Fuzz|Benchmark)([^a-z]|$)`)

// testsByThreat gives the tests that name a row, in their comment or their
// body, as "folder.TestName" in order; those of the root folder as "starling".
func testsByThreat(r *repo) map[string][]string {
	rows := map[string][]string{}
	for _, f := range r.files {
		if !f.test || f.dir == "internal/archtest" {
			continue
		}
		dir := f.dir
		if dir == "." {
			dir = "starling"
		}
		for _, d := range f.ast.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Recv != nil || !testName.MatchString(fn.Name.Name) {
				continue
			}
			from := fn.Pos()
			if fn.Doc != nil {
				from = fn.Doc.Pos()
			}
			text := f.text[r.fset.Position(from).Offset:r.fset.Position(fn.End()).Offset]
			for _, id := range threatID.FindAllString(string(text), -1) {
				if name := "`" + dir + "." + fn.Name.Name + "`"; !slices.Contains(rows[id], name) {
					rows[id] = append(rows[id], name)
				}
			}
		}
	}
	for _, tests := range rows {
		slices.Sort(tests)
	}
	return rows
}

func TestThreatsNameTheirTests(t *testing.T) {
	tests := testsByThreat(tree(t))
	file := filepath.Join(root, "docs", "threats.md")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(text), "\n")
	seen, stale := map[string]bool{}, false
	for i, line := range lines {
		m := threat.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		id := m[1]
		if seen[id] {
			t.Errorf("docs/threats.md:%d: %s is there twice", i+1, id)
		}
		seen[id] = true
		want := strings.Join(tests[id], ", ")
		if got := strings.TrimSpace(m[3]); got != want {
			stale = true
			if !*update {
				t.Errorf("docs/threats.md:%d: %s names %q, the tests that name it are %q", i+1, id, got, want)
			}
		}
		if want != "" {
			want += " "
		}
		lines[i] = "| " + id + " |" + m[2] + "| " + want + "|"
	}
	if len(seen) < 100 {
		t.Errorf("docs/threats.md has %d rows; the catalogue has more", len(seen))
	}
	for id, names := range tests {
		if !seen[id] {
			t.Errorf("%v name the row %s, which docs/threats.md has not", names, id)
		}
	}
	switch {
	case stale && *update:
		if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")), 0o644); err != nil {
			t.Error(err)
		}
	case stale:
		t.Error("write the column anew: go test ./internal/archtest -update")
	}
}
