package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"time"

	"github.com/starlingp2p/starling/bench/internal/raw"
	"github.com/starlingp2p/starling/chain"
)

// roleVar names the environment variable that makes a process one end of a
// measurement: it holds a job.
const roleVar = "STARLING_BENCH_JOB"

// The roles.
const (
	roleServe    = "serve"
	roleSync     = "sync"
	roleServeRaw = "serve-raw"
	roleSyncRaw  = "sync-raw"
	roleHostile  = "hostile"
)

// job is what one process has to do.
type job struct {
	Role    string
	Dir     string // of the ledger, or of the database that a baseline fills
	Addr    string `json:",omitempty"` // of the server
	Head    chain.Ref
	Bytes   int
	Budgets bool   `json:",omitempty"`
	Ahead   bool   `json:",omitempty"` // a baseline receives while it commits
	Imports []int  `json:",omitempty"` // blocks of each synced commit of the ledger
	Profile string `json:",omitempty"` // where profiles go, without their endings
}

// result is what a syncing process found.
type result struct {
	Seconds         float64
	Imports         []int   // blocks (or, of a baseline, bytes so far) at each synced commit
	Headers, Bodies int     // verified
	Storing         float64 // seconds inside Import, or inside the baseline's commits
	CPU             float64
}

// reply is the one line that a process writes.
type reply struct {
	Addr   string  `json:",omitempty"`
	Result *result `json:",omitempty"`
	Err    string  `json:",omitempty"`
}

// work is the main of a process with a role; it ends when its standard input
// does, so that no process outlives the parent.
func work(text string) error {
	var j job
	if err := json.Unmarshal([]byte(text), &j); err != nil {
		return fmt.Errorf("bench: job: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	finish, err := profile(j.Profile)
	if err != nil {
		return err
	}
	out := json.NewEncoder(os.Stdout)
	ready := func(addr string) { out.Encode(reply{Addr: addr}) }
	var r result
	switch j.Role {
	case roleServe:
		err = serveNode(ctx, j, ready)
	case roleServeRaw:
		err = raw.Serve(ctx, raw.Database(j.Dir), ready)
	case roleHostile:
		err = hostile(ctx, j.Addr, func() { ready("") })
	case roleSync:
		r, err = syncNode(ctx, j)
	case roleSyncRaw:
		var got raw.Result
		got, err = raw.Sync(ctx, raw.Job{Dir: j.Dir, Addr: j.Addr, Bytes: j.Bytes, Imports: j.Imports, Ahead: j.Ahead})
		r.Seconds, r.Storing, r.Imports = got.Seconds, got.Storing, got.Synced
	default:
		err = fmt.Errorf("bench: no role %q", j.Role)
	}
	err = errors.Join(err, finish())
	if err != nil {
		out.Encode(reply{Err: err.Error()})
		return err
	}
	return out.Encode(reply{Result: &r})
}

// profile starts profiles and gives what ends them.
func profile(prefix string) (finish func() error, err error) {
	if prefix == "" {
		return func() error { return nil }, nil
	}
	runtime.SetBlockProfileRate(10_000)
	runtime.SetMutexProfileFraction(10)
	cpu, err := os.Create(prefix + ".cpu")
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(cpu); err != nil {
		return nil, errors.Join(err, cpu.Close())
	}
	return func() error {
		pprof.StopCPUProfile()
		errs := []error{cpu.Close()}
		for _, name := range []string{"allocs", "block", "mutex"} {
			f, err := os.Create(prefix + "." + name)
			if err == nil {
				err = errors.Join(pprof.Lookup(name).WriteTo(f, 0), f.Close())
			}
			errs = append(errs, err)
		}
		return errors.Join(errs...)
	}, nil
}

// process is a running child.
type process struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	lines *bufio.Scanner
}

// spawn starts this program again with a job.
func spawn(ctx context.Context, j job) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(j)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = append(os.Environ(), roleVar+"="+string(text))
	cmd.Stderr = os.Stderr
	cmd.WaitDelay = 5 * time.Second
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(stdout)
	lines.Buffer(nil, 1<<20)
	return &process{cmd: cmd, stdin: stdin, lines: lines}, cmd.Start()
}

// next blocks for the child's next line.
func (p *process) next() (reply, error) {
	if !p.lines.Scan() {
		return reply{}, errors.Join(errors.New("bench: a process ended without a word"), p.lines.Err())
	}
	var r reply
	if err := json.Unmarshal(p.lines.Bytes(), &r); err != nil {
		return r, err
	}
	if r.Err != "" {
		return r, errors.New(r.Err)
	}
	return r, nil
}

// end lets the child end, and gives the CPU time that it took, in seconds.
func (p *process) end() (cpu float64, err error) {
	p.stdin.Close()
	for p.lines.Scan() {
	}
	err = p.cmd.Wait()
	if s := p.cmd.ProcessState; s != nil {
		cpu = (s.UserTime() + s.SystemTime()).Seconds()
	}
	return cpu, err
}

// pair runs one server and one client.
// Profiles go to the directory prof, unless it is empty.
func pair(ctx context.Context, serve, sync job, prof string) (r result, serveCPU float64, err error) {
	if prof != "" {
		serve.Profile, sync.Profile = filepath.Join(prof, serve.Role), filepath.Join(prof, sync.Role)
	}
	s, err := spawn(ctx, serve)
	if err != nil {
		return r, 0, err
	}
	defer func() {
		var serr error
		serveCPU, serr = s.end()
		err = errors.Join(err, serr)
	}()
	up, err := s.next()
	if err != nil {
		return r, 0, err
	}
	sync.Addr = up.Addr
	c, err := spawn(ctx, sync)
	if err != nil {
		return r, 0, err
	}
	got, err := c.next()
	cpu, werr := c.end()
	if err = errors.Join(err, werr); err != nil {
		return r, 0, err
	}
	if got.Result == nil {
		return r, 0, errors.New("bench: a process gave no result")
	}
	r = *got.Result
	r.CPU = cpu
	return r, 0, nil
}
