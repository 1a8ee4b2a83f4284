package daemon

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"
)

// How progress of a sync is told.
const (
	progressEvery   = 10 * time.Second // between two lines where nobody watches
	progressLook    = time.Second      // between two looks, and two updates on a terminal
	progressLeast   = 32               // blocks to go; fewer are not worth a line
	progressSamples = 15               // looks that the rate is taken over
)

// progress makes the line that tells how a sync goes. It is fed with looks at
// the node, and has no clock of its own.
type progress struct {
	looks []look
}

type look struct {
	at   time.Time
	head uint64
	done uint64 // with what is staged
}

// step takes a look and gives the line; empty while there is nothing to tell.
// staged blocks were fetched backwards from the target: they are on disk, and
// imported once the last of them came.
func (p *progress) step(now time.Time, head, target, staged uint64) string {
	if target < head+progressLeast {
		p.looks = nil
		return ""
	}
	staged = min(staged, target-head)
	done := head + staged
	p.looks = append(p.looks, look{now, head, done})
	if len(p.looks) > progressSamples {
		p.looks = p.looks[1:]
	}
	line := fmt.Sprintf("syncing  block %d of %d (%.1f %%)", head, target, 100*float64(head)/float64(target))
	if staged > 0 {
		line += fmt.Sprintf(", %d fetched (%.1f %%)", staged, 100*float64(done)/float64(target))
	}
	first := p.looks[0]
	took := now.Sub(first.at)
	if took <= 0 || done <= first.done && head > first.head {
		return line // what was fetched is being imported
	}
	if done <= first.done {
		return line + ", no block for " + took.Round(time.Second).String() + "; \"starling why\" says more"
	}
	rate := float64(done-first.done) / took.Seconds()
	left := time.Duration(float64(target-done) / rate * float64(time.Second))
	return fmt.Sprintf("%s, %.0f blocks/s, %s left", line, rate, min(left, 999*time.Hour).Round(time.Second))
}

// statusLine is a line at the bottom of a terminal that is written over, with
// the log above it. It is safe for concurrent use.
type statusLine struct {
	mu    sync.Mutex
	out   io.Writer
	shown string
}

// Write implements io.Writer for what stands above the line.
func (s *statusLine) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shown == "" {
		return s.out.Write(b)
	}
	io.WriteString(s.out, "\r\x1b[K")
	n, err := s.out.Write(b)
	io.WriteString(s.out, s.shown)
	return n, err
}

// set changes the line; empty takes it away.
func (s *statusLine) set(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if text != s.shown {
		io.WriteString(s.out, "\r\x1b[K"+text)
		s.shown = text
	}
}

// tellProgress tells of a sync until ctx ends: on one line of a terminal, or
// with a line now and then. at gives the head, the target and what is staged.
func tellProgress(ctx context.Context, out io.Writer, at func() (head, target, staged uint64)) {
	line, terminal := out.(*statusLine)
	if terminal {
		defer line.set("")
	}
	tick := time.NewTicker(progressLook)
	defer tick.Stop()
	var p progress
	told := time.Now()
	for {
		select {
		case now := <-tick.C:
			head, target, staged := at()
			text := p.step(now, head, target, staged)
			switch {
			case terminal:
				line.set(text)
			case text != "" && now.Sub(told) >= progressEvery:
				told = now
				fmt.Fprintln(out, text)
			}
		case <-ctx.Done():
			return
		}
	}
}

// syncAt is where the sync stands.
func (n *Node) syncAt() (head, target, staged uint64) {
	st := n.node.Client().Status()
	return st.Chain.Head.Number, st.Sync.Target, uint64(st.Sync.Staged)
}
