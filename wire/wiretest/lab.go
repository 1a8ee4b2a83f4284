package wiretest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

const (
	network = "wiretest"
	// soon is how long anything may take that should happen at once.
	soon = 10 * time.Second
	// stopWithin is what a wire has to stop.
	stopWithin = 5 * time.Second
)

var (
	genesis      = chain.Hash{0xaa, 1, 2, 3, 4, 5, 6, 7, 8}
	otherGenesis = chain.Hash{0xbb, 1, 2, 3, 4, 5, 6, 7, 8}
)

// lab is what one check works with.
type lab struct {
	world World
	ctx   context.Context
	nodes []*node
	wg    sync.WaitGroup
}

// goes starts a goroutine that the check waits for at its end.
func (l *lab) goes(f func()) { l.wg.Go(f) }

// settle waits for what goes started, but not for ever: a wire that is broken
// may never return.
func (l *lab) settle() {
	done := make(chan struct{})
	go func() { l.wg.Wait(); close(done) }()
	late := time.NewTimer(2 * time.Minute)
	defer late.Stop()
	select {
	case <-done:
	case <-late.C:
	}
}

// node is a wire that runs.
type node struct {
	wire   wire.Wire
	host   *Host
	cancel context.CancelFunc
	done   chan error // closed behind its one value
	ended  bool
}

// start runs a wire of that number and waits until it listens.
func (l *lab) start(number uint64, h *Host) (*node, error) {
	return l.startAs(Options{Number: number, Genesis: genesis, Network: network, Topics: []string{"chat"}}, h)
}

func (l *lab) startAs(o Options, h *Host) (*node, error) {
	w, err := l.world.New(o)
	if err != nil {
		return nil, fmt.Errorf("New: %w", err)
	}
	if h == nil {
		h = &Host{}
	}
	n := &node{wire: w, host: h, done: make(chan error, 1)}
	var ctx context.Context
	ctx, n.cancel = context.WithCancel(context.Background())
	go func() { n.done <- w.Run(ctx, h); close(n.done) }()
	l.nodes = append(l.nodes, n)
	if r, ok := w.(wire.Readier); ok {
		select {
		case <-r.Ready():
		case err := <-n.done:
			n.ended = true
			return nil, fmt.Errorf("Run ended with %v before it was ready", err)
		case <-l.ctx.Done():
			return nil, errors.New("Ready was not closed")
		}
	}
	return n, nil
}

// pair runs two wires, one of which has dialled the other.
func (l *lab) pair(ha, hb *Host) (a, b *node, err error) {
	if a, err = l.start(1, ha); err != nil {
		return nil, nil, err
	}
	if b, err = l.start(2, hb); err != nil {
		return nil, nil, err
	}
	return a, b, l.join(a, b)
}

// join dials and waits until both hosts have the session.
func (l *lab) join(a, b *node) error {
	addr, err := b.addr()
	if err != nil {
		return err
	}
	if err := a.wire.Dial(l.ctx, addr); err != nil {
		return fmt.Errorf("Dial: %w", err)
	}
	return l.until("a session on both sides", func() bool {
		return len(a.host.Sessions()) > 0 && len(b.host.Sessions()) > 0
	}, a, b)
}

// until waits for a condition that something recorded by one of the nodes
// brings about.
func (l *lab) until(what string, cond func() bool, nodes ...*node) error {
	ctx, cancel := context.WithTimeout(l.ctx, soon)
	defer cancel()
	woken := make(chan struct{}, 1)
	for _, n := range nodes {
		l.goes(func() {
			n.host.Until(ctx, func() bool {
				select {
				case woken <- struct{}{}:
				default:
				}
				return false
			})
		})
	}
	for {
		if cond() {
			return nil
		}
		select {
		case <-woken:
		case <-ctx.Done():
			if cond() {
				return nil
			}
			return fmt.Errorf("within %v there was not %s", soon, what)
		}
	}
}

// stays checks that a condition goes on to hold.
func (l *lab) stays(what string, d time.Duration, cond func() bool) error {
	t := time.NewTimer(d)
	defer t.Stop()
	<-t.C
	if !cond() {
		return fmt.Errorf("after %v there was no longer %s", d, what)
	}
	return nil
}

func (n *node) addr() (peer.Addr, error) {
	as := n.wire.Addrs()
	if len(as) == 0 {
		return peer.Addr{}, errors.New("Addrs is empty though Run is listening")
	}
	return as[0], nil
}

// stop ends Run and checks how it ends.
func (n *node) stop() error {
	if n.ended {
		return nil
	}
	n.ended = true
	n.cancel()
	late := time.NewTimer(stopWithin + time.Second)
	defer late.Stop()
	start := time.Now()
	select {
	case err := <-n.done:
		if err != nil && !errors.Is(err, context.Canceled) {
			return fmt.Errorf("Run = %v after its context ended", err)
		}
		if took := time.Since(start); took > stopWithin {
			return fmt.Errorf("Run took %v to stop, at most %v", took, stopWithin)
		}
	case <-late.C:
		<-n.done // or it would outlive the check
		return fmt.Errorf("Run took more than %v to stop", stopWithin)
	}
	if open := n.host.Sessions(); len(open) > 0 {
		return fmt.Errorf("Run returned with %d sessions that were never reported Closed", len(open))
	}
	return errors.Join(n.host.Wrong()...)
}

func (l *lab) stopAll() error {
	var errs []error
	for _, n := range l.nodes {
		errs = append(errs, n.stop())
	}
	return errors.Join(errs...)
}

// refusal finds the reason in an error of Dial.
func refusal(err error) (*peer.RefusedError, error) {
	var r *peer.RefusedError
	if err == nil {
		return nil, errors.New("Dial = nil, want a refusal")
	}
	if !errors.As(err, &r) {
		return nil, fmt.Errorf("Dial = %v, which carries no *peer.RefusedError", err)
	}
	return r, nil
}

// dial makes a dials b and gives back what came of it.
func (l *lab) dial(a, b *node) error {
	addr, err := b.addr()
	if err != nil {
		return err
	}
	return a.wire.Dial(l.ctx, addr)
}
