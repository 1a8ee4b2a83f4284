package relay

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pool takes everything.
type pool struct {
	mu    sync.Mutex
	txs   map[chain.Hash]chain.Tx
	fresh chan []chain.Tx
}

func (p *pool) Has(h chain.Hash) bool { _, ok := p.Get(h); return ok }

func (p *pool) Get(h chain.Hash) (chain.Tx, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	tx, ok := p.txs[h]
	return tx, ok
}

func (p *pool) Add(txs []chain.Tx) []chain.Verdict {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make([]chain.Verdict, len(txs))
	for i, tx := range txs {
		if _, ok := p.txs[tx.Hash]; !ok {
			p.txs[tx.Hash] = tx
			out[i] = chain.Accepted()
			p.fresh <- []chain.Tx{tx}
		}
	}
	return out
}

func (p *pool) Pending(max, _ int) (out []chain.Tx) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, tx := range p.txs {
		out = append(out, tx)
	}
	slices.SortFunc(out, func(a, b chain.Tx) int { return slices.Compare(a.Hash[:], b.Hash[:]) })
	return out[:min(max, len(out))]
}

func (p *pool) Subscribe(context.Context) <-chan []chain.Tx { return p.fresh }

// session notes what it is sent, and answers requests with answer.
type session struct {
	id     peer.ID
	sent   chan wire.Message
	stall  chan struct{} // Send waits for it; nil: it does not
	answer func(ctx context.Context, hashes []chain.Hash) ([]chain.Tx, error)
}

func newSession(id peer.ID) *session { return &session{id: id, sent: make(chan wire.Message, 1024)} }

func (s *session) Peer() peer.Info       { return peer.Info{ID: s.id} }
func (s *session) Close(peer.Reason)     {}
func (s *session) Done() <-chan struct{} { return nil }

func (s *session) Send(ctx context.Context, _ wire.Lane, m wire.Message) error {
	if s.stall != nil {
		select {
		case <-s.stall:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	s.sent <- m
	return nil
}

func (s *session) Request(ctx context.Context, r wire.Request) (wire.Response, error) {
	txs, err := s.answer(ctx, r.(wire.GetTxs).Hashes)
	if err != nil {
		return nil, err
	}
	return wire.TxList{Txs: txs}, nil
}

// got is what a session was sent so far.
func (s *session) got() (out []wire.Message) {
	synctest.Wait()
	for {
		select {
		case m := <-s.sent:
			out = append(out, m)
		default:
			return out
		}
	}
}

// rig is a relay that runs.
type rig struct {
	*Relay
	pool    *pool
	mu      sync.Mutex
	charged []peer.Offense
}

func run(t *testing.T, cfg CoreConfig, queue int) *rig {
	t.Helper()
	r := &rig{pool: &pool{txs: map[chain.Hash]chain.Tx{}, fresh: make(chan []chain.Tx, 1024)}}
	if cfg.Policy.Push == nil {
		cfg.Policy = Geth()
	}
	var err error
	r.Relay, err = New(Config{
		Core: cfg, Pool: r.pool, Queue: queue,
		Take: func(_ context.Context, s wire.Session, txs []chain.Tx) bool {
			r.Have(s.Peer().ID, txs)
			r.pool.Add(txs)
			return true
		},
		Charge: func(_ wire.Session, o peer.Offense, _ string) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.charged = append(r.charged, o)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("Run = %v", err)
		}
	})
	r.Open()
	return r
}

func tx(n byte) chain.Tx {
	return chain.Tx{Hash: chain.Hash{n}, Kind: 2, Sender: "s", Bytes: make([]byte, 100)}
}

func TestAFetchedTransactionIsPassedOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, eth, 0)
		a, b := newSession("a"), newSession("b")
		a.answer = func(_ context.Context, hashes []chain.Hash) ([]chain.Tx, error) { return []chain.Tx{tx(1)}, nil }
		r.Join(a)
		r.Join(b)
		r.Announced("a", []wire.TxID{id(1)})
		time.Sleep(time.Second)
		got := b.got()
		if len(got) != 1 {
			t.Fatalf("b was sent %v, want the transaction once", got)
		}
		if m := a.got(); len(m) != 0 {
			t.Errorf("a was sent %v, which it announced itself", m)
		}
		if !r.pool.Has(tx(1).Hash) {
			t.Error("the pool lacks it")
		}
	})
}

func TestANewPeerHearsWhatIsPending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, eth, 0)
		for n := range byte(100) {
			r.pool.txs[tx(n).Hash] = tx(n)
		}
		a := newSession("a")
		r.Join(a)
		got := a.got()
		if len(got) != 1 || len(got[0].(wire.TxAnnounce).Txs) != 100 {
			t.Errorf("sent %v, want one announcement of 100", got)
		}
	})
}

// A peer that does not read, and one that does not answer, hold nobody up.
func TestAStalledPeerHoldsNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, queue := range []int{1, 0} {
			r := run(t, eth, queue)
			stalled, silent, good := newSession("stalled"), newSession("silent"), newSession("good")
			stalled.stall = make(chan struct{})
			silent.answer = func(ctx context.Context, _ []chain.Hash) ([]chain.Tx, error) { <-ctx.Done(); return nil, ctx.Err() }
			good.answer = func(_ context.Context, hs []chain.Hash) (out []chain.Tx, _ error) {
				for _, h := range hs {
					out = append(out, tx(h[0]))
				}
				return out, nil
			}
			for _, s := range []*session{stalled, silent, good} {
				r.Join(s)
			}
			synctest.Wait()
			r.Announced("silent", []wire.TxID{id(200)})
			synctest.Wait()
			r.Announced("good", []wire.TxID{id(200), id(201)})
			time.Sleep(FetchTimeout + time.Second)
			for _, n := range []byte{200, 201} {
				if !r.pool.Has(tx(n).Hash) {
					t.Errorf("queue %d: transaction %d did not come", queue, n)
				}
			}
			for n := range byte(20) {
				r.pool.Add([]chain.Tx{tx(n)})
				synctest.Wait()
			}
			count := 0
			for _, m := range good.got() {
				switch m := m.(type) {
				case wire.Txs:
					count += len(m.Txs)
				case wire.TxAnnounce:
					count += len(m.Txs)
				}
			}
			if count < 20 {
				t.Errorf("queue %d: good heard of %d, want 20", queue, count)
			}
			close(stalled.stall)
		}
	})
}

// What comes of a session that has ended counts for nothing, even if the same
// peer is back.
func TestAnAnswerOfAnEndedSessionIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, eth, 0)
		late := make(chan struct{})
		old, fresh := newSession("a"), newSession("a")
		old.answer = func(context.Context, []chain.Hash) ([]chain.Tx, error) { <-late; return nil, errors.New("ended") }
		fresh.answer = func(context.Context, []chain.Hash) ([]chain.Tx, error) { return []chain.Tx{tx(1)}, nil }
		r.Join(old)
		r.Announced("a", []wire.TxID{id(1)})
		time.Sleep(time.Second)
		r.Leave("a")
		r.Join(fresh)
		synctest.Wait()
		r.Announced("a", []wire.TxID{id(1)})
		close(late)
		time.Sleep(time.Second)
		if !r.pool.Has(tx(1).Hash) {
			t.Error("the new session was not asked")
		}
	})
}

func TestWhatIsOverTheQueueIsDroppedAndCounted(t *testing.T) {
	r, err := New(Config{
		Core: CoreConfig{Policy: Geth()}, Queue: 2, Take: func(context.Context, wire.Session, []chain.Tx) bool { return true },
		Charge: func(wire.Session, peer.Offense, string) {},
	})
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		r.Announced("a", nil)
		r.BlockSeen("a", chain.Hash{})
	}
	for range 100 {
		r.Leave("a") // never dropped
	}
	if d := r.Drops(); d["mailbox-announced"] != 3 || d["mailbox-block-seen"] != 3 {
		t.Errorf("drops %v", d)
	}
	if n := len(r.mail.take()); n != 104 {
		t.Errorf("%d letters, want 104", n)
	}
}

func TestConfigIsChecked(t *testing.T) {
	if _, err := New(Config{}); err == nil {
		t.Error("a relay without a policy was made")
	}
	if _, err := New(Config{Core: CoreConfig{Policy: Geth()}}); err == nil {
		t.Error("a relay without a judge was made")
	}
	for _, name := range []string{"geth", "frugal", "flood"} {
		if p, err := PolicyNamed(name); err != nil || p.Name != name {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := PolicyNamed("loud"); err == nil {
		t.Error("an unknown policy was found")
	}
}

// What a request spends in our own queue is no silence of the peer's: its time
// counts from when it left.
func TestTheTimeOfARequestCountsFromWhenItLeft(t *testing.T) {
	for _, tt := range []struct {
		name         string
		tells        bool
		left, answer time.Duration // after it was asked, and after it left; 0: never
		silent       bool
		took         time.Duration
	}{
		{"a wire that does not tell", false, 0, 0, true, FetchTimeout},
		{"it never leaves", true, 0, 0, false, FetchTimeout},
		{"it leaves late and is answered", true, 4 * time.Second, 4 * time.Second, false, 8 * time.Second},
		{"it leaves late and is not answered", true, 4 * time.Second, 0, true, 4*time.Second + FetchTimeout},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newSession("a")
			s.answer = func(ctx context.Context, _ []chain.Hash) ([]chain.Tx, error) {
				wait := func(d time.Duration) bool {
					if d > 0 {
						select {
						case <-time.After(d):
							return true
						case <-ctx.Done():
						}
					}
					<-ctx.Done()
					return false
				}
				if wait(tt.left) {
					if wire.Sent(ctx, time.Now()); wait(tt.answer) {
						return nil, nil
					}
				}
				return nil, context.Cause(ctx)
			}
			c := courier{session: s, tellsSent: tt.tells}
			began := time.Now()
			_, silent, err := c.request(t.Context(), wire.GetTxs{})
			if took := time.Since(began); silent != tt.silent || (err == nil) != (tt.answer > 0) || took != tt.took {
				t.Errorf("%s: silent %v, %v after %v, want %v after %v", tt.name, silent, err, took, tt.silent, tt.took)
			}
		})
	}
}
