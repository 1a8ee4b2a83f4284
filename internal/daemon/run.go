package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"

	"github.com/starlingp2p/starling"
)

// Version is the version of this program.
const Version = "0.1.0"

// Output says where a run tells what it does.
type Output struct {
	Out, Err io.Writer // data, and chatter and the log; nil: nobody reads it
	JSON     bool      // print events on Out as JSON lines
	OnEvent  func(Event)
	Terminal bool // Err is one that a person sees: the log is text

	// Width is that of Err's window in columns, 0: not known. The progress of a
	// sync is told there on one line that is written over; nil: Err cannot do
	// that, and it is told with lines. OutToo says that Out is the same terminal.
	Width  func() int
	OutToo bool
	// Stopping is told on Err when ctx ends, since stopping may take a while.
	Stopping string

	// Reload asks to read the config again with Load: lists of peers and log
	// levels are taken over. Nil: nobody asks.
	Reload <-chan os.Signal
	Load   func() (Config, error)
}

// StartError is a reason for which a node did not start: the config, a key
// file, the datadir, a port. Nothing was left half-started.
type StartError struct{ Err error }

func (e *StartError) Error() string { return e.Err.Error() }
func (e *StartError) Unwrap() error { return e.Err }

// Run runs the node that cfg describes until ctx ends. An error before it was
// ready is a *StartError.
func Run(ctx context.Context, cfg Config, out Output) (err error) {
	if out.Out == nil {
		out.Out = io.Discard
	}
	if out.Width != nil && out.Err != nil {
		line := &statusLine{out: out.Err, width: out.Width}
		if out.Err = line; out.OutToo {
			out.Out = &aboveLine{line, out.Out}
		}
	}
	defer tellStopping(ctx, out)()
	logs, err := newLogs(cfg, out.Err, out.Terminal)
	if err != nil {
		return &StartError{err}
	}
	log := logs.Logger()
	n, err := Open(cfg, log)
	if err != nil {
		return &StartError{err}
	}
	defer func() { err = errors.Join(err, n.Close()) }()
	n.cfg = cfg
	n.reloads = &reloader{load: out.Load, have: cfg, log: log.With("part", "daemon"), say: func(cfg Config) error {
		return logs.Set(cfg.LogLevel, cfg.LogLevels)
	}}
	return n.run(ctx, out, log)
}

// tellStopping says that the node stops once ctx ends. What it gives waits until
// that is said, and must be called.
func tellStopping(ctx context.Context, out Output) (done func()) {
	if out.Err == nil || out.Stopping == "" {
		return func() {}
	}
	said := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(said)
		fmt.Fprintln(out.Err, out.Stopping)
	})
	return func() {
		if !stop() {
			<-said
		}
	}
}

// run serves the socket and runs the node, and stops both when either ends.
func (n *Node) run(ctx context.Context, out Output, log *slog.Logger) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	doors, err := n.openDoors(ctx, log)
	if err != nil {
		return &StartError{err}
	}
	defer doors.close()
	obs, err := n.openObserver(ctx, log)
	if err != nil {
		return &StartError{err}
	}
	defer obs.close()

	p := &printer{out: out.Out}
	emit := func(ev Event) {
		if out.JSON {
			p.print(ev)
		}
		if out.OnEvent != nil {
			out.OnEvent(ev)
		}
	}
	var (
		wg     sync.WaitGroup
		rpcErr error
	)
	defer wg.Wait()
	defer cancel()
	sub, logged := n.node.Client().Subscribe(ctx, 4096), n.node.Client().Subscribe(ctx, 4096)
	wg.Go(func() { n.events.Run(ctx, logged) })
	wg.Go(func() { n.why.run(ctx) })
	defer n.recorder.close()
	var obsErr error
	wg.Go(func() {
		if obsErr = obs.run(ctx); obsErr != nil {
			cancel()
		}
		obs.tell(notifyStopping)
	})
	n.onReady = func() error {
		server, err := n.newRPC(log, obs)
		if err != nil {
			return err
		}
		ready := n.readyEvent(doors, obs)
		wg.Go(func() {
			if err := doors.serve(ctx, server); err != nil {
				rpcErr = err
				cancel()
			}
		})
		obs.look(ctx) // so that it is healthy from the first
		emit(ready)
		if !out.JSON {
			n.banner(out.Out, ready)
		}
		obs.tell(notifyReady, status("network %s, block %d", n.stack.chain.Status().Network, ready.Number))
		if out.Reload != nil {
			n.reloads.node = n.node.Client()
			wg.Go(func() { n.reloads.run(ctx, out.Reload) })
		}
		if out.Err != nil {
			wg.Go(func() { tellProgress(ctx, out.Err, n.syncAt) })
		}
		wg.Go(func() {
			for ev := range sub.C() {
				if line, ok := eventOf(ev); ok {
					emit(line)
				}
			}
		})
		return nil
	}
	err = n.node.Run(ctx)
	cancel()
	wg.Wait()
	emit(Event{Event: EventStop})
	return errors.Join(n.startError(err), rpcErr, obsErr)
}

// readyEvent says where everything of the node is.
func (n *Node) readyEvent(d doors, o *observer) Event {
	head := n.stack.chain.Status().Head
	ev := Event{
		Event: EventReady, ID: string(n.stack.wire.Self()), Socket: SocketPath(n.dir.Path), RPC: d.url(),
		Metrics: urlOf(o.listen), Admin: urlOf(o.admin), Engine: n.stack.engineAPI.url(), Number: head.Number, Hash: head.Hash.String(),
	}
	for _, a := range n.stack.wire.Addrs() {
		ev.Addrs = append(ev.Addrs, a.String())
	}
	return ev
}

// banner tells a person what is ready, and what to type next.
func (n *Node) banner(w io.Writer, ready Event) {
	fmt.Fprintf(w, "starling %s  network %s on the %s wire, block %d\n", Version, n.stack.chain.Status().Network, n.stack.wire.Caps().Name, ready.Number)
	for _, a := range ready.Addrs {
		fmt.Fprintf(w, "  %s\n", a)
	}
	for _, at := range []struct{ what, url, path string }{
		{"rpc", ready.RPC, ""}, {"metrics", ready.Metrics, "/metrics"}, {"engine api", ready.Engine, ""}, {"profiles", ready.Admin, "/debug/pprof/"},
	} {
		if at.url != "" {
			fmt.Fprintf(w, "  %s  %s%s\n", at.what, at.url, at.path)
		}
	}
	fmt.Fprintf(w, "Ready. Try, in another terminal:  starling status --datadir %s\n", n.dir.Path)
}

// startError marks an error from before the node was ready, and names the key
// of the config that it is about.
func (n *Node) startError(err error) error {
	if err == nil || n.isReady.Load() {
		return err
	}
	var pe *starling.PartError
	if !errors.As(err, &pe) || pe.Part != "wire" {
		return &StartError{err}
	}
	text, key := withoutPackage(withoutPackage(pe.Err)).Error(), ""
	switch {
	case strings.HasPrefix(text, "cannot listen"):
		key = "network.listen: "
	case strings.HasPrefix(text, "key "):
		key = "network.key_file: "
	}
	return &StartError{&keyError{key + text, err}}
}

// keyError is an error told in the words of the config.
type keyError struct {
	text string
	err  error
}

func (e *keyError) Error() string { return e.text }
func (e *keyError) Unwrap() error { return e.err }
