package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/starlingp2p/starling/internal/daemon"
	"github.com/starlingp2p/starling/internal/rpc"
)

// TestScripts runs the sessions in testdata/script: every verb, as text and as
// JSON, against a live node and against none.
func TestScripts(t *testing.T) {
	testscript.Run(t, scripts(t, filepath.Join("testdata", "script")))
}

// scripts are what sessions can use beside the commands of testscript.
//
//	starling ARG...       runs a command line; its exit code must be 0, with ! another
//	code N                the exit code of the last one was N
//	says WORD...          the last one wrote one line to its standard error, with each of the words
//	document              the last one printed one JSON document with a version
//	let NAME REGEXP       keeps what the group found in the last standard output
//	launch NAME ARG...    starts a command line, and waits until it says that it is ready
//	hup NAME              sends it SIGHUP
//	stop NAME             ends it as an operator does; it must end well
//	logged NAME REGEXP    waits until it has written that to its standard error
//	reach DIR KIND N      waits until a node's head, or number of peers, is at least N
//	watch N ARG...        runs a command line until it has printed N lines, and ends it
func scripts(t *testing.T, dir string) testscript.Params {
	s := &sessions{t: t, codes: map[*testscript.TestScript]int{}, running: map[string]*program{}}
	return testscript.Params{
		Dir: dir,
		Setup: func(e *testscript.Env) error {
			e.Setenv(asProgram, "1")
			e.Setenv("HOME", e.WorkDir)
			files, err := filepath.Abs("testdata")
			if err != nil {
				return err
			}
			e.Setenv("TESTDATA", files)
			e.Setenv("XDG_DATA_HOME", e.WorkDir)
			e.Setenv("STARLING_RPC_LISTEN", "127.0.0.1:0") // a port in the file may be gone by now
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"starling": s.starling, "code": s.code, "says": s.says, "document": s.document, "let": s.let, "launch": s.launch,
			"hup": s.hup, "stop": s.stop, "logged": s.logged, "reach": s.reach, "watch": s.watch,
		},
	}
}

// sessions is what runs in scripts.
type sessions struct {
	t *testing.T

	mu      sync.Mutex
	codes   map[*testscript.TestScript]int
	running map[string]*program
}

func (s *sessions) starling(ts *testscript.TestScript, neg bool, args []string) {
	err := ts.Exec(os.Args[0], args...)
	code := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		code = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("starling %v: %v", args, err)
	}
	s.mu.Lock()
	s.codes[ts] = code
	s.mu.Unlock()
	if neg != (code != 0) {
		ts.Fatalf("starling %v: exit code %d", args, code)
	}
}

func (s *sessions) code(ts *testscript.TestScript, _ bool, args []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if want := args[0]; strconv.Itoa(s.codes[ts]) != want {
		ts.Fatalf("the exit code was %d, want %s", s.codes[ts], want)
	}
}

func (s *sessions) says(ts *testscript.TestScript, _ bool, args []string) {
	line := strings.TrimSuffix(ts.ReadFile("stderr"), "\n")
	if line == "" || strings.Contains(line, "\n") {
		ts.Fatalf("%q is not exactly one line", line)
	}
	for _, w := range args {
		if !strings.Contains(line, w) {
			ts.Fatalf("%q does not say %q", line, w)
		}
	}
}

func (s *sessions) document(ts *testscript.TestScript, _ bool, _ []string) {
	text := ts.ReadFile("stdout")
	dec := json.NewDecoder(strings.NewReader(text))
	var v struct{ V int }
	if err := dec.Decode(&v); err != nil || v.V != 1 || dec.More() {
		ts.Fatalf("%q is not one document of version 1: %v", text, err)
	}
}

func (s *sessions) let(ts *testscript.TestScript, _ bool, args []string) {
	m := regexp.MustCompile(args[1]).FindStringSubmatch(ts.ReadFile("stdout"))
	if len(m) != 2 {
		ts.Fatalf("nothing fits %s", args[1])
	}
	ts.Setenv(args[0], m[1])
}

// begin starts a command line in the script's environment.
func (s *sessions) begin(ts *testscript.TestScript, args []string) *program {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	p := &program{t: s.t, lines: make(chan string, 4096), done: make(chan struct{})}
	p.cmd = exec.CommandContext(ctx, os.Args[0], args...)
	p.cmd.Dir = ts.MkAbs(".")
	for _, name := range []string{asProgram, "HOME", "XDG_DATA_HOME", "STARLING_RPC_LISTEN", "STARLING_NETWORK_NO_DISCOVERY", "PATH", "TMPDIR", "GOCOVERDIR"} {
		p.cmd.Env = append(p.cmd.Env, name+"="+ts.Getenv(name))
	}
	p.cmd.Stderr = p
	out, err := p.cmd.StdoutPipe()
	ts.Check(err)
	ts.Check(p.cmd.Start())
	go func() {
		defer close(p.done)
		lines := bufio.NewScanner(out)
		for lines.Buffer(nil, 1<<20); lines.Scan(); {
			select {
			case p.lines <- lines.Text():
			default: // nobody reads so many
			}
		}
		close(p.lines)
		io.Copy(io.Discard, out)
		p.cmd.Wait()
	}()
	ts.Defer(func() { cancel(); <-p.done })
	return p
}

// line waits for the next line that holds want; empty: for any.
func (s *sessions) line(ts *testscript.TestScript, p *program, want string) string {
	deadline := time.After(limit)
	for {
		select {
		case line, ok := <-p.lines:
			if !ok {
				ts.Fatalf("it ended before it printed %q; it said %s", want, p.errors())
			}
			if strings.Contains(line, want) {
				return line
			}
		case <-deadline:
			ts.Fatalf("it did not print %q; it said %s", want, p.errors())
		}
	}
}

func (s *sessions) launch(ts *testscript.TestScript, _ bool, args []string) {
	p := s.begin(ts, args[1:])
	s.mu.Lock()
	s.running[ts.MkAbs(".")+args[0]] = p
	s.mu.Unlock()
	for !strings.Contains(strings.ToLower(s.line(ts, p, "")), "ready") {
		continue
	}
}

func (s *sessions) named(ts *testscript.TestScript, name string) *program {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.running[ts.MkAbs(".")+name]
	if p == nil {
		ts.Fatalf("nothing was launched as %q", name)
	}
	return p
}

func (s *sessions) hup(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(s.named(ts, args[0]).cmd.Process.Signal(syscall.SIGHUP))
}

func (s *sessions) stop(ts *testscript.TestScript, _ bool, args []string) {
	p := s.named(ts, args[0])
	ts.Check(p.cmd.Process.Signal(os.Interrupt))
	<-p.done
	if code := p.cmd.ProcessState.ExitCode(); code != exitOK {
		ts.Fatalf("exit code %d; it said %s", code, p.errors())
	}
}

func (s *sessions) logged(ts *testscript.TestScript, _ bool, args []string) {
	p, want := s.named(ts, args[0]), regexp.MustCompile(args[1])
	s.until(ts, "the log line "+args[1], func(context.Context) bool { return want.MatchString(p.errors()) })
}

// until looks again and again, and gives up at the limit.
func (s *sessions) until(ts *testscript.TestScript, what string, is func(context.Context) bool) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !is(ctx) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			ts.Fatalf("%s did not come", what)
		}
	}
}

func (s *sessions) reach(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.ParseUint(args[2], 10, 64)
	ts.Check(err)
	s.until(ts, strings.Join(args, " "), func(ctx context.Context) bool {
		c, err := rpc.Dial(ctx, daemon.SocketPath(ts.MkAbs(args[0])))
		if err != nil {
			return false
		}
		defer c.Close()
		var st daemon.StatusReply
		if err := c.Call(ctx, "starling_status", &st); err != nil {
			return false
		}
		return map[string]uint64{"head": st.Head.Number, "peers": uint64(st.Peers)}[args[1]] >= want
	})
}

func (s *sessions) watch(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	p := s.begin(ts, args[1:])
	asJSON := strings.Contains(strings.Join(args, " "), "--json")
	for range n {
		line := s.line(ts, p, "")
		var v struct{ V int }
		if asJSON && (json.Unmarshal([]byte(line), &v) != nil || v.V != 1) {
			ts.Fatalf("%q is no line of JSON with a version", line)
		}
	}
	ts.Check(p.cmd.Process.Signal(os.Interrupt))
	<-p.done
	if code := p.cmd.ProcessState.ExitCode(); code != exitOK || p.errors() != "" {
		ts.Fatalf("exit code %d; it said %q", code, p.errors())
	}
}
