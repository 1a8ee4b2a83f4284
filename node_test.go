package starling_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/starlingp2p/starling"
	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/chain/chaintest"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/native"
)

func TestMain(m *testing.M) {
	// Timer goroutines of libraries that live as long as the process.
	goleak.VerifyTestMain(m)
}

// member is a node on the native wire over loopback.
type member struct {
	*starling.Node
	t      *testing.T
	chain  *chaintest.Chain
	wire   *native.Wire
	client *starling.Client
	events *starling.Subscription
	cancel context.CancelFunc
	ended  chan error
}

// newMember makes a node that dials the given members.
func newMember(t *testing.T, edit func(*starling.Config), known ...*member) *member {
	t.Helper()
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
	c := chaintest.NewChain(chaintest.Config{Seed: 1})
	w, err := native.New(native.Config{
		Status: c.Status, Listen: []string{"/ip4/127.0.0.1/tcp/0"}, AllowPrivate: true, NoDHT: true, Topics: []string{"news"},
		Logger: log,
	})
	if err != nil {
		t.Fatal(err)
	}
	cfg := starling.DevConfig()
	cfg.Logger = log
	for _, k := range known {
		cfg.Static = append(cfg.Static, k.wire.Addrs()[0].String())
	}
	if edit != nil {
		edit(&cfg)
	}
	n, err := starling.New(cfg, c, w)
	if err != nil {
		t.Fatal(err)
	}
	return &member{Node: n, t: t, chain: c, wire: w, client: n.Client(), ended: make(chan error, 1)}
}

// run starts the member and waits until it listens; the test's end stops it.
func (m *member) run() *member {
	m.t.Helper()
	ctx, cancel := context.WithCancel(m.t.Context())
	m.cancel = cancel
	m.events = m.client.Subscribe(ctx, 1024)
	go func() { m.ended <- m.Run(ctx) }()
	select {
	case <-m.Ready():
	case err := <-m.ended:
		m.t.Fatalf("node ended at once: %v", err)
	}
	m.t.Cleanup(func() {
		if err := m.stop(); err != nil {
			m.t.Errorf("node: %v", err)
		}
	})
	return m
}

// stop ends the member and gives what its Run gave.
func (m *member) stop() error {
	m.cancel()
	err := <-m.ended
	m.ended <- err
	return err
}

// await reads events until one fits.
func await[E starling.Event](m *member, fits func(E) bool) E {
	m.t.Helper()
	deadline := time.After(time.Minute)
	for {
		select {
		case ev, ok := <-m.events.C():
			if !ok {
				m.t.Fatal("the node ended before the event came")
			}
			if e, is := ev.(E); is && fits(e) {
				return e
			}
		case <-deadline:
			var want E
			m.t.Fatalf("no %T that fits; status %+v, verdicts %v, chain %v", want, m.client.Status(), m.client.Verdicts(), m.chain.Status().Head)
		}
	}
}

// every fits each event.
func every[E starling.Event](E) bool { return true }

// service is a service that notes when it starts and stops.
type service struct {
	kind    string
	needs   []string
	log     *[]string
	mu      *sync.Mutex
	started chan struct{} // closed at start
	fail    error         // at start
	built   func(*starling.Builder)
	protos  []starling.Protocol
	methods []starling.Method
}

func (s *service) note(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	*s.log = append(*s.log, what+" "+s.kind)
}

func (s *service) Kind() string                   { return s.kind }
func (s *service) Needs() []string                { return s.needs }
func (s *service) Protocols() []starling.Protocol { return s.protos }
func (s *service) Methods() []starling.Method     { return s.methods }
func (s *service) Build(b *starling.Builder) (starling.Part, error) {
	if s.built != nil {
		s.built(b)
	}
	return s, nil
}

func (s *service) Run(ctx context.Context, ready func()) error {
	if s.fail != nil {
		return s.fail
	}
	s.note("start")
	close(s.started)
	ready()
	<-ctx.Done()
	s.note("stop")
	return nil
}

// services makes services that share one log.
func services(kinds ...string) ([]*service, func() []string) {
	var (
		mu  sync.Mutex
		log []string
		out []*service
	)
	for _, k := range kinds {
		kind, needs, _ := strings.Cut(k, ":")
		s := &service{kind: kind, log: &log, mu: &mu, started: make(chan struct{})}
		if needs != "" {
			s.needs = strings.Split(needs, ",")
		}
		out = append(out, s)
	}
	return out, func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(log)
	}
}

func TestServicesStartAfterTheirNeedsAndStopInReverse(t *testing.T) {
	a := newMember(t, nil).run()
	b := newMember(t, nil, a)
	all, log := services("api:index", "index:store", "store")
	var sawStore bool
	all[1].built = func(b *starling.Builder) {
		_, sawStore = b.Part("store")
		if _, ok := b.Part("api"); ok {
			t.Error("a service was given the part of one that it does not need")
		}
	}
	for _, s := range all {
		if err := b.Register(s); err != nil {
			t.Fatal(err)
		}
	}
	b.run()
	await(a, every[starling.PeerOpened])
	await(b, every[starling.PeerOpened])
	<-all[0].started
	if err := b.stop(); err != nil {
		t.Fatal(err)
	}
	want := []string{"start store", "start index", "start api", "stop api", "stop index", "stop store"}
	if got := log(); !slices.Equal(got, want) {
		t.Errorf("order = %v, want %v", got, want)
	}
	if !sawStore {
		t.Error("a service was not given the part that it needs")
	}
	// The peer is told.
	if ev := await(a, every[starling.PeerClosed]); ev.Reason != peer.Stopping || !ev.ByRemote {
		t.Errorf("the peer saw %q (by remote: %v), want %q by remote", ev.Reason, ev.ByRemote, peer.Stopping)
	}
}

func TestAFailedStartStopsTheStartedInReverseAndIsNamed(t *testing.T) {
	n := newMember(t, nil)
	all, log := services("one", "two:one", "three:two")
	all[2].fail = errors.New("no luck")
	for _, s := range all {
		if err := n.Register(s); err != nil {
			t.Fatal(err)
		}
	}
	err := n.Run(t.Context())
	var part *starling.PartError
	if !errors.As(err, &part) || part.Part != "service three" || part.Op != "start" || !errors.Is(err, all[2].fail) {
		t.Errorf("Run = %v, want the failed start of service three", err)
	}
	want := []string{"start one", "start two", "stop two", "stop one"}
	if got := log(); !slices.Equal(got, want) {
		t.Errorf("order = %v, want %v", got, want)
	}
	if len(n.wire.Addrs()) != 0 {
		t.Error("the wire still listens")
	}
}

func TestRegistrationAndRunHaveTypedErrors(t *testing.T) {
	n := newMember(t, nil)
	all, _ := services("same", "same", "late")
	if err := n.Register(all[0]); err != nil {
		t.Fatal(err)
	}
	var twice *starling.DuplicateServiceError
	if err := n.Register(all[1]); !errors.As(err, &twice) || twice.Kind != "same" {
		t.Errorf("the same kind twice = %v", err)
	}
	if err := n.client.WaitForPeers(t.Context(), 0); err != nil {
		t.Errorf("WaitForPeers(0) = %v", err)
	}
	if _, err := n.client.Request(t.Context(), "x", "", nil); !errors.Is(err, starling.ErrNotRunning) {
		t.Errorf("Request before Run = %v, want ErrNotRunning", err)
	}
	n.run()
	if err := n.Register(all[2]); !errors.Is(err, starling.ErrTooLate) {
		t.Errorf("Register after Run = %v, want ErrTooLate", err)
	}
	if err := n.SetHandler(echo{}); !errors.Is(err, starling.ErrTooLate) {
		t.Errorf("SetHandler after Run = %v, want ErrTooLate", err)
	}
	if err := n.Run(t.Context()); !errors.Is(err, starling.ErrRunning) {
		t.Errorf("second Run = %v, want ErrRunning", err)
	}
}

func TestAWireThatCannotListenIsNamed(t *testing.T) {
	a := newMember(t, nil).run()
	addr, _, _ := strings.Cut(a.wire.Addrs()[0].String(), "/p2p/")
	c := chaintest.NewChain(chaintest.Config{Seed: 1})
	w, err := native.New(native.Config{Status: c.Status, Listen: []string{addr}, AllowPrivate: true})
	if err != nil {
		t.Fatal(err)
	}
	n, err := starling.New(starling.DevConfig(), c, w)
	if err != nil {
		t.Fatal(err)
	}
	err = n.Run(t.Context())
	var part *starling.PartError
	if !errors.As(err, &part) || part.Part != "wire" || part.Op != "start" || !strings.Contains(err.Error(), strings.Split(addr, "/")[4]) {
		t.Errorf("Run on a port in use = %v, want the wire's failed start, with the port", err)
	}
}

// echo answers with what it was asked, and takes broadcasts that are not "bad".
type echo struct{}

func (echo) HandleRequest(_ context.Context, _ peer.ID, req []byte) ([]byte, error) {
	if string(req) == "panic" {
		panic("asked for")
	}
	return append([]byte("echo "), req...), nil
}

func (echo) HandleBroadcast(_ context.Context, _ peer.ID, _ string, msg []byte) chain.Verdict {
	if string(msg) == "bad" {
		return chain.Rejected("bad")
	}
	return chain.Accepted()
}

func TestTheApplicationAsksAndAnswers(t *testing.T) {
	a := newMember(t, nil)
	if err := a.SetHandler(echo{}); err != nil {
		t.Fatal(err)
	}
	all, _ := services("oracle")
	all[0].protos = []starling.Protocol{{Name: "oracle", Request: func(_ context.Context, from peer.ID, req []byte) ([]byte, error) {
		return []byte("42"), nil
	}}}
	if err := a.Register(all[0]); err != nil {
		t.Fatal(err)
	}
	a.run()
	b := newMember(t, nil, a).run()
	ctx := t.Context()
	if err := b.client.WaitForPeers(ctx, 1); err != nil {
		t.Fatal(err)
	}
	to := a.wire.Self()
	got, err := b.client.Request(ctx, to, "", []byte("hi"))
	if err != nil || string(got) != "echo hi" {
		t.Errorf("Request = %q, %v; want echo hi", got, err)
	}
	if got, err := b.client.Request(ctx, to, "oracle", nil); err != nil || string(got) != "42" {
		t.Errorf("Request to a service = %q, %v; want 42", got, err)
	}
	unsupported := &wire.Refusal{Code: wire.RefusedUnsupported}
	if _, err := b.client.Request(ctx, to, "nothing", nil); !errors.Is(err, unsupported) {
		t.Errorf("Request to no protocol = %v, want unsupported", err)
	}
	if err := a.client.WaitForPeers(ctx, 1); err != nil {
		t.Fatal(err)
	}
	if _, err := a.client.Request(ctx, b.wire.Self(), "", nil); !errors.Is(err, unsupported) {
		t.Errorf("Request to a node without a handler = %v, want unsupported", err)
	}
	if _, err := b.client.Request(ctx, to, "", []byte("panic")); err == nil {
		t.Error("a handler that panicked answered")
	}
	if got, err := b.client.Request(ctx, to, "", []byte("again")); err != nil || string(got) != "echo again" {
		t.Errorf("Request after a panic = %q, %v; want echo again", got, err)
	}
	if _, err := b.client.Request(ctx, "nobody", "", nil); !errors.Is(err, starling.ErrNoPeer) {
		t.Errorf("Request to nobody = %v, want ErrNoPeer", err)
	}
}

func TestBlocksAreImportedAndGossiped(t *testing.T) {
	a := newMember(t, nil).run()
	b := newMember(t, nil, a).run()
	await(a, func(e starling.TopicChanged) bool { return e.Joined && strings.HasSuffix(e.Topic, "/block/1") })
	block := a.chain.Build(1)[0]
	receipt, err := a.client.PublishBlock(t.Context(), block)
	if err != nil || receipt.Queued != 1 {
		t.Errorf("PublishBlock = %+v, %v; want one copy queued", receipt, err)
	}
	ev := await(b, every[starling.HeadChanged])
	if ev.Status.Head != block.Ref() || !slices.Equal(ev.Blocks, []chain.Ref{block.Ref()}) {
		t.Errorf("follower's head event = %+v, want %v", ev, block.Ref())
	}
	if got := b.chain.Status().Head; got != block.Ref() {
		t.Errorf("follower's head = %v, want %v", got, block.Ref())
	}
	if err := a.client.SubmitBlock(t.Context(), a.chain.Forge(a.chain.Build(1)[0])); err == nil {
		t.Error("a block that fails verification was imported")
	}
}

func TestConsensusReachesTheEngine(t *testing.T) {
	heard := make(chan string, 16)
	a := newMember(t, func(c *starling.Config) { c.Consensus = engine{heard} }).run()
	b := newMember(t, nil, a).run()
	if err := b.client.WaitForPeers(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if err := b.client.SendConsensus(t.Context(), a.wire.Self(), []byte("vote")); err != nil {
		t.Fatal(err)
	}
	if err := b.client.SendConsensus(t.Context(), "", []byte("all")); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"vote", "all"} {
		select {
		case got := <-heard:
			if got != want {
				t.Errorf("the engine heard %q, want %q", got, want)
			}
		case <-time.After(time.Minute):
			t.Fatalf("the engine did not hear %q", want)
		}
	}
}

type engine struct{ heard chan string }

func (e engine) Handle(_ context.Context, _ peer.ID, msg []byte) chain.Verdict {
	e.heard <- string(msg)
	return chain.Accepted()
}

func (engine) Validators(context.Context) []chain.Validator { return nil }
