package steertest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// Binaries are the real peers' programs, each built once in a run of the tests.
// They lie in a folder that Main makes and removes.
type Binaries struct {
	dir string

	mu    sync.Mutex
	built map[string]error
}

// Main runs the tests; it is for TestMain.
func (b *Binaries) Main(m *testing.M) {
	dir, err := os.MkdirTemp("", "peers")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	b.dir, b.built = dir, map[string]error{}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// Dir is the folder that they lie in.
func (b *Binaries) Dir() string { return b.dir }

// Get gives the path of a program, after building it with flags if nobody has:
// that of interop/peers/NAME, for tests in a folder of interop.
func (b *Binaries) Get(t *testing.T, name string, flags ...string) string {
	t.Helper()
	return b.build(t, name, filepath.Join("..", "peers", name), ".", flags...)
}

// Program gives the path of starling's program, built once in a run: for tests
// in a folder of interop.
func (b *Binaries) Program(t *testing.T) string {
	t.Helper()
	return b.build(t, "starling", filepath.Join("..", ".."), "./cmd/starling")
}

// build builds a package of the module in dir, once.
func (b *Binaries) build(t *testing.T, name, dir, pkg string, flags ...string) string {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	path := filepath.Join(b.dir, name)
	err, ok := b.built[name]
	if !ok {
		cmd := exec.Command("go", append(append([]string{"build"}, flags...), "-o", path, pkg)...)
		cmd.Dir = dir
		out, berr := cmd.CombinedOutput()
		if err = berr; err != nil {
			err = fmt.Errorf("build of %s: %w\n%s", name, err, out)
		}
		b.built[name] = err
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}
