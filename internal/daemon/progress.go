package daemon

import (
	"context"
	"fmt"
	"io"
	"strings"
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
	width func() int // of the window in columns; nil, or 0: not known
	shown string
}

// Write implements io.Writer for what stands above the line.
func (s *statusLine) Write(b []byte) (int, error) { return s.above(s.out, b) }

// above writes to w, which shows on the same terminal, above the line.
func (s *statusLine) above(w io.Writer, b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shown == "" {
		return w.Write(b)
	}
	io.WriteString(s.out, "\r\x1b[K")
	n, err := w.Write(b)
	io.WriteString(s.out, s.shown)
	return n, err
}

// aboveLine is another writer to the terminal of a statusLine.
type aboveLine struct {
	line *statusLine
	out  io.Writer
}

func (a *aboveLine) Write(b []byte) (int, error) { return a.line.above(a.out, b) }

// set changes the line; empty takes it away.
func (s *statusLine) set(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.width != nil {
		text = fit(text, s.width())
	}
	if text != s.shown {
		io.WriteString(s.out, "\r\x1b[K"+text)
		s.shown = text
	}
}

// fit makes a line fit a window: one that wraps cannot be written over. What
// stands between the first and the last part of it is left out first. The last
// column stays free, since terminals differ in what they do once it is taken.
func fit(text string, width int) string {
	if width <= 0 || len(text) < width {
		return text
	}
	parts := strings.Split(text, ", ")
	for len(parts) > 1 {
		parts = append(parts[:1], parts[2:]...)
		if text = strings.Join(parts, ", "); len(text) < width {
			return text
		}
	}
	const more = "..."
	return text[:max(0, width-1-len(more))] + more[:min(len(more), width-1)]
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
