package starling

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// hall is a Publisher that somebody listens to, or nobody.
type hall struct {
	mu        sync.Mutex // over heard
	listeners int
	heard     []wire.Message
	stall     chan struct{} // not nil: Publish waits for it
	tries     int
}

func (h *hall) Publish(ctx context.Context, m wire.Message) (wire.Receipt, error) {
	h.tries++
	if h.stall != nil {
		select {
		case <-h.stall:
		case <-ctx.Done():
			return wire.Receipt{}, ctx.Err() // as most wires do
		}
	}
	if h.listeners == 0 {
		return wire.Receipt{}, wire.ErrUnheard
	}
	h.mu.Lock()
	h.heard = append(h.heard, m)
	h.mu.Unlock()
	return wire.Receipt{MeshPeers: h.listeners, Queued: h.listeners}, nil
}

// got gives what was heard so far.
func (h *hall) got() []wire.Message {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.heard)
}

// runOutbox runs an outbox of the given capacity until the test ends.
func runOutbox(t *testing.T, h *hall, capacity int) *outbox {
	t.Helper()
	o := newOutbox(h, capacity, func(publication, outcome) {})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); o.run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return o
}

func TestBlockIsHeldUntilSomebodyListens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &hall{}
		o := runOutbox(t, h, 4)
		reply := o.put("block", chain.Ref{Number: 1}, wire.Block{}, 2*time.Second)
		time.Sleep(time.Second)
		synctest.Wait()
		select {
		case out := <-reply:
			t.Fatalf("published to nobody: %+v", out)
		default:
		}
		h.listeners = 3
		o.heard()
		if out := <-reply; out.err != nil || out.receipt.MeshPeers != 3 {
			t.Errorf("outcome = %+v, want 3 mesh peers", out)
		}
	})
}

func TestBlockThatNobodyHearsExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := runOutbox(t, &hall{}, 4)
		began := time.Now()
		out := <-o.put("block", chain.Ref{Number: 1}, wire.Block{}, 2*time.Second)
		if !errors.Is(out.err, ErrExpired) || time.Since(began) != 2*time.Second {
			t.Errorf("outcome %v after %v, want ErrExpired after 2s", out.err, time.Since(began))
		}
	})
}

// Whatever a wire says of a context that has ended, and what waited behind such
// a message is not sent late.
func TestWhatIsTooOldWhenItsTurnComesExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &hall{listeners: 1, stall: make(chan struct{})}
		o := runOutbox(t, h, 4)
		first := o.put("block", chain.Ref{Number: 1}, wire.Block{}, 2*time.Second)
		second := o.put("block", chain.Ref{Number: 2}, wire.Block{}, time.Second)
		for _, reply := range []<-chan outcome{first, second} {
			if out := <-reply; !errors.Is(out.err, ErrExpired) {
				t.Errorf("outcome = %v, want ErrExpired", out.err)
			}
		}
		if h.tries != 1 {
			t.Errorf("%d were handed to the wire, want only the first", h.tries)
		}
	})
}

// Producing never waits for publishing, whatever the capacity.
func TestPutNeverWaitsForAStalledPublisher(t *testing.T) {
	for _, capacity := range []int{0, 1} {
		synctest.Test(t, func(t *testing.T) {
			h := &hall{listeners: 1, stall: make(chan struct{})}
			o := runOutbox(t, h, capacity)
			synctest.Wait()
			began := time.Now()
			var replies []<-chan outcome
			for n := range uint64(5) {
				replies = append(replies, o.put("block", chain.Ref{Number: n}, wire.Block{}, time.Second))
				synctest.Wait()
			}
			if took := time.Since(began); took != 0 {
				t.Errorf("capacity %d: five puts took %v", capacity, took)
			}
			last := <-replies[4]
			if !errors.Is(last.err, wire.ErrQueueFull) {
				t.Errorf("capacity %d: the fifth = %v, want ErrQueueFull", capacity, last.err)
			}
			close(h.stall)
			if first := <-replies[0]; first.err != nil {
				t.Errorf("capacity %d: the first = %v", capacity, first.err)
			}
		})
	}
}

func TestOutboxIsBoundedInBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := runOutbox(t, &hall{}, 64)
		large := wire.Block{Block: chain.Block{Body: make([]byte, outboxBytes/2+1)}}
		first := o.put("block", chain.Ref{Number: 1}, large, time.Second)
		if out := <-o.put("block", chain.Ref{Number: 2}, large, time.Second); !errors.Is(out.err, wire.ErrQueueFull) {
			t.Errorf("second large block = %v, want ErrQueueFull", out.err)
		}
		<-first
		synctest.Wait()
		if n := o.bytes.Load(); n != 0 {
			t.Errorf("%d bytes are still counted", n)
		}
	})
}

func TestTransactionsTravelInBundles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &hall{listeners: 1}
		b := newBundler(runOutbox(t, h, 64))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); b.run(ctx) }()
		for range 10 {
			b.in <- []chain.Tx{{Bytes: make([]byte, 100)}}
		}
		time.Sleep(bundleWait)
		synctest.Wait()
		if got := h.got(); len(got) != 1 || len(got[0].(wire.Txs).Txs) != 10 {
			t.Fatalf("10 transactions came as %d messages", len(got))
		}
		// Large ones fill a bundle before the time is up.
		b.in <- []chain.Tx{{Bytes: make([]byte, bundleBytes)}, {Bytes: make([]byte, bundleBytes)}}
		synctest.Wait()
		if got := h.got(); len(got) != 2 {
			t.Errorf("a full bundle waited: %d messages", len(got))
		}
		// As do many: whoever gets one checks each signature before it relays.
		time.Sleep(bundleWait)
		synctest.Wait()
		before := len(h.got())
		many := make([]chain.Tx, 1000)
		for i := range many {
			many[i] = chain.Tx{Bytes: make([]byte, 10)}
		}
		b.in <- many
		time.Sleep(bundleWait)
		synctest.Wait()
		sum := 0
		for _, m := range h.got()[before:] {
			n := len(m.(wire.Txs).Txs)
			sum += n
			if n > bundleTxs {
				t.Errorf("a bundle has %d transactions, want at most %d", n, bundleTxs)
			}
		}
		if sum != len(many) {
			t.Errorf("%d of %d transactions were sent", sum, len(many))
		}
		cancel()
		<-done
	})
}

// Transactions that are being gathered when the node stops end with an event
// each, as do those that come at that very moment.
func TestTransactionsInTheBundlerEndWithAnEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan outcome, 16)
		o := newOutbox(&hall{listeners: 1}, 64, func(_ publication, out outcome) { ended <- out })
		b := newBundler(o)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); b.run(ctx) }()
		tx := []chain.Tx{{Bytes: make([]byte, 100)}}
		if err := b.put(t.Context(), tx); err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // it is held
		cancel()
		<-done
		stopped, stop := context.WithCancel(t.Context())
		stop()
		o.run(stopped) // as the node stops its parts: the outbox after the bundler
		if out := <-ended; out.err == nil {
			t.Error("what was held is said to have been sent")
		}
		took := 0
		for range 8 {
			if err := b.put(t.Context(), tx); err == nil {
				took++
			} else if !errors.Is(err, ErrNotRunning) {
				t.Errorf("put after the end = %v, want ErrNotRunning", err)
			}
		}
		for range took {
			if out := <-ended; !errors.Is(out.err, ErrNotRunning) {
				t.Errorf("what came after the end ended with %v, want ErrNotRunning", out.err)
			}
		}
	})
}

func TestGateKeepsOnePeerFromFillingThePool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(1, 2)
		ctx := t.Context()
		leave, why := g.enter(ctx, "hog")
		if why != "" {
			t.Fatal(why)
		}
		waiting := make(chan func())
		go func() {
			leave, _ := g.enter(ctx, "hog")
			waiting <- leave
		}()
		synctest.Wait()
		if _, why := g.enter(ctx, "hog"); why != "validation-quota" {
			t.Errorf("third of the hog = %q, want validation-quota", why)
		}
		honest := make(chan func())
		go func() {
			leave, _ := g.enter(ctx, "honest")
			honest <- leave
		}()
		synctest.Wait()
		leave()
		for range 2 {
			select {
			case leave := <-waiting:
				leave()
			case leave := <-honest:
				leave()
			}
		}
		short, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		leave, _ = g.enter(short, "a")
		if _, why := g.enter(short, "b"); why != "validation-timeout" {
			t.Errorf("no room = %q, want validation-timeout", why)
		}
		leave()
		if len(g.inside) != 0 {
			t.Errorf("%d peers are still inside", len(g.inside))
		}
	})
}

func TestBundleVerdictTakesTheWorst(t *testing.T) {
	bad, worse := chain.RejectedAt(peer.Low, "bad"), chain.Rejected("worse")
	tests := []struct {
		name string
		in   []chain.Verdict
		want chain.Verdict
	}{
		{"empty", nil, chain.Ignored("known-txs")},
		{"all known", []chain.Verdict{chain.Ignored("known")}, chain.Ignored("known")},
		{"one new", []chain.Verdict{chain.Ignored("known"), chain.Accepted()}, chain.Accepted()},
		{"one not looked at", []chain.Verdict{chain.Accepted(), chain.Ignored("unchecked"), chain.Accepted()}, chain.Ignored("unchecked")}, // E-13
		{"not looked at first", []chain.Verdict{chain.Ignored("unchecked"), chain.Accepted()}, chain.Ignored("unchecked")},
		{"one not looked at, another known", []chain.Verdict{chain.Ignored("unchecked"), chain.Ignored("known")}, chain.Ignored("unchecked")},
		{"one bad", []chain.Verdict{chain.Accepted(), bad, worse, chain.Accepted()}, worse},
	}
	for _, tt := range tests {
		if got := bundleVerdict(tt.in); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

// What the pool did not look at, or found a fault in, may be asked of others:
// the fault may lie in what a hash does not cover.
func TestOnlyWhatThePoolHasLookedAtIsSettled(t *testing.T) {
	for v, want := range map[chain.Verdict]bool{
		chain.Accepted():                     true,
		chain.Ignored("known"):               true,
		chain.Ignored("no-room"):             true,
		chain.Ignored(chain.Unchecked):       false,
		chain.Ignored("validation-quota"):    false,
		chain.Ignored("validation-timeout"):  false,
		chain.Rejected("bad-signature"):      false,
		chain.RejectedAt(peer.Low, "unpaid"): false,
	} {
		if got := settles(v); got != want {
			t.Errorf("%v settles: %v, want %v", v, got, want)
		}
	}
}
