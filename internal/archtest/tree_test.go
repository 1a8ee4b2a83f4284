package archtest

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// module is the path of the root module.
const module = "github.com/starlingp2p/starling"

// root is the repository, as seen from this package's folder.
const root = "../.."

// file is one Go file of the repository.
type file struct {
	path      string // from the root of the repository, with slashes
	dir       string // of path; "." for the root
	nested    bool   // in a module of its own
	test      bool
	generated bool
	lines     int
	text      []byte
	ast       *ast.File
	imports   []string
}

// repo is every Go file, in order of their paths, and where they stand.
type repo struct {
	fset  *token.FileSet
	files []*file
}

// load reads the repository once for all tests.
var load = sync.OnceValues(readRepo)

func tree(t *testing.T) *repo {
	t.Helper()
	r, err := load()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func readRepo() (*repo, error) {
	r := &repo{fset: token.NewFileSet()}
	var modules []string // folders of nested modules
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		name := d.Name()
		switch {
		case d.IsDir() && rel != "." && (name == "testdata" || name == "vendor" || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_")):
			return filepath.SkipDir
		case d.IsDir():
			if _, err := os.Stat(filepath.Join(p, "go.mod")); err == nil && rel != "." {
				modules = append(modules, rel+"/")
			}
			return nil
		case !strings.HasSuffix(name, ".go"):
			return nil
		}
		f, err := readFile(r.fset, p, rel)
		if err != nil {
			return err
		}
		f.nested = slices.ContainsFunc(modules, func(m string) bool { return strings.HasPrefix(rel, m) })
		r.files = append(r.files, f)
		return nil
	})
	return r, err
}

func readFile(fset *token.FileSet, p, rel string) (*file, error) {
	text, err := os.ReadFile(p)
	if err != nil {
		return nil, err
	}
	parsed, err := parser.ParseFile(fset, rel, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	f := &file{
		path:      rel,
		dir:       path.Dir(rel),
		test:      strings.HasSuffix(rel, "_test.go"),
		generated: ast.IsGenerated(parsed),
		lines:     bytes.Count(text, []byte("\n")),
		text:      text,
		ast:       parsed,
	}
	for _, spec := range parsed.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return nil, err
		}
		f.imports = append(f.imports, imported)
	}
	return f, nil
}

// product gives the files of the root module that are not tests.
func (r *repo) product() []*file {
	return slices.DeleteFunc(slices.Clone(r.files), func(f *file) bool { return f.test || f.nested })
}

// line is where a node stands, for people.
func (r *repo) line(n ast.Node) string { return r.fset.Position(n.Pos()).String() }

// local gives the folder of an import of the root module, and whether it is one.
func local(imported string) (string, bool) {
	if imported == module {
		return ".", true
	}
	return strings.CutPrefix(imported, module+"/")
}

// standard reports whether an import is of the standard library.
func standard(imported string) bool {
	head, _, _ := strings.Cut(imported, "/")
	return !strings.Contains(head, ".")
}

// within reports whether dir is folder or below it.
func within(dir, folder string) bool {
	return dir == folder || strings.HasPrefix(dir, folder+"/")
}
