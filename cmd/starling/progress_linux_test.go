package main

import (
	"context"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// screen is a program in a terminal, and all that it wrote there.
type screen struct {
	t      *testing.T
	master *os.File
	cmd    *exec.Cmd
	done   chan struct{} // closed when it has ended and all is read

	mu   sync.Mutex
	text strings.Builder
	more chan struct{} // closed and replaced at each change
}

// onScreen starts a command line in the foreground of a terminal of its own.
// What it prints goes to out, nil: to the terminal too.
func onScreen(t *testing.T, env []string, columns uint16, out *os.File, args ...string) (s *screen, ok bool) {
	t.Helper()
	master, slave, ok := newTerminal(t)
	if !ok {
		return nil, false
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	s = &screen{t: t, master: master, done: make(chan struct{}), more: make(chan struct{})}
	s.resize(columns)
	s.cmd = exec.CommandContext(ctx, os.Args[0], args...)
	s.cmd.Env = append(append(os.Environ(), asProgram+"=1", "TERM=xterm"), env...)
	s.cmd.Stdin, s.cmd.Stdout, s.cmd.Stderr = slave, slave, slave
	if out != nil {
		s.cmd.Stdout = out
	}
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	err := s.cmd.Start()
	slave.Close()
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(s.done)
		io.Copy(s, master) // ends with an error when the last writer is gone
		s.cmd.Wait()
	}()
	t.Cleanup(func() { cancel(); <-s.done })
	return s, true
}

func (s *screen) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.more)
	s.more = make(chan struct{})
	return s.text.Write(b)
}

// seen is all that was written so far, and a channel that is closed at the next.
func (s *screen) seen() (string, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String(), s.more
}

func (s *screen) resize(columns uint16) {
	if err := unix.IoctlSetWinsize(int(s.master.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: columns}); err != nil {
		s.t.Fatal(err)
	}
}

// until waits for what is written from an offset on to match, n times.
func (s *screen) until(from int, want string, n int) string {
	s.t.Helper()
	re, deadline := regexp.MustCompile(want), time.After(limit)
	for {
		text, more := s.seen()
		if len(re.FindAllString(text[from:], n)) == n {
			return text
		}
		select {
		case <-more:
		case <-s.done:
			s.t.Fatalf("it ended before it showed %d times %s: %q", n, want, text)
		case <-deadline:
			s.t.Fatalf("it does not show %d times %s: %q", n, want, text)
		}
	}
}

// narrow is a way to a node that takes so many bytes a second from it, and no more.
func narrow(t *testing.T, to string, rate *atomic.Int64) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	t.Cleanup(func() { cancel(); l.Close(); wg.Wait() })
	wg.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", to)
			if err != nil {
				in.Close()
				continue
			}
			shut := context.AfterFunc(ctx, func() { in.Close(); out.Close() })
			wg.Go(func() { io.Copy(out, in); out.Close() })
			wg.Go(func() {
				defer func() { shut(); in.Close(); out.Close() }()
				tick := time.NewTicker(time.Second / 20)
				defer tick.Stop()
				for {
					if _, err := io.CopyN(in, out, rate.Load()/20); err != nil {
						return
					}
					select {
					case <-tick.C:
					case <-ctx.Done():
						return
					}
				}
			})
		}
	})
	return l.Addr().String()
}

// TestAFirstSyncIsSeenOnATerminal lets a node sync through a narrow way, as a
// person sees it.
func TestAFirstSyncIsSeenOnATerminal(t *testing.T) {
	one, two := newDatadir(t), filepath.Join(t.TempDir(), "two")
	rewrite(t, configOf(one), func(s string) string { return strings.Replace(s, `"50ms"`, `"5ms"`, 1) })
	maker := launch(t, []string{"STARLING_RPC_LISTEN=127.0.0.1:0"}, "run", "--config", configOf(one), "--json")
	maker.head(900)
	maker.stop()
	// It makes no more, so that nothing but the sync goes through the narrow way.
	rewrite(t, configOf(one), func(s string) string { return regexp.MustCompile("produce_key.*").ReplaceAllString(s, "") })
	a := launch(t, []string{"STARLING_RPC_LISTEN=127.0.0.1:0"}, "run", "--config", configOf(one), "--json")
	a.expect(`"event":"ready"`)
	place := regexp.MustCompile(`/ip4/127\.0\.0\.1/tcp/(\d+)(/p2p/\w+)`).FindStringSubmatch(said(t, "id", "--datadir", one))
	if len(place) == 0 {
		t.Fatal("the node has no address")
	}
	var rate atomic.Int64
	rate.Store(16 << 10)
	_, port, _ := net.SplitHostPort(narrow(t, "127.0.0.1:"+place[1], &rate))
	said(t, "init", "--datadir", two, "--join", configOf(one), "--seed", "/ip4/127.0.0.1/tcp/"+port+place[2])

	const columns, few = 100, 40
	s, ok := onScreen(t, []string{"NO_COLOR=1", "STARLING_RPC_LISTEN=127.0.0.1:0"}, columns, nil, "run", "--config", configOf(two))
	if !ok {
		return
	}
	// It is told on one line that is written over, with the pace and what is left.
	const line = "\r\x1b\\[Ksyncing  block \\d+ of \\d+ \\([0-9.]+ %\\)[^\r\n]*"
	text := s.until(0, line+`, \d+ blocks/s, [0-9hms]+ left`, 2)
	rate.Store(0) // it must not end meanwhile
	s.resize(few)
	from := len(text)
	text = s.until(from, line, 1)
	// The first of them may have been made for the window as it was.
	for i, shown := range regexp.MustCompile(line).FindAllString(text, -1) {
		at := strings.Index(text, shown)
		if n := len(shown) - len("\r\x1b[K"); n >= columns || at > from+columns && n >= few {
			t.Errorf("line %d takes %d columns: %q", i, n, shown)
		}
	}
	if strings.Contains(text, "\x1b[") && regexp.MustCompile("\x1b\\[[0-9;]*m").MatchString(text) {
		t.Errorf("with NO_COLOR it is coloured: %q", text)
	}
	if !strings.Contains(text, "Ready. Try") {
		t.Errorf("no word of how to go on: %q", text)
	}

	// Ctrl-C once lets it stop by itself; the line goes, and the words stay.
	rate.Store(1 << 20)
	if _, err := s.master.Write([]byte{3}); err != nil {
		t.Fatal(err)
	}
	select {
	case <-s.done:
	case <-time.After(limit):
		t.Fatal("it does not stop")
	}
	text, _ = s.seen()
	_, rest, told := strings.Cut(text, "starling: stopping: ")
	if code := s.cmd.ProcessState.ExitCode(); code != exitOK || !told {
		t.Errorf("exit code %d after %q", code, text)
	}
	before, _, _ := strings.Cut(text, "starling: stopping: ")
	if !strings.HasSuffix(before, "\r\x1b[K") && !strings.HasSuffix(before, "\n") && !strings.HasSuffix(before, "^C") {
		t.Errorf("what it says last stands behind %q", before[max(0, len(before)-40):])
	}
	if at := strings.LastIndex(rest, "syncing"); at >= 0 && !strings.Contains(rest[at:], "\r\x1b[K") {
		t.Errorf("the line of progress stays: %q", rest)
	}
	a.stop()
}
