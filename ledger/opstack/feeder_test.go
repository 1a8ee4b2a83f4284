package opstack_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/ledger"
	"github.com/starlingp2p/starling/ledger/opstack"
	"github.com/starlingp2p/starling/wire/opstack/codec"
)

// client is an execution client as the Engine API shows it: it has blocks by
// hash, and takes one whose parent it has.
type client struct {
	mu    sync.Mutex
	has   map[chain.Hash]chain.Ref
	par   map[chain.Hash]chain.Hash
	head  chain.Ref
	safe  chain.Hash // as it was told last
	final chain.Hash
	heads *opstack.Heads // of the ledger that it is fed from
	calls []string       // "payload 5", "head 5"
	down  error          // what each call fails with; nil: nothing
	busy  bool           // it takes no payloads but those that it has: it is syncing by itself
	bad   uint64         // the number of a block that it finds not valid
	hold  chan struct{}
	takes time.Duration // for a payload
}

func newClient(first chain.Ref, more ...chain.Block) *client {
	c := &client{has: map[chain.Hash]chain.Ref{first.Hash: first}, par: map[chain.Hash]chain.Hash{}, head: first}
	for _, b := range more {
		c.has[b.Ref().Hash], c.par[b.Ref().Hash], c.head = b.Ref(), b.Header.Parent, b.Ref()
	}
	return c
}

func (c *client) Host() string { return "127.0.0.1:8551" }

func (c *client) NewPayload(ctx context.Context, p *codec.Envelope) (opstack.PayloadStatus, error) {
	if c.hold != nil {
		select {
		case <-c.hold:
		case <-ctx.Done():
			return opstack.PayloadStatus{}, ctx.Err()
		}
	}
	time.Sleep(c.takes)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls = append(c.calls, fmt.Sprintf("payload %d", p.Number))
	_, known := c.has[p.BlockHash]
	_, linked := c.has[p.ParentHash]
	switch {
	case c.down != nil:
		return opstack.PayloadStatus{}, c.down
	case p.Number == c.bad:
		return opstack.PayloadStatus{Status: opstack.StatusInvalid, ValidationError: "wrong state root"}, nil
	case known:
	case c.busy || !linked:
		return opstack.PayloadStatus{Status: opstack.StatusSyncing}, nil
	default:
		c.has[p.BlockHash], c.par[p.BlockHash] = chain.Ref{Number: p.Number, Hash: p.BlockHash}, p.ParentHash
	}
	return opstack.PayloadStatus{Status: opstack.StatusValid}, nil
}

func (c *client) Forkchoice(_ context.Context, _ codec.Version, head, safe, final chain.Hash) (opstack.PayloadStatus, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.safe, c.final = safe, final
	ref, ok := c.has[head]
	c.calls = append(c.calls, fmt.Sprintf("head %d", ref.Number))
	switch {
	case c.down != nil:
		return opstack.PayloadStatus{}, c.down
	case !ok:
		return opstack.PayloadStatus{Status: opstack.StatusSyncing}, nil
	}
	c.head = ref
	return opstack.PayloadStatus{Status: opstack.StatusValid}, nil
}

func (c *client) Head(context.Context) (chain.Ref, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.head, c.down
}

func (c *client) Block(_ context.Context, number uint64) (chain.Ref, bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := c.head
	for at.Number > number {
		at = c.has[c.par[at.Hash]]
	}
	return at, at.Number == number, c.down
}

// made gives what the client was asked since it was asked last.
func (c *client) made() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := c.calls
	c.calls = nil
	return out
}

func (c *client) set(change func(*client)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(c)
}

func (c *client) at() chain.Ref {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.head
}

// last is the highest number of a block that it has.
func (c *client) last() (most uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, ref := range c.has {
		most = max(most, ref.Number)
	}
	return most
}

// fed runs a Feeder on a ledger that has the first blocks of a chain, in a
// bubble, until the test's own part ends.
func fed(t *testing.T, c *client, have []chain.Block, log *slog.Logger, then func(*opstack.Feeder, *ledger.Ledger)) {
	t.Helper()
	l, err := ledger.Open("chain", ledger.Options{Family: family(t), FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := l.Import(t.Context(), have); err != nil {
		t.Fatal(err)
	}
	c.heads = opstack.NewHeads(l)
	f, err := opstack.NewFeeder(opstack.FeederConfig{Engine: c, Chain: l, Heads: c.heads, Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Run = %v", err)
		}
	}()
	synctest.Wait()
	then(f, l)
}

func genesis(t *testing.T) chain.Ref { return family(t).Spec().Genesis.Ref() }

// asked is what a client is asked of blocks from..to, each block's head after
// it where named.
func asked(from, to uint64, heads ...uint64) (out []string) {
	for n := from; n <= to; n++ {
		out = append(out, fmt.Sprintf("payload %d", n))
		if slices.Contains(heads, n) {
			out = append(out, fmt.Sprintf("head %d", n))
		}
	}
	return out
}

func TestTheClientFollowsTheUnsafeHead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := blocks(t, family(t), 10)
		c := newClient(genesis(t))
		fed(t, c, nil, nil, func(f *opstack.Feeder, l *ledger.Ledger) {
			if got := c.made(); len(got) != 0 || f.State().Code != opstack.FeedStarting {
				t.Errorf("with no block it was asked %v, %+v", got, f.State())
			}
			for _, b := range all {
				if _, err := l.Import(t.Context(), []chain.Block{b}); err != nil {
					t.Fatal(err)
				}
				f.Wake()
				synctest.Wait()
				n := b.Ref().Number
				if got, want := c.made(), asked(n, n, n); !slices.Equal(got, want) || c.at() != b.Ref() {
					t.Errorf("block %d: it was asked %v and is at %v, want %v", n, got, c.at(), want)
				}
			}
			if st := f.State(); st.Code != opstack.FeedFollowing || st.Head != all[9].Ref() || st.Trouble() {
				t.Errorf("state %+v", st)
			}
		})
	})
}

// Whoever reads L1 tells the safe and finalized heads, and the client hears of
// them with the next head. None is ever above that.
func TestTheClientHearsOfAllThreeHeads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := blocks(t, family(t), 6)
		c := newClient(genesis(t))
		fed(t, c, nil, nil, func(f *opstack.Feeder, l *ledger.Ledger) {
			next := func(n int, safe, final chain.Hash) {
				t.Helper()
				if _, err := l.Import(t.Context(), all[n:n+1]); err != nil {
					t.Fatal(err)
				}
				f.Wake()
				synctest.Wait()
				c.set(func(c *client) {
					if c.head != all[n].Ref() || c.safe != safe || c.final != final {
						t.Errorf("it was told of %v, safe %v, finalized %v; want %v, %v, %v", c.head, c.safe, c.final, all[n].Ref(), safe, final)
					}
				})
			}
			next(0, chain.Hash{}, chain.Hash{})
			if err := c.heads.SetFinalized(t.Context(), all[0].Ref()); err != nil {
				t.Fatal(err)
			}
			next(1, all[0].Ref().Hash, all[0].Ref().Hash)
			next(2, all[0].Ref().Hash, all[0].Ref().Hash)
			if err := c.heads.SetSafe(t.Context(), all[2].Ref()); err != nil {
				t.Fatal(err)
			}
			next(3, all[2].Ref().Hash, all[0].Ref().Hash)
		})
	})
}

// A client that is behind gets from the ledger what it lacks, in order, and is
// moved on the way. One that was set back is found out without a new head.
func TestAClientThatIsBehindIsFilled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := blocks(t, family(t), 100)
		c := newClient(genesis(t), all[:3]...)
		fed(t, c, all, nil, func(f *opstack.Feeder, _ *ledger.Ledger) {
			want := append([]string{"payload 200"}, asked(104, 200, 128, 160, 192, 200)...)
			if got := c.made(); !slices.Equal(got, want) || c.at() != all[99].Ref() {
				t.Errorf("it was asked %v\nand is at %v, want %v", got, c.at(), want)
			}
			old := newClient(genesis(t), all[:90]...)
			c.set(func(c *client) { c.has, c.par, c.head = old.has, old.par, old.head })
			time.Sleep(31 * time.Second)
			synctest.Wait()
			want = append([]string{"payload 200"}, asked(191, 200, 192, 200)...)
			if got := c.made(); !slices.Equal(got, want) || c.at() != all[99].Ref() {
				t.Errorf("after it lost 10 blocks it was asked %v and is at %v, want %v", got, c.at(), want)
			}
		})
	})
}

// A client on another branch is led back to ours; one of another chain is named.
func TestAClientOnAnotherBranch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fam := family(t)
		all := blocks(t, fam, 20)
		theirs := slices.Clone(all[:12])
		for range 15 {
			theirs = append(theirs, child(t, fam, theirs[len(theirs)-1].Header, 7))
		}
		c := newClient(genesis(t), theirs...)
		fed(t, c, all, nil, func(*opstack.Feeder, *ledger.Ledger) {
			if got := c.made(); c.at() != all[19].Ref() || got[len(got)-1] != "head 120" || len(got) > 20 {
				t.Errorf("it was asked %v and is at %v, want block 120", got, c.at())
			}
		})
		c = newClient(chain.Ref{Number: 100, Hash: chain.Hash{9}})
		fed(t, c, all, nil, func(f *opstack.Feeder, _ *ledger.Ledger) {
			if st := f.State(); st.Code != opstack.FeedApart || !st.Trouble() || !strings.Contains(st.Remedy, "genesis") {
				t.Errorf("state %+v", st)
			}
		})
	})
}

// What gossip brings is handed over at once, though the ledger lacks blocks
// before it, and the client is told to go there: it fetches them from its own
// peers. So it does where it takes no blocks from us.
func TestTheClientSyncsByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := blocks(t, family(t), 60)
		c := newClient(genesis(t), all[:2]...)
		fed(t, c, all[:2], nil, func(f *opstack.Feeder, l *ledger.Ledger) {
			c.made()
			f.Offer(all[49])
			synctest.Wait()
			if got, want := c.made(), []string{"payload 150", "head 0"}; !slices.Equal(got, want) || f.State().Code != opstack.FeedSyncing {
				t.Errorf("it was asked %v, want %v; %+v", got, want, f.State())
			}
		})
		c = newClient(genesis(t))
		c.busy = true
		fed(t, c, all, nil, func(f *opstack.Feeder, _ *ledger.Ledger) {
			if got, want := c.made(), []string{"payload 160", "payload 101", "head 0"}; !slices.Equal(got, want) || f.State().Code != opstack.FeedSyncing {
				t.Errorf("a busy one was asked %v, want %v; %+v", got, want, f.State())
			}
			done := newClient(genesis(t), all...)
			c.set(func(c *client) { c.has, c.par, c.head, c.busy = done.has, done.par, done.head, false })
			time.Sleep(11 * time.Second)
			synctest.Wait()
			if f.State().Code != opstack.FeedFollowing {
				t.Errorf("it has synced, and the state is %+v", f.State())
			}
		})
	})
}

// A client that is slow gets the newest block when it is ready, and nobody has
// waited for it.
func TestASlowClientSlowsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := blocks(t, family(t), 60)
		c := newClient(genesis(t), all[:50]...)
		c.hold = make(chan struct{})
		fed(t, c, all[:1], nil, func(f *opstack.Feeder, _ *ledger.Ledger) {
			began := time.Now()
			for _, b := range all[1:50] {
				f.Offer(b)
			}
			f.Offer(all[20]) // which is older
			if took := time.Since(began); took != 0 {
				t.Errorf("offering took %v", took)
			}
			close(c.hold)
			synctest.Wait()
			want := []string{"payload 101", "head 101", "payload 150", "head 150"}
			if _, coalesced := f.Counts(); coalesced != 48 || !slices.Equal(c.made(), want) {
				t.Errorf("%d blocks were replaced, want 48", coalesced)
			}
		})
	})
}

// lines collects a log.
type lines struct {
	mu  sync.Mutex
	all []string
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, string(b))
	return len(b), nil
}

// A client that is away is asked ever more rarely, is told of once, and follows
// when it is back.
func TestAClientThatIsAwayIsAskedRarely(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := blocks(t, family(t), 3)
		c := newClient(genesis(t))
		c.down = &net.OpError{Op: "dial", Err: errors.New("connection refused")}
		var log lines
		fed(t, c, all, slog.New(slog.NewTextHandler(&log, nil)), func(f *opstack.Feeder, _ *ledger.Ledger) {
			for range 300 { // a new head each second
				time.Sleep(time.Second)
				f.Wake()
			}
			if n := len(c.made()); n < 8 || n > 16 {
				t.Errorf("it was asked %d times in 5 minutes, want about 13", n)
			}
			st := f.State()
			if st.Code != opstack.FeedUnreachable || !strings.Contains(st.Cause, "127.0.0.1:8551") || !strings.Contains(st.Remedy, "authrpc") || time.Since(st.Since) < 4*time.Minute {
				t.Errorf("state %+v", st)
			}
			c.set(func(c *client) { c.down = nil })
			time.Sleep(31 * time.Second)
			synctest.Wait()
			if c.at() != all[2].Ref() || f.State().Code != opstack.FeedFollowing || f.State().Detail != "" {
				t.Errorf("it is back, at %v: %+v", c.at(), f.State())
			}
			calls, _ := f.Counts()
			if calls[opstack.FeedCall{Call: "payload", Result: "unreachable"}] < 8 || calls[opstack.FeedCall{Call: "forkchoice", Result: "valid"}] == 0 {
				t.Errorf("counted %v", calls)
			}
		})
		if len(log.all) != 2 || !strings.Contains(log.all[0], "level=WARN") || !strings.Contains(log.all[1], "level=INFO") {
			t.Errorf("the log has %q, want one warning and the news that it is back", log.all)
		}
	})
}

// A block that the client finds wrong is told of, and the next is tried.
func TestABlockThatTheClientRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := blocks(t, family(t), 4)
		c := newClient(genesis(t))
		c.bad = 103
		fed(t, c, all[:3], nil, func(f *opstack.Feeder, l *ledger.Ledger) {
			if st := f.State(); st.Code != opstack.FeedInvalid || !strings.Contains(st.Cause, "103") || !strings.Contains(st.Detail, "wrong state root") {
				t.Errorf("state %+v", st)
			}
			c.made()
			c.set(func(c *client) { c.bad = 0 })
			if _, err := l.Import(t.Context(), all[3:]); err != nil {
				t.Fatal(err)
			}
			f.Wake()
			synctest.Wait()
			if c.at() != all[3].Ref() || f.State().Code != opstack.FeedFollowing {
				t.Errorf("after its update it is at %v: %+v", c.at(), f.State())
			}
		})
	})
}
