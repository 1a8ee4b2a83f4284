package steertest

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/starlingp2p/starling/interop/peers/steer"
)

// Process is a real peer that runs as a process, and tells events of type E. It
// is safe for concurrent use.
type Process[E any] struct {
	t        *testing.T
	who      string
	patience time.Duration
	cmd      *exec.Cmd
	in       io.WriteCloser
	stop     func()

	mu      sync.Mutex
	next    int
	answers map[int]chan answer
	events  []E
	changed chan struct{} // closed and replaced with each event
	done    chan struct{} // closed when its output has ended
	log     Tail
}

// answer is a steer.Answer whose result is not decoded yet.
type answer struct {
	steer.Answer
	Result json.RawMessage `json:"result"`
}

// Run starts a binary, sends it the command "start" with params and decodes
// what it says when it is ready. The process ends with the test. who names it in
// errors; patience bounds whatever it should do at once, on a busy machine.
func Run[E any](t *testing.T, who, binary string, patience time.Duration, params map[string]any, ready any) *Process[E] {
	t.Helper()
	p, err := Start[E](who, binary, patience)
	if err != nil {
		t.Fatal(err)
	}
	p.t = t
	t.Cleanup(func() {
		p.stop()
		if t.Failed() {
			t.Logf("the end of %s's log:\n%s", who, &p.log)
		}
	})
	p.Do(map[string]any{"do": "start", "params": params}, ready)
	return p
}

// Start is Run for programs that are no tests: they send "start" themselves,
// and stop the process. Do and Until, which fail a test, are not for them: Try
// and Await are. The process's environment is this one's and env.
func Start[E any](who, binary string, patience time.Duration, env ...string) (*Process[E], error) {
	p := &Process[E]{
		who: who, patience: patience, cmd: exec.Command(binary),
		answers: map[int]chan answer{}, changed: make(chan struct{}), done: make(chan struct{}),
	}
	p.cmd.Stderr = &p.log
	p.cmd.Env = append(os.Environ(), env...)
	var err error
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go p.read(out)
	p.stop = sync.OnceFunc(func() {
		p.in.Close()
		late := time.AfterFunc(10*time.Second, func() { p.cmd.Process.Kill() })
		<-p.done
		p.cmd.Wait()
		late.Stop()
	})
	return p, nil
}

// PID is the process's number.
func (p *Process[E]) PID() int { return p.cmd.Process.Pid }

// Stop ends the process before the test does.
func (p *Process[E]) Stop() { p.stop() }

func (p *Process[E]) read(out io.Reader) {
	defer close(p.done)
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var kind struct {
			Event string `json:"event"`
		}
		if json.Unmarshal(lines.Bytes(), &kind) != nil {
			continue // a library that prints
		}
		p.mu.Lock()
		if kind.Event != "" {
			var e E
			if json.Unmarshal(lines.Bytes(), &e) == nil {
				p.events = append(p.events, e)
				close(p.changed)
				p.changed = make(chan struct{})
			}
		} else {
			var a answer
			if json.Unmarshal(lines.Bytes(), &a) == nil && p.answers[a.ID] != nil {
				p.answers[a.ID] <- a
				delete(p.answers, a.ID)
			}
		}
		p.mu.Unlock()
	}
}

// Do sends a command and decodes its answer.
func (p *Process[E]) Do(cmd map[string]any, into any) {
	p.t.Helper()
	if err := p.Try(cmd, into); err != nil {
		p.t.Fatalf("%s: %v: %v", p.who, cmd["do"], err)
	}
}

// Try is Do, and gives the error.
func (p *Process[E]) Try(cmd map[string]any, into any) error {
	ch := make(chan answer, 1)
	p.mu.Lock()
	p.next++
	cmd["id"] = p.next
	p.answers[p.next] = ch
	line, err := json.Marshal(cmd)
	if err == nil {
		_, err = p.in.Write(append(line, '\n'))
	}
	p.mu.Unlock()
	if err != nil {
		return err
	}
	late := time.NewTimer(p.patience)
	defer late.Stop()
	select {
	case a := <-ch:
		if a.Error != "" {
			return errors.New(a.Error)
		}
		if into != nil {
			return json.Unmarshal(a.Result, into)
		}
		return nil
	case <-p.done:
		return fmt.Errorf("%s ended: %w", p.who, io.ErrUnexpectedEOF)
	case <-late.C:
		return context.DeadlineExceeded
	}
}

// Until waits for an event, and gives the first that is one.
func (p *Process[E]) Until(what string, is func(E) bool) E {
	p.t.Helper()
	e, err := p.Await(what, is)
	if err != nil {
		p.t.Fatal(err)
	}
	return e
}

// Await is Until, and gives the error.
func (p *Process[E]) Await(what string, is func(E) bool) (e E, err error) {
	late := time.NewTimer(p.patience)
	defer late.Stop()
	for {
		p.mu.Lock()
		i := slices.IndexFunc(p.events, is)
		if i >= 0 {
			defer p.mu.Unlock()
			return p.events[i], nil
		}
		changed := p.changed
		p.mu.Unlock()
		select {
		case <-changed:
		case <-p.done:
			return e, fmt.Errorf("%s ended before there was %s:\n%s", p.who, what, &p.log)
		case <-late.C:
			return e, fmt.Errorf("within %v %s told of no %s", p.patience, p.who, what)
		}
	}
}

// Changed is closed when the next event has come.
func (p *Process[E]) Changed() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.changed
}

// Events are those told so far.
func (p *Process[E]) Events() []E {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.events)
}
