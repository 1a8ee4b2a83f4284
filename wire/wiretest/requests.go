package wiretest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

func requestChecks() []Check {
	return []Check{
		{Name: "RequestsAreAnswered", Rule: "every kind that Caps claims travels to Host.Serve and back, in both directions", run: answered},
		{Name: "UnsupportedIsSaid", Rule: "what the wire has no message for is ErrUnsupported", run: unsupported},
		{Name: "RefusalsTravel", Rule: "a *Refusal of Host.Serve reaches the asker with its code and the name of its limit", run: refusalsTravel, needs: func(c wire.Caps, _ World) bool { return !c.SilentRefusal }},
		{Name: "RequestsCanBeCancelled", Rule: "Request returns when its context ends, and the session lives on", run: cancelled},
		{Name: "RequestsEndWithTheSession", Rule: "Request returns when the session is closed", run: endsWithSession},
		{Name: "RequestsInFlightAreBounded", Rule: "no more than Caps.MaxInFlight requests of one peer are under way; the rest wait and are served", run: inFlight},
	}
}

// hashOf is a hash for tests.
func hashOf(n byte) chain.Hash { return chain.Hash{n, 0xcc} }

func headerOf(n byte) chain.Header {
	return chain.Header{Ref: chain.Ref{Number: uint64(n), Hash: hashOf(n)}, Parent: hashOf(n - 1), Time: time.Unix(1700000000+int64(n), 0).UTC(), Bytes: []byte{0xee, n}}
}

// BlockOf is a block for tests, with a body of size bytes.
func BlockOf(n byte, size int) chain.Block {
	body := make([]byte, size)
	for i := range body {
		body[i] = byte(i) ^ n
	}
	return chain.Block{Header: headerOf(n), Body: body}
}

// block is a block that the wire carries.
func (l *lab) block(n byte, size int) chain.Block {
	if l.world.Block != nil {
		return l.world.Block(n, size)
	}
	return BlockOf(n, size)
}

// consensus is a consensus message that the wire carries.
func (l *lab) consensus(text string) wire.Consensus {
	if l.world.Consensus != nil {
		return wire.Consensus{Bytes: l.world.Consensus(text)}
	}
	return wire.Consensus{Bytes: []byte(text)}
}

// kinds are requests with what becomes of them, as far as caps go.
func (l *lab) kinds(c wire.Caps) (asks []Ask) {
	add := func(have bool, q wire.Request, r wire.Response) {
		if have {
			asks = append(asks, Ask{q, q, r, r})
		}
	}
	if l.world.Asks != nil {
		return l.world.Asks
	}
	if l.world.Kinds != nil {
		asked, answers := l.world.Kinds(c)
		for i, q := range asked {
			add(true, q, answers[i])
		}
		return asks
	}
	block := l.block(2, 100)
	if l.world.Block != nil {
		block.Extra = nil // what a gossiped block has beside it need not be served
	}
	add(c.Skeleton && c.ByNumber, wire.GetHeaders{Range: chain.Range{From: chain.Ref{Number: 1}, Count: 2}}, wire.Headers{Headers: []chain.Header{headerOf(1), headerOf(2)}})
	add(c.Skeleton && c.ByHash, wire.GetHeaders{Range: chain.Range{From: chain.Ref{Hash: hashOf(1)}, Count: 1}}, wire.Headers{Headers: []chain.Header{headerOf(1)}})
	add(c.MaxBatch.Bodies > 0, wire.GetBodies{Hashes: []chain.Hash{hashOf(2)}}, wire.Bodies{Hashes: []chain.Hash{hashOf(2)}, Bodies: []wire.Body{{Body: []byte("body"), Extra: []byte("extra")}}})
	add(c.MaxBatch.Blocks > 0 && c.ByNumber, wire.GetBlocks{Range: chain.Range{From: chain.Ref{Number: 2}, Count: 1}}, wire.Blocks{Blocks: []chain.Block{block}})
	add(c.MaxBatch.Blocks > 0 && c.ByHash, wire.GetBlocksByHash{Hashes: []chain.Hash{hashOf(2)}}, wire.Blocks{Blocks: []chain.Block{block}})
	add(c.MaxBatch.Txs > 0, wire.GetTxs{Hashes: []chain.Hash{hashOf(3)}}, wire.TxList{Txs: []chain.Tx{{Bytes: []byte("tx")}}})
	add(c.Receipts, wire.GetReceipts{Hashes: []chain.Hash{hashOf(2)}}, wire.Receipts{Hashes: []chain.Hash{hashOf(2)}, Receipts: [][]byte{[]byte("r")}})
	return asks
}

// server answers with what kinds has.
func (l *lab) server(c func() wire.Caps) *Host {
	h := &Host{}
	h.OnServe = func(_ context.Context, _ wire.Session, r wire.Request) (wire.Response, error) {
		for _, a := range l.kinds(c()) {
			if sameRequest(a.Served, r) {
				return a.Gives, nil
			}
		}
		return nil, &wire.Refusal{Code: wire.RefusedNotFound, Text: fmt.Sprintf("%+v", r)}
	}
	return h
}

// sameRequest compares what matters: a wire may bound what was unbounded, and
// mean the pool alone.
func sameRequest(a, b wire.Request) bool {
	switch x := b.(type) {
	case wire.GetHeaders:
		x.Range.MaxBytes = 0
		b = x
	case wire.GetBlocks:
		x.Range.MaxBytes = 0
		b = x
	case wire.GetBlocksByHash:
		x.MaxBytes = 0
		b = x
	case wire.GetBodies:
		x.MaxBytes = 0
		b = x
	case wire.GetReceipts:
		x.MaxBytes = 0
		b = x
	case wire.GetTxs:
		x.MaxBytes, x.Pooled = 0, false
		b = x
	}
	return reflect.DeepEqual(a, b)
}

func answered(l *lab) error {
	var caps wire.Caps
	a, b, err := l.pair(l.server(func() wire.Caps { return caps }), l.server(func() wire.Caps { return caps }))
	if err != nil {
		return err
	}
	caps = a.wire.Caps()
	asks := l.kinds(caps)
	if len(asks) == 0 {
		return errors.New("Caps claims no request at all")
	}
	for _, s := range []wire.Session{a.host.Sessions()[0], b.host.Sessions()[0]} {
		for _, k := range asks {
			got, err := s.Request(l.ctx, k.Request)
			if err != nil {
				return fmt.Errorf("Request(%+v): %w", k.Request, err)
			}
			if !reflect.DeepEqual(normal(got), normal(k.Gets)) {
				return fmt.Errorf("Request(%+v) = %+v, want %+v", k.Request, got, k.Gets)
			}
		}
	}
	return nil
}

// normal drops the difference between nil and empty.
func normal(r wire.Response) string { return fmt.Sprintf("%T %+v", r, r) }

func unsupported(l *lab) error {
	a, _, err := l.pair(nil, nil)
	if err != nil {
		return err
	}
	s, c := a.host.Sessions()[0], a.wire.Caps()
	var lacks []wire.Request
	if !c.Receipts {
		lacks = append(lacks, wire.GetReceipts{Hashes: []chain.Hash{hashOf(1)}})
	}
	if !c.Skeleton {
		lacks = append(lacks, wire.GetHeaders{Range: chain.Range{Count: 1}})
	}
	if c.MaxBatch.Bodies == 0 {
		lacks = append(lacks, wire.GetBodies{Hashes: []chain.Hash{hashOf(1)}})
	}
	if c.MaxBatch.Txs == 0 {
		lacks = append(lacks, wire.GetTxs{Hashes: []chain.Hash{hashOf(1)}})
	}
	for _, q := range lacks {
		if _, err := s.Request(l.ctx, q); !errors.Is(err, wire.ErrUnsupported) {
			return fmt.Errorf("Request(%T) = %v, want ErrUnsupported", q, err)
		}
	}
	if c.Gossip != wire.GossipSessions {
		for _, m := range []wire.Message{wire.Block{Block: l.block(1, 1)}, wire.Txs{Txs: []chain.Tx{{Bytes: []byte("t")}}}, wire.TxAnnounce{}, wire.BlockAnnounce{}} {
			if err := s.Send(l.ctx, wire.LaneBlock, m); !errors.Is(err, wire.ErrUnsupported) {
				return fmt.Errorf("Send(%T) = %v, want ErrUnsupported", m, err)
			}
		}
	}
	return nil
}

func (l *lab) someRequest(c wire.Caps) wire.Request {
	return l.kinds(c)[0].Request
}

func refusalsTravel(l *lab) error {
	var next atomic.Pointer[wire.Refusal]
	a, _, err := l.pair(nil, &Host{OnServe: func(context.Context, wire.Session, wire.Request) (wire.Response, error) { return nil, next.Load() }})
	if err != nil {
		return err
	}
	s := a.host.Sessions()[0]
	for _, want := range []*wire.Refusal{
		{Code: wire.RefusedNotFound},
		{Code: wire.RefusedBadRequest, Text: "too many"},
		{Code: wire.RefusedBusy},
		{Code: wire.RefusedLimit, Limit: "peer-bytes", RetryAfter: time.Second, Text: "slow down"},
	} {
		next.Store(want)
		_, err := s.Request(l.ctx, l.someRequest(a.wire.Caps()))
		var got *wire.Refusal
		if !errors.As(err, &got) {
			return fmt.Errorf("Request = %v, want %v", err, want)
		}
		carried := *want
		if l.world.Carried != nil {
			carried = l.world.Carried(carried)
		}
		if got.Code != carried.Code || got.Limit != carried.Limit {
			return fmt.Errorf("Request = %v, want %v", got, &carried)
		}
	}
	return nil
}

// stuck is a Host whose Serve blocks until release is closed or ctx ends.
func stuck(release <-chan struct{}, entered func()) *Host {
	return &Host{OnServe: func(ctx context.Context, _ wire.Session, _ wire.Request) (wire.Response, error) {
		entered()
		select {
		case <-release:
		case <-ctx.Done():
		}
		return nil, &wire.Refusal{Code: wire.RefusedNotFound}
	}}
}

// returns waits for the end of what was started on a goroutine.
func returns(done <-chan error, what string) (error, error) {
	late := time.NewTimer(2 * time.Second)
	defer late.Stop()
	select {
	case err := <-done:
		return err, nil
	case <-late.C:
		return nil, errors.New(what)
	}
}

func cancelled(l *lab) error {
	release := make(chan struct{})
	defer close(release)
	in := make(chan struct{}, 64)
	a, _, err := l.pair(nil, stuck(release, func() { in <- struct{}{} }))
	if err != nil {
		return err
	}
	s := a.host.Sessions()[0]
	ctx, cancel := context.WithCancel(l.ctx)
	done := make(chan error, 1)
	l.goes(func() { _, err := s.Request(ctx, l.someRequest(a.wire.Caps())); done <- err })
	if err := arrives(l, in, "a request at Host.Serve"); err != nil {
		cancel()
		return err
	}
	cancel()
	got, err := returns(done, "Request did not return though its context ended")
	if err != nil {
		return err
	}
	if got == nil {
		return errors.New("Request = nil though its context ended")
	}
	return l.stays("the session", time.Second, func() bool { return len(a.host.Sessions()) == 1 })
}

func arrives(l *lab, c <-chan struct{}, what string) error {
	late := time.NewTimer(soon)
	defer late.Stop()
	select {
	case <-c:
		return nil
	case <-late.C:
		return fmt.Errorf("within %v there was not %s", soon, what)
	}
}

func endsWithSession(l *lab) error {
	release := make(chan struct{})
	defer close(release)
	in := make(chan struct{}, 64)
	a, _, err := l.pair(nil, stuck(release, func() { in <- struct{}{} }))
	if err != nil {
		return err
	}
	s := a.host.Sessions()[0]
	done := make(chan error, 1)
	l.goes(func() { _, err := s.Request(l.ctx, l.someRequest(a.wire.Caps())); done <- err })
	if err := arrives(l, in, "a request at Host.Serve"); err != nil {
		return err
	}
	s.Close(peer.Requested)
	got, err := returns(done, "Request did not return though the session was closed")
	if err == nil && got == nil {
		err = errors.New("Request = nil though the session was closed")
	}
	return err
}

func inFlight(l *lab) error {
	var now, most atomic.Int64
	a, _, err := l.pair(nil, &Host{OnServe: func(ctx context.Context, _ wire.Session, _ wire.Request) (wire.Response, error) {
		n := now.Add(1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		t := time.NewTimer(50 * time.Millisecond)
		defer t.Stop()
		<-t.C
		now.Add(-1)
		return nil, &wire.Refusal{Code: wire.RefusedNotFound}
	}})
	if err != nil {
		return err
	}
	s, bound := a.host.Sessions()[0], a.wire.Caps().MaxInFlight
	errs := make([]error, 3*bound)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() { _, errs[i] = s.Request(l.ctx, l.someRequest(a.wire.Caps())) })
	}
	wg.Wait()
	for _, err := range errs {
		var r *wire.Refusal
		if !errors.As(err, &r) || r.Code != wire.RefusedNotFound {
			return fmt.Errorf("Request = %v, want what the server said", err)
		}
	}
	if m := most.Load(); m > int64(bound) {
		return fmt.Errorf("%d requests of one peer were under way, Caps.MaxInFlight is %d", m, bound)
	}
	return nil
}
