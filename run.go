package starling

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/wire"
)

// running is a part that was started.
type running struct {
	name   string
	may    bool // it may end by itself: a service whose work is done
	cancel context.CancelCauseFunc
	done   chan error // capacity 1; the part's result
}

// result gives the result of a part that has ended by itself, and keeps it
// there. It is never nil for a part that may not end so.
func (p *running) result() error {
	err := <-p.done
	p.done <- err
	if err == nil && !p.may {
		err = errors.New("ended by itself")
	}
	return err
}

// run is one run of a node: what was started, in order.
type run struct {
	node    *Node
	started []*running
	ended   chan *running // parts that have ended; as large as there are parts
	failed  *running      // the part whose failure ended the run
}

// Parts with a place of their own in the order of stopping.
const (
	partWire  = "wire"
	partSwarm = "swarm"
)

// servicesWithin and wireWithin are when the services, and then the wire, have
// to be gone after a node began to stop, so that one that does not end leaves
// time to those that stop after it.
const (
	servicesWithin = 3 * time.Second
	wireWithin     = stopWithin - 500*time.Millisecond
)

// slowStart is how long a part may take to start before the log names it.
const slowStart = 10 * time.Second

// errStopping is the cause with which parts are stopped.
var errStopping = fmt.Errorf("%w: it is stopping", ErrNotRunning)

func newRun(n *Node) *run {
	return &run{node: n, ended: make(chan *running, len(n.services)+8)}
}

// launch starts a part in a goroutine of its own. The part lives on a context
// apart from the node's, so that parts can be stopped in order.
func (r *run) launch(ctx context.Context, name string, work func(ctx context.Context) error) *running {
	own, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	p := &running{name: name, cancel: cancel, done: make(chan error, 1)}
	r.started = append(r.started, p)
	go func() {
		err := work(own)
		cancel(nil)
		p.done <- err
		r.ended <- p
	}()
	return p
}

// loop starts a part of the node that cannot fail to start.
func (r *run) loop(ctx context.Context, name string, work func(ctx context.Context)) {
	r.launch(ctx, name, func(ctx context.Context) error { work(ctx); return nil })
}

// start starts the wire, the node's own loops, and then the services in order.
// On an error, what was started is left for stop.
func (r *run) start(ctx context.Context, services []Service) error {
	n := r.node
	w := r.launch(ctx, partWire, func(ctx context.Context) error { return n.wire.Run(ctx, n.host) })
	if rd, ok := n.wire.(wire.Readier); ok {
		if err := r.await(ctx, w, rd.Ready()); err != nil {
			return err
		}
	}
	r.launch(ctx, partSwarm, n.swarm.Run)
	r.launch(ctx, "blocksync", n.sync.Run)
	if n.relay != nil {
		r.launch(ctx, "relay", n.relay.Run)
	}
	r.loop(ctx, "block publisher", n.blocks.run)
	r.loop(ctx, "transaction publisher", n.txs.run)
	r.loop(ctx, "transaction bundler", n.bundler.run)
	if n.cfg.Target != (chain.Ref{}) {
		if err := n.sync.SetTarget(ctx, n.cfg.Target); err != nil {
			return fmt.Errorf("starling: Target %v: %w", n.cfg.Target, err)
		}
	}
	if err := n.joinTopics(ctx); err != nil {
		return err
	}
	n.client.open.Store(true)
	for _, s := range services {
		kind, part := s.Kind(), n.parts[s.Kind()]
		ready := make(chan struct{})
		tell := sync.OnceFunc(func() { close(ready) })
		p := r.launch(ctx, "service "+kind, func(ctx context.Context) error { return part.Run(ctx, tell) })
		p.may = true
		if err := r.await(ctx, p, ready); err != nil {
			return err
		}
	}
	return nil
}

// await blocks until a part is ready, any part has failed, or ctx ends. A part
// may take as long as it likes to start; the log says which one is waited for.
func (r *run) await(ctx context.Context, p *running, ready <-chan struct{}) error {
	slow := time.NewTimer(slowStart)
	defer slow.Stop()
	for {
		select {
		case <-ready:
			return nil
		case <-slow.C:
			r.node.log.Warn("still waiting for a part to start", "part", p.name, "took", slowStart)
		case q := <-r.ended:
			err := q.result()
			if q != p {
				if err == nil {
					continue
				}
				return r.fail(q, "run", err)
			}
			if err != nil {
				return r.fail(q, "start", err)
			}
			select {
			case <-ready: // it was ready, and its work is done
				return nil
			default:
				return r.fail(q, "start", errors.New("ended before it was ready"))
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// fail notes which part ended the run.
func (r *run) fail(p *running, op string, err error) error {
	r.failed = p
	return &PartError{Part: p.name, Op: op, Err: err}
}

// wait blocks until ctx ends or a part fails. Only a service may end, once its
// work is done.
func (r *run) wait(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case q := <-r.ended:
			if err := q.result(); err != nil {
				return r.fail(q, "run", err)
			}
		}
	}
}

// stop ends what was started: services in reverse, then the node's loops,
// then the wire, which tells the peers, and at last the peer table, which
// keeps what it learned until then. All of it takes stopWithin at most; each
// part that still runs by then is named.
func (r *run) stop() error {
	began := time.Now()
	var errs []error
	var late []*running // those that did not end when it was their turn
	end := func(p *running, within time.Duration) bool {
		p.cancel(errStopping)
		ctx, cancel := context.WithDeadline(context.Background(), began.Add(within))
		defer cancel()
		var err error
		select {
		case err = <-p.done: // even if the time is up
		default:
			select {
			case err = <-p.done:
			case <-ctx.Done():
				return false
			}
		}
		if err != nil && p != r.failed && !errors.Is(err, errStopping) && !errors.Is(err, context.Canceled) {
			errs = append(errs, &PartError{Part: p.name, Op: "stop", Err: err})
		}
		return true
	}
	last := map[string]*running{}
	for _, p := range slices.Backward(r.started) {
		if p.name == partWire || p.name == partSwarm {
			last[p.name] = p
		} else if !end(p, servicesWithin) {
			late = append(late, p)
		}
	}
	if p := last[partWire]; p != nil && !end(p, wireWithin) {
		late = append(late, p)
	}
	if p := last[partSwarm]; p != nil && !end(p, stopWithin) {
		late = append(late, p)
	}
	for _, p := range late { // all were told to stop
		if !end(p, stopWithin) {
			errs = append(errs, &PartError{Part: p.name, Op: "stop", Err: fmt.Errorf("still running after %v", stopWithin)})
		}
	}
	return errors.Join(errs...)
}
