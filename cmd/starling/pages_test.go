package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/urfave/cli/v3"
)

// TestPagesRun does what the pages tell a newcomer to do: every block of shell,
// in its order, page after page. A comment before a block says how:
//
//	<!-- prints "TEXT" -->            it must print that
//	<!-- runs until "TEXT" -->        it goes on in another terminal, and the next block waits for that
//	<!-- ..., ADDR is REGEXP -->      what it printed takes the place of the word ADDR from then on
//	<!-- not run: REASON -->          it is not run here
//	<!-- ends TEXT -->                alone: Ctrl-C for the block that holds TEXT; it must end well
func TestPagesRun(t *testing.T) {
	for _, page := range []string{"README.md", "docs/tutorial.md", "docs/put-your-chain-on-starling.md"} {
		t.Run(page, func(t *testing.T) { newReader(t).follow(page) })
	}
}

// step is a block of shell, or an instruction without one.
var step = regexp.MustCompile("(?m)(?:^<!-- (runs until|prints|not run|ends)[: ]+(.*?) -->\n+)?^```sh\n((?s:.*?))^```$|^<!-- ends (.*?) -->$")

// reader is somebody who does what a page says.
type reader struct {
	t    *testing.T
	dir  string
	root string
	addr string
	runs []*terminal
}

// terminal is a block that goes on.
type terminal struct {
	text string
	cmd  *exec.Cmd
	done chan struct{}

	mu  sync.Mutex
	out bytes.Buffer
	got chan struct{} // a token: something was printed
}

func (w *terminal) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	select {
	case w.got <- struct{}{}:
	default:
	}
	return w.out.Write(b)
}

func (w *terminal) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.out.String()
}

// end is the last of what was printed, for the log of a test.
func (w *terminal) end() string {
	text := w.String()
	return text[max(0, len(text)-2<<10):]
}

// newReader makes a folder in which the program is bin/starling, and in which
// the commands of go that build or run it give the one that is tested.
func newReader(t *testing.T) *reader {
	t.Helper()
	dir, err := os.MkdirTemp("", "page") // a short name: sockets lie below
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	program := fmt.Sprintf("#!/bin/sh\n%s=1 exec '%s' \"$@\"\n", asProgram, os.Args[0])
	real, err := exec.LookPath("go")
	if err != nil {
		t.Fatal(err)
	}
	stub := fmt.Sprintf(`#!/bin/sh
case "$*" in
"run ./cmd/starling "*) shift 2; exec '%[1]s/tools/starling' "$@" ;;
"build -o bin/starling ./cmd/starling") mkdir -p bin && exec cp '%[1]s/tools/starling' bin/starling ;;
"run "*) what=$2; shift 2; name=$(basename "$what"); (cd '%[2]s' && '%[3]s' build -o '%[1]s/tools/'"$name" "$what") && exec '%[1]s/tools/'"$name" "$@" ;;
esac
cd '%[2]s' && exec '%[3]s' "$@"
`, dir, root, real)
	for name, text := range map[string]string{"starling": program, "go": stub} {
		path := filepath.Join(dir, "tools", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return &reader{t: t, dir: dir, root: root}
}

func (r *reader) follow(page string) {
	raw, err := os.ReadFile(filepath.Join(r.root, page))
	if err != nil {
		r.t.Fatal(err)
	}
	defer r.closeAll()
	fences := strings.Count("\n"+string(raw), "\n```sh\n")
	for _, m := range step.FindAllStringSubmatch(string(raw), -1) {
		how, arg, text := m[1], m[2], m[3]
		if m[4] != "" {
			r.end(m[4])
			continue
		}
		fences--
		switch how {
		case "not run":
			r.t.Logf("not run (%s): %s", arg, strings.TrimSpace(text))
		case "runs until":
			r.leave(text, arg)
		default:
			r.run(text, arg)
		}
	}
	if fences != 0 {
		r.t.Errorf("%d blocks of shell were not found", fences)
	}
}

// shell is a command that runs a block in the reader's folder.
func (r *reader) shell(ctx context.Context, text string) *exec.Cmd {
	if r.addr != "" {
		text = regexp.MustCompile(`\bADDR\b`).ReplaceAllString(text, r.addr)
	}
	cmd := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", text)
	cmd.Dir = r.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.Env = append(os.Environ(), "PATH="+filepath.Join(r.dir, "tools")+":"+os.Getenv("PATH"), "XDG_DATA_HOME="+r.dir, "STARLING_RPC_LISTEN=127.0.0.1:0")
	return cmd
}

// run does a block to its end; variables that it sets are there in the next.
func (r *reader) run(text, want string) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), limit)
	defer cancel()
	cmd := r.shell(ctx, "set -a; if [ -f .vars ]; then . ./.vars; fi\n"+text+"\nexport -p | grep -v -e ' PATH=' -e ' XDG_' > .vars\n")
	out, err := cmd.CombinedOutput()
	if err != nil {
		r.t.Fatalf("%s\n%v:\n%s", text, err, out)
	}
	if want = strings.Trim(want, `"`); !strings.Contains(string(out), want) {
		r.t.Errorf("%s\nprinted\n%s\nand not %q", text, out, want)
	}
}

// leave starts a block that goes on, and waits for what it is to print.
func (r *reader) leave(text, arg string) {
	r.t.Helper()
	arg, found, _ := strings.Cut(arg, ", ADDR is ")
	arg = strings.Trim(arg, `"`)
	ctx, cancel := context.WithCancel(context.Background())
	w := &terminal{text: text, done: make(chan struct{}), got: make(chan struct{}, 1)}
	w.cmd = r.shell(ctx, "if [ -f .vars ]; then . ./.vars; fi\nexec "+strings.TrimSpace(text))
	w.cmd.Stdout, w.cmd.Stderr = w, w
	if err := w.cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	go func() { defer close(w.done); w.cmd.Wait() }()
	r.t.Cleanup(func() { cancel(); <-w.done })
	r.runs = append(r.runs, w)
	late := time.After(limit)
	for !strings.Contains(w.String(), arg) {
		select {
		case <-w.got:
		case <-w.done:
			r.t.Fatalf("%s\nhas ended:\n%s", text, w.end())
		case <-late:
			r.t.Fatalf("%s\ndid not print %q:\n%s", text, arg, w.end())
		}
	}
	if found != "" {
		if r.addr = regexp.MustCompile(found).FindString(w.String()); r.addr == "" {
			r.t.Fatalf("%s\nprinted nothing like %s:\n%s", text, found, w.end())
		}
	}
}

// end presses Ctrl-C where the block that holds a text runs.
func (r *reader) end(text string) {
	r.t.Helper()
	text = strings.Trim(text, `"`)
	i := slices.IndexFunc(r.runs, func(w *terminal) bool { return strings.Contains(w.text, text) })
	if i < 0 {
		r.t.Fatalf("nothing runs that holds %q", text)
	}
	w := r.runs[i]
	r.runs = slices.Delete(r.runs, i, i+1)
	r.interrupt(w)
}

func (r *reader) interrupt(w *terminal) {
	syscall.Kill(-w.cmd.Process.Pid, syscall.SIGINT)
	<-w.done
	if code := w.cmd.ProcessState.ExitCode(); code != 0 {
		r.t.Errorf("%s\nended with %d:\n%s", w.text, code, w.end())
	}
}

func (r *reader) closeAll() {
	for _, w := range slices.Backward(r.runs) {
		r.interrupt(w)
	}
}

// named finds what pages call by name: `starling VERB` with its flags.
var named = regexp.MustCompile("(?:`|^|bin/|cmd/)starling ([a-z]+(?: [a-z]+)?)((?: --[a-z-]+)*)")

// What pages call a verb or a flag is one.
func TestPagesNameVerbsThatThereAre(t *testing.T) {
	root := command(io.Discard, io.Discard)
	var pages []string
	for _, glob := range []string{"../../*.md", "../../docs/*.md"} {
		found, err := filepath.Glob(glob)
		if err != nil {
			t.Fatal(err)
		}
		pages = append(pages, found...)
	}
	if len(pages) < 5 {
		t.Fatalf("only %v were found", pages)
	}
	for _, page := range pages {
		raw, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range named.FindAllStringSubmatch(string(raw), -1) {
			words := strings.Fields(m[1])
			c := root.Command(words[0])
			if c == nil && words[0] != "completion" {
				t.Errorf("%s: there is no verb %q", page, words[0])
				continue
			}
			if c != nil && len(c.Commands) > 0 && len(words) > 1 {
				if c = c.Command(words[1]); c == nil {
					t.Errorf("%s: there is no verb %q", page, m[1])
					continue
				}
			}
			for flag := range strings.FieldsSeq(m[2]) {
				if c != nil && !slices.ContainsFunc(c.Flags, func(f cli.Flag) bool { return "--"+f.Names()[0] == flag }) {
					t.Errorf("%s: %s has no flag %s", page, m[1], flag)
				}
			}
		}
	}
}
