package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"os"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/starlingp2p/starling"
	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/internal/metrics"
	"github.com/starlingp2p/starling/internal/rpc"
)

// How the node is probed. Whoever asks for its health gets the outcome of the
// last probe, so that asking costs the node nothing.
const (
	probeEvery  = time.Second
	probeWithin = time.Second     // an owner loop answers, or the node is not healthy
	probeStale  = 4 * time.Second // a probe that is older tells of no health
)

// observer tells how a node is: metrics, health, and profiles on listeners of
// their own besides the RPC's.
type observer struct {
	node   *Node
	health Health
	set    *metrics.Set
	log    *slog.Logger
	system notifier
	began  time.Time

	listen, admin net.Listener // nil: none
	hosts         []string

	rpc    atomic.Pointer[rpc.Server] // nil: not served yet
	probed atomic.Pointer[probe]
	head   atomic.Pointer[headSeen]
}

// probe is the outcome of asking the node whether it is alive.
type probe struct {
	at  time.Time
	err error
}

// headSeen is a head with the time in its header.
type headSeen struct {
	ref chain.Ref
	at  time.Time // zero: it could not be read
}

// openObserver opens the listeners that the config asks for, before the node
// starts, so that what is in their way is found then.
func (n *Node) openObserver(ctx context.Context, log *slog.Logger) (o *observer, err error) {
	o = &observer{node: n, health: n.health, log: log.With("part", "metrics"), began: time.Now(), hosts: n.metrics.Hosts}
	o.set = metrics.New(o.snapshot)
	if o.system, err = newNotifier(os.Getenv); err != nil {
		return nil, err
	}
	if o.listen, err = openExtra(ctx, "metrics.listen", n.metrics.Listen); err != nil {
		return nil, err
	}
	if o.admin, err = openExtra(ctx, "metrics.admin", n.metrics.Admin); err != nil {
		o.close()
		return nil, err
	}
	if o.listen != nil && !isLoopback(n.metrics.Listen) {
		o.log.Warn("metrics and health can be read from other machines", "addr", o.listen.Addr())
	}
	return o, nil
}

func openExtra(ctx context.Context, key, address string) (net.Listener, error) {
	if address == "" {
		return nil, nil
	}
	l, err := rpc.ListenTCP(ctx, address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("%s: %s is in use by another process; choose another port, or 0 for any free one", key, address)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w; choose another address, or leave the key out", key, err)
	}
	return l, nil
}

// urlOf is where a listener is; empty: nowhere.
func urlOf(l net.Listener) string {
	if l == nil {
		return ""
	}
	return "http://" + l.Addr().String()
}

func (o *observer) close() {
	for _, l := range []net.Listener{o.listen, o.admin} {
		if l != nil {
			l.Close()
		}
	}
}

// mount adds metrics and health to the RPC's server. Profiles are mounted for
// those on the unix socket only.
func (o *observer) mount(s *rpc.Server) {
	o.rpc.Store(s)
	o.mountPublic(s)
	s.Mount("/debug/pprof/", rpc.Admin, overUnix(profiles()))
}

func (o *observer) mountPublic(s *rpc.Server) {
	s.Mount("/healthz", rpc.Public, readOnly(o.serveHealth))
	s.Mount("/readyz", rpc.Public, readOnly(o.serveReady))
	s.Mount("/metrics", rpc.Read, readOnly(o.set.Handler().ServeHTTP))
}

// run probes the node, serves the listeners and tells the service manager's
// watchdog, until ctx ends.
func (o *observer) run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { o.watch(ctx); return nil })
	serve := func(l net.Listener, mount func(*rpc.Server), hosts []string) error {
		s, err := rpc.New(nil, o.log)
		if err != nil {
			return err
		}
		mount(s)
		return s.ServeTCP(ctx, l, rpc.TCP{Open: true, Hosts: hosts})
	}
	if o.listen != nil {
		g.Go(func() error { return serve(o.listen, o.mountPublic, o.hosts) })
	}
	if o.admin != nil {
		g.Go(func() error {
			return serve(o.admin, func(s *rpc.Server) { s.Mount("/debug/pprof/", rpc.Read, profiles()) }, nil)
		})
	}
	return g.Wait()
}

// watch probes the node and reads the head's time, until ctx ends.
func (o *observer) watch(ctx context.Context) {
	every := probeEvery
	if o.system.watchdog > 0 {
		every = min(every, o.system.watchdog/4)
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	var petted time.Time
	for {
		o.look(ctx)
		// While the node starts, nobody can ask it: that is no hang.
		starting := !o.node.isReady.Load()
		if p := o.probed.Load(); o.system.watchdog > 0 && p != nil && (starting || p.err == nil) && time.Since(petted) >= o.system.watchdog/4 {
			petted = time.Now()
			o.tell(notifyWatchdog)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// look is one probe.
func (o *observer) look(ctx context.Context) {
	within, cancel := context.WithTimeout(ctx, probeWithin)
	defer cancel()
	err := o.node.node.Client().Alive(within)
	if ctx.Err() != nil {
		return
	}
	hung := func(err error) bool { return errors.Is(err, context.DeadlineExceeded) }
	if last := o.probed.Load(); hung(err) && (last == nil || !hung(last.err)) {
		o.log.Error("the node does not answer", "err", err)
	} else if err == nil && last != nil && hung(last.err) {
		o.log.Info("the node answers again")
	}
	o.probed.Store(&probe{time.Now(), err})
	ref := o.node.stack.chain.Status().Head
	if last := o.head.Load(); last != nil && last.ref == ref && !last.at.IsZero() {
		return
	}
	seen := &headSeen{ref: ref}
	if h, err := o.node.stack.chain.Header(within, ref); err == nil {
		seen.at = h.Time
	}
	o.head.Store(seen)
}

// tell tells the service manager, if there is one.
func (o *observer) tell(states ...string) {
	if err := o.system.tell(states...); err != nil {
		o.log.Warn("the service manager was not told", "err", err)
	}
}

// snapshot is what metrics are made of. It waits for nothing.
func (o *observer) snapshot() metrics.Snapshot {
	c := o.node.node.Client()
	s := metrics.Snapshot{Counters: c.Counters(), Status: c.Status(), PoolTxs: -1, Build: build()}
	for _, p := range c.Peers() {
		s.Scores = append(s.Scores, p.Score)
	}
	if server := o.rpc.Load(); server != nil {
		s.RPC = server.Counters()
	}
	s.Engine, s.EngineAPI = o.node.stack.engine.counters(), o.node.stack.engineAPI.counters()
	if h := o.head.Load(); h != nil {
		s.HeadTime = h.at
	}
	if pool, ok := o.node.stack.pool.(interface{ Len() (n, bytes int) }); ok {
		s.PoolTxs, s.PoolSize = pool.Len()
	}
	s.PoolDrops, s.ConsensusDrops = dropped(o.node.stack.pool), dropped(o.node.stack.consensus)
	return s
}

// dropped is what a part of the chain let go, by reason; nil: it does not count.
func dropped(part any) map[string]uint64 {
	if counts, ok := part.(interface{ Dropped() map[string]uint64 }); ok {
		return counts.Dropped()
	}
	return nil
}

func build() metrics.Build {
	b := metrics.Build{Version: Version, GoVersion: runtime.Version(), Revision: "unknown"}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				b.Revision = s.Value
			}
		}
	}
	return b
}

// HealthReply is what /healthz says. Fields are added, never renamed.
type HealthReply struct {
	V   int    `json:"v"`
	OK  bool   `json:"ok"`
	Why string `json:"why,omitempty"`
}

// ReadyReply is what /readyz says.
type ReadyReply struct {
	V          int      `json:"v"`
	OK         bool     `json:"ok"`
	Why        []string `json:"why,omitempty"` // what stands in the way
	Peers      int      `json:"peers"`
	MinPeers   int      `json:"min_peers"`
	Head       uint64   `json:"head"`
	HeadAge    string   `json:"head_age,omitempty"` // absent where it is not known
	MaxHeadAge string   `json:"max_head_age"`
}

// healthy says whether the owner loops answered, and if not, why.
func (o *observer) healthy() (bool, string) {
	p := o.probed.Load()
	switch {
	case p == nil:
		return false, "the node was not asked yet"
	case p.err != nil && errors.Is(p.err, context.DeadlineExceeded):
		return false, fmt.Sprintf("a loop of the node did not answer within %v; see the log, and take a profile (starling debug profile)", probeWithin)
	case p.err != nil:
		return false, p.err.Error()
	case time.Since(p.at) > probeStale:
		return false, fmt.Sprintf("the node was asked %v ago and not since; the process may have stood still", time.Since(p.at).Round(time.Second))
	}
	return true, ""
}

// ready says whether the node does its work, and what stands in the way.
func (o *observer) ready(client *starling.Client) ReadyReply {
	st := client.Status()
	r := ReadyReply{
		V: 1, Peers: st.Inbound + st.Outbound, MinPeers: o.health.peers(), Head: st.Chain.Head.Number,
		MaxHeadAge: o.health.headAge(o.node.stack.interval).String(),
	}
	if ok, why := o.healthy(); !ok {
		r.Why = append(r.Why, why)
	}
	if !o.node.isReady.Load() {
		r.Why = append(r.Why, "the node is starting")
	}
	if r.Peers < r.MinPeers {
		r.Why = append(r.Why, fmt.Sprintf("%d peers, want %d at least (health.min_peers); see: starling why", r.Peers, r.MinPeers))
	}
	h := o.head.Load()
	if h == nil || h.at.IsZero() {
		r.Why = append(r.Why, "the head cannot be read")
	} else {
		age := time.Since(h.at)
		r.HeadAge = age.Round(time.Second).String()
		if age > o.health.headAge(o.node.stack.interval) {
			r.Why = append(r.Why, fmt.Sprintf("block %d is %s old, want %s at most (health.max_head_age); the sync is %q", h.ref.Number, r.HeadAge, r.MaxHeadAge, st.Sync.Mode))
		}
	}
	r.OK = len(r.Why) == 0
	return r
}

func (o *observer) serveHealth(w http.ResponseWriter, _ *http.Request) {
	ok, why := o.healthy()
	answer(w, ok, HealthReply{V: 1, OK: ok, Why: why})
}

func (o *observer) serveReady(w http.ResponseWriter, _ *http.Request) {
	r := o.ready(o.node.node.Client())
	answer(w, r.OK, r)
}

// answer writes JSON: 200 if all is well, else 503.
func answer(w http.ResponseWriter, ok bool, v any) {
	w.Header().Set("Content-Type", "application/json")
	if !ok {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	json.NewEncoder(w).Encode(v)
}

// readOnly refuses methods that change something.
func readOnly(h http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "want GET", http.StatusMethodNotAllowed)
			return
		}
		h(w, r)
	})
}

// profiles serves what package pprof has.
func profiles() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return mux
}

// overUnix hides a handler from callers who did not come over a unix socket.
func overUnix(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		at, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
		if !ok || at.Network() != "unix" {
			http.NotFound(w, r)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// errOtherLog: whoever runs the node gave it a log of its own.
var errOtherLog = errors.New("daemon: the log of this process is not the node's; set its level where it is made")

// observeMethods are the RPC's methods about the log.
func (n *Node) observeMethods() []starling.Method {
	levels := func(set func() error) (any, error) {
		if n.logs == nil {
			return nil, errOtherLog
		}
		if err := set(); err != nil {
			return nil, rpc.BadParams("starling_logLevel: %v", err)
		}
		return n.logs.Levels(), nil
	}
	return []starling.Method{
		read("starling_logLevels", "The levels of the log: of each part, and of the rest under the empty name.",
			func(context.Context, json.RawMessage) (any, error) { return levels(func() error { return nil }) }, map[string]string{}),
		write("starling_logLevel", "Changes a level of the log until the next start, and gives all of them.",
			func(_ context.Context, params json.RawMessage) (any, error) {
				var part, level string
				if err := rpc.Params(params, &part, &level); err != nil {
					return nil, err
				}
				return levels(func() error { return n.logs.SetPart(part, level) })
			}, map[string]string{},
			param("part", "of the program, as in log_levels; empty: all that have no level of their own", ""),
			option("level", "debug, info, warn, error or off; empty: a part has that of the log again", "")),
	}
}
