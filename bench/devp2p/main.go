package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"time"

	"github.com/starlingp2p/starling/bench/internal/report"
	"github.com/starlingp2p/starling/interop/peers/steer"
)

// roleVar names the environment variable that makes a process a part of a
// measurement: a node of ours, or a crowd of greedy clients.
const roleVar = "STARLING_BENCH_DEVP2P"

var roles = map[string]steer.Start{"node": startNode, "crowd": startCrowd}

// begin is the line of the document that the report follows.
const begin = "<!-- make bench: devp2p -->\n"

// options are what is measured.
type options struct {
	rounds int
	blocks uint64 // of the chain
	txs    int    // of each block
	ask    int    // milliseconds of each measurement of serving
	dir    string // for all that is built and stored
	tell   io.Writer
	status []byte // what clients tell of themselves
}

// parts are the measurements, in the order of the report.
var parts = []struct {
	name string
	run  func(options) (string, error)
}{{"sync", syncs}, {"sessions", sessions}, {"serving", serving}, {"relay", relays}}

func main() {
	if start := roles[os.Getenv(roleVar)]; start != nil {
		steer.Main(start)
		return
	}
	o := options{txs: 20, ask: 1500, tell: os.Stdout}
	flag.IntVar(&o.rounds, "rounds", 5, "how often each is measured, in turn")
	flag.Uint64Var(&o.blocks, "blocks", 2000, "blocks of the chain, of 20 transfers each")
	only := flag.String("only", "", "one part: sync, sessions, serving or relay")
	into := flag.String("write", "", "a document to write the report into")
	flag.Parse()
	if o.rounds < 1 || o.blocks < 200 || flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	text, err := measure(o, *only)
	if err == nil {
		fmt.Print("\n", text)
		if *into != "" {
			err = report.Write(*into, begin, text)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// measure runs one part, or all, in a folder of its own.
func measure(o options, only string) (text string, err error) {
	if o.dir, err = os.MkdirTemp("", "starling-bench-"); err != nil {
		return "", err
	}
	defer os.RemoveAll(o.dir)
	cmd := exec.Command("go", "build", "-o", o.geth(), ".")
	cmd.Dir = filepath.Join(root(), "interop", "peers", "geth-1.17.10")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("bench: build of geth: %w\n%s", err, out)
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%d rounds, on %s: %d cores for all processes, %s %s/%s.\n",
		o.rounds, time.Now().UTC().Format("2006-01-02"), runtime.NumCPU(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	for _, p := range parts {
		if only != "" && only != p.name {
			continue
		}
		text, err := p.run(o)
		if err != nil {
			return "", fmt.Errorf("bench: %s: %w", p.name, err)
		}
		b.WriteString("\n" + text)
	}
	return b.String(), nil
}

// root is the folder of the repository: benchmarks run in that of their module,
// and tests in that of their package.
func root() string {
	if _, err := os.Stat("../Makefile"); err == nil {
		return ".."
	}
	return filepath.Join("..", "..")
}

// geth is where its program is built.
func (o options) geth() string { return filepath.Join(o.dir, "geth") }
