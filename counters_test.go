package starling_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/starlingp2p/starling"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// together makes two nodes, b dialling a, with a block of a's that b has.
func together(t *testing.T, edit func(*starling.Config)) (a, b *member) {
	t.Helper()
	a = newMember(t, func(c *starling.Config) { c.NoDial = true }).run() // or it would dial back
	b = newMember(t, edit, a).run()
	await(a, every[starling.PeerOpened])
	await(b, every[starling.PeerOpened])
	block := a.chain.Build(1)[0]
	if _, err := a.client.PublishBlock(t.Context(), block); err != nil {
		t.Fatal(err)
	}
	await(b, func(ev starling.HeadChanged) bool { return ev.Status.Head == block.Ref() })
	return a, b
}

func TestCountersTellWhatTheNodeDid(t *testing.T) {
	a, b := together(t, nil)
	for _, m := range []*member{a, b} {
		if err := m.client.Alive(t.Context()); err != nil {
			t.Errorf("Alive = %v", err)
		}
	}
	at, bt := a.client.Counters(), b.client.Counters()
	ok := starling.Outcome{Result: starling.ResultOK}
	if at.Accepts[ok] != 1 || bt.Dials[ok] != 1 {
		t.Errorf("accepts %v and dials %v, want one that went well", at.Accepts, bt.Dials)
	}
	if n := sum(at.Handshakes[peer.Inbound]); n != 1 {
		t.Errorf("%d inbound handshakes were timed, want 1", n)
	}
	if n := sum(bt.Handshakes[peer.Outbound]); n != 1 {
		t.Errorf("%d outbound handshakes were timed, want 1", n)
	}
	if got := bt.Verdicts[starling.VerdictKey{Message: "block", Action: "accept"}]; got != 1 || sum(bt.Checks["block"]) != 1 {
		t.Errorf("%d blocks accepted and %v timed, want 1", got, bt.Checks)
	}
	if bt.Imported != 1 || sum(bt.Imports) != 1 {
		t.Errorf("%d blocks in %d imports, want 1", bt.Imported, sum(bt.Imports))
	}
	if got := bt.Traffic[wire.TrafficKey{Protocol: "gossip", Type: "block", Inbound: true}]; got.Messages != 1 || got.Bytes == 0 {
		t.Errorf("gossip traffic %+v, want a block", got)
	}
	for name, l := range bt.Loops {
		if sum(l.Steps) == 0 || l.Busy <= 0 {
			t.Errorf("loop %s = %+v, want steps", name, l)
		}
	}
	if len(bt.Loops) != 2 || len(bt.Queues) == 0 {
		t.Errorf("loops %v, queues %v", bt.Loops, bt.Queues)
	}
}

func TestCountersTellRequestsBansAndCloses(t *testing.T) {
	a, b := together(t, nil)
	id := a.wire.Self()
	if _, err := b.client.Request(t.Context(), id, "", []byte("question")); err == nil {
		t.Error("a node without a handler answered")
	}
	if err := a.client.Ban(t.Context(), b.wire.Self(), time.Hour, "words of the operator {\n"); err != nil {
		t.Fatal(err)
	}
	await(b, every[starling.PeerClosed])
	await(a, every[starling.PeerClosed])
	at, bt := a.client.Counters(), b.client.Counters()
	if got := sum(bt.Requests[starling.Exchange{Kind: "app", Result: starling.ResultRefused}]); got != 1 {
		t.Errorf("requests = %v, want one of kind app refused", bt.Requests)
	}
	if got := sum(at.Requests[starling.Exchange{Served: true, Kind: "app", Result: starling.ResultRefused}]); got != 1 {
		t.Errorf("served = %v, want one of kind app refused", at.Requests)
	}
	if at.Bans["requested"] != 1 || len(at.Bans) != 1 {
		t.Errorf("bans = %v, want one by request", at.Bans)
	}
	if at.Closes[starling.Close{Reason: peer.Banned}] != 1 || bt.Closes[starling.Close{Reason: peer.Banned, ByRemote: true}] != 1 {
		t.Errorf("closes = %v and %v, want banned", at.Closes, bt.Closes)
	}
}

// Who is turned away is counted once, with its reason, on both sides.
func TestCountersTellRefusals(t *testing.T) {
	a, b := together(t, nil)
	if err := a.client.Ban(t.Context(), b.wire.Self(), time.Hour, ""); err != nil {
		t.Fatal(err)
	}
	await(b, every[starling.PeerClosed])
	before := a.client.Counters().Accepts
	if err := b.client.Connect(t.Context(), a.wire.Addrs()[0].String()); err == nil {
		t.Fatal("a banned peer was let in")
	}
	refused := starling.Outcome{Result: starling.ResultRefused, Reason: peer.Banned}
	if got := a.client.Counters().Accepts[refused] - before[refused]; got != 1 {
		t.Errorf("%d refusals were counted, want 1: %v", got, a.client.Counters().Accepts)
	}
	var failed uint64
	for k, n := range b.client.Counters().Dials {
		if k.Result != starling.ResultOK {
			failed += n
		}
	}
	if failed != 1 {
		t.Errorf("%d dials failed, want 1: %v", failed, b.client.Counters().Dials)
	}
}

// A dial that reaches nobody is counted with its reason.
func TestCountersTellFailedDials(t *testing.T) {
	n := newMember(t, nil).run()
	other := newMember(t, nil).run()
	addr := other.wire.Addrs()[0].String()
	if err := other.stop(); err != nil {
		t.Fatal(err)
	}
	if err := n.client.Connect(t.Context(), addr); err == nil {
		t.Fatal("a node that has stopped was reached")
	}
	if got := n.client.Counters().Dials; got[starling.Outcome{Result: starling.ResultFailed, Reason: peer.DialFailed}] != 1 {
		t.Errorf("dials = %v, want one that failed", got)
	}
}

func TestAliveOfANodeThatDoesNotRun(t *testing.T) {
	n := newMember(t, nil)
	if err := n.client.Alive(t.Context()); err == nil {
		t.Error("a node that was not started is alive")
	}
	n.client.Counters() // does not wait either
}

func sum(d starling.Distribution) (n uint64) {
	for _, c := range d.Counts {
		n += c
	}
	return n
}

// Spans of each kind are made where a provider is given, end, and name their
// peer; a failure is marked as one.
func TestSpansOfEachKind(t *testing.T) {
	recorder := tracetest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder))
	a, b := together(t, func(c *starling.Config) { c.Tracing = provider })
	if _, err := b.client.Request(t.Context(), a.wire.Self(), "", []byte("?")); err == nil {
		t.Error("a node without a handler answered")
	}
	if err := b.stop(); err != nil {
		t.Fatal(err)
	}
	seen := map[string]sdktrace.ReadOnlySpan{}
	for _, s := range recorder.Ended() {
		seen[s.Name()] = s
	}
	for _, name := range []string{"starling.dial", "starling.handshake", "starling.request", "starling.validate", "starling.import"} {
		if seen[name] == nil {
			t.Errorf("no span %q; there are %d others; %+v", name, len(seen), b.client.Counters().Handshakes)
		}
	}
	if len(recorder.Started()) != len(recorder.Ended()) {
		t.Errorf("%d spans started, %d ended", len(recorder.Started()), len(recorder.Ended()))
	}
	dial, shake := seen["starling.dial"], seen["starling.handshake"]
	if dial == nil || shake == nil {
		t.FailNow()
	}
	if shake.Parent().SpanID() != dial.SpanContext().SpanID() {
		t.Error("the handshake is not part of the dial")
	}
	for _, s := range recorder.Ended() {
		if s.Name() != "starling.request" {
			continue
		}
		kind := slices.IndexFunc(s.Attributes(), func(kv attribute.KeyValue) bool { return kv.Key == "starling.kind" && kv.Value.AsString() == "app" })
		if kind >= 0 && s.Status().Code != codes.Error {
			t.Errorf("the refused request has status %v", s.Status())
		}
	}
}

// A block that nobody hears within Config.HoldBlocks is counted, and told.
func TestABlockThatNobodyHearsIsCounted(t *testing.T) {
	a := newMember(t, func(c *starling.Config) { c.HoldBlocks = 50 * time.Millisecond }).run()
	block := a.chain.Build(1)[0]
	if err := a.client.SubmitBlock(t.Context(), block); err != nil {
		t.Fatal(err)
	}
	ev := await(a, every[starling.Published])
	if !errors.Is(ev.Err, starling.ErrExpired) || ev.Ref != block.Ref() {
		t.Errorf("published %+v, want that it expired", ev)
	}
	if got := a.client.Counters().PublishErrors["block"]; got != 1 {
		t.Errorf("%d blocks were told nobody, want 1", got)
	}
}
