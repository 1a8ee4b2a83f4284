package opstack_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
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

// sequencer runs a producer for d on a chain that began some time ago, and
// gives what it published.
func sequencer(t *testing.T, began time.Duration, d time.Duration, change func(*opstack.ProducerConfig)) (out []chain.Block, l *ledger.Ledger, p *opstack.Producer) {
	t.Helper()
	f := family(t, func(c *opstack.Config) {
		c.Wall, c.MaxAge = nil, 0
		c.Genesis.Time = uint64(time.Now().Add(-began).Unix())
		c.Forks = []opstack.Fork{{"jovian", 0}}
	})
	l, err := ledger.Open("chain", ledger.Options{Family: f, FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	c := opstack.ProducerConfig{
		Family: f, State: l, Signer: opstack.KeySigner{Key: key(t, 1)}, Import: l.Import,
		Publish: func(_ context.Context, b chain.Block) error {
			mu.Lock()
			defer mu.Unlock()
			out = append(out, b)
			if v := f.Check(b); v.Action != chain.Accept {
				t.Errorf("block %v is not to be gossiped: %v", b.Ref(), v)
			}
			return nil
		},
	}
	if change != nil {
		change(&c)
	}
	if p, err = opstack.NewProducer(c); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	if err := p.Run(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Run = %v", err)
	}
	mu.Lock()
	defer mu.Unlock()
	return out, l, p
}

func TestASequencerKeepsThePaceAndCatchesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got, l, p := sequencer(t, 10*time.Minute, 30500*time.Millisecond, nil)
		defer l.Close()
		if n := l.Status().Head.Number; n != 100+600+30 {
			t.Errorf("head %d, want 730", n)
		}
		if made, failed, _ := p.Stats(); made != 630 || failed != 0 {
			t.Errorf("made %d, %d failed", made, failed)
		}
		for i, b := range got {
			if i > 0 && b.Header.Parent == got[i-1].Ref().Hash && !b.Header.Time.Equal(got[i-1].Header.Time.Add(time.Second)) {
				t.Errorf("block %v is not a second after its parent", b.Ref())
			}
		}
		if len(got) < 30 {
			t.Errorf("%d blocks were published", len(got))
		}
	})
}

// A failed publish neither stops nor delays the next block, nor does one that
// never ends.
func TestPublishingNeverDelaysTheNextBlock(t *testing.T) {
	for name, publish := range map[string]func(context.Context, chain.Block) error{
		"fails": func(context.Context, chain.Block) error { return errors.New("no network") },
		"hangs": func(ctx context.Context, _ chain.Block) error { <-ctx.Done(); return ctx.Err() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, l, p := sequencer(t, 0, 20500*time.Millisecond, func(c *opstack.ProducerConfig) { c.Publish = publish })
				defer l.Close()
				made, failed, dropped := p.Stats()
				if made != 20 || l.Status().Head.Number != 120 || name == "fails" && failed != 20 || name == "hangs" && dropped < 10 {
					t.Errorf("made %d, %d failed, %d dropped; head %v", made, failed, dropped, l.Status().Head)
				}
			})
		})
	}
}

// A height is signed once, though its block cannot be imported at first.
func TestAHeightIsSignedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fails, seen := 3, map[chain.Hash]bool{}
		_, l, p := sequencer(t, 0, 10500*time.Millisecond, func(c *opstack.ProducerConfig) {
			imp, n := c.Import, 0
			c.Txs = func() [][]byte { n++; return [][]byte{fmt.Appendf(nil, "\x02%d", n)} } // never the same twice
			c.Import = func(ctx context.Context, bs []chain.Block) (int, error) {
				if bs[0].Ref().Number == 101 {
					seen[bs[0].Ref().Hash] = true
				}
				if fails--; fails >= 0 {
					return 0, chain.ErrFull
				}
				return imp(ctx, bs)
			}
		})
		defer l.Close()
		if made, _, _ := p.Stats(); len(seen) != 1 || made != 10 || l.Status().Head.Number != 110 {
			t.Errorf("%d blocks of one height, %d made, head %v", len(seen), made, l.Status().Head)
		}
	})
}

func TestAStrangersKeyIsRefused(t *testing.T) {
	f := family(t)
	l, err := ledger.Open("chain", ledger.Options{Family: f, FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, err = opstack.NewProducer(opstack.ProducerConfig{
		Family: f, State: l, Signer: opstack.KeySigner{Key: key(t, 2)}, Import: l.Import,
		Publish: func(context.Context, chain.Block) error { return nil },
	})
	if err == nil || !strings.Contains(err.Error(), key(t, 2).Address().String()) {
		t.Errorf("NewProducer = %v, want an error that names both accounts", err)
	}
}

// The signer is asked as op-node asks it, over TLS, and not believed.
func TestRemoteSigner(t *testing.T) {
	k := key(t, 1)
	reply := ""
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var q struct {
			Method string
			Params []struct {
				Domain        [32]byte
				ChainID       uint64
				PayloadHash   []byte
				SenderAddress string
			}
		}
		if err := json.NewDecoder(r.Body).Decode(&q); err != nil || r.Header.Get("X-Token") != "t" || r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("request: %v, %v", err, r.Header)
			return
		}
		if q.Method == "health_status" {
			fmt.Fprint(w, `{"jsonrpc":"2.0","id":1,"result":"v1.0.0"}`)
			return
		}
		a := q.Params[0]
		if q.Method != "opsigner_signBlockPayload" || a.ChainID != chainID || a.SenderAddress != k.Address().String() || a.Domain != [32]byte{} {
			t.Errorf("request %+v", q)
		}
		if reply != "" {
			fmt.Fprint(w, reply)
			return
		}
		sig, err := k.Sign(codec.SigningHash(a.ChainID, chain.Hash(a.PayloadHash)))
		if err != nil {
			t.Error(err)
		}
		fmt.Fprintf(w, `{"jsonrpc":"2.0","id":1,"result":"0x%x"}`, sig)
	}))
	defer srv.Close()
	cfg := opstack.RemoteConfig{
		Endpoint: srv.URL, Account: k.Address(), Headers: http.Header{"X-Token": {"t"}},
		TLS: srv.Client().Transport.(*http.Transport).TLSClientConfig,
	}
	s, err := opstack.NewRemoteSigner(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	h := chain.Hash{1, 2, 3}
	sig, err := s.Sign(t.Context(), chainID, h)
	if err != nil {
		t.Fatal(err)
	}
	if who, err := codec.Recover(codec.SigningHash(chainID, h), sig); err != nil || who != k.Address() {
		t.Errorf("signed by %v, %v", who, err)
	}
	other, err := key(t, 2).Sign(codec.SigningHash(chainID, h))
	if err != nil {
		t.Fatal(err)
	}
	for says, r := range map[string]string{
		"it signed as":    fmt.Sprintf(`{"result":"0x%x"}`, other),
		"is no signature": `{"result":"0x01"}`,
		"not today":       `{"error":{"code":-32000,"message":"not today"}}`,
		"no JSON":         `<html>`,
	} {
		reply = r
		if _, err := s.Sign(t.Context(), chainID, h); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, want %q in it", err, says)
		}
	}
	cfg.Endpoint = "ftp://x"
	if _, err := opstack.NewRemoteSigner(t.Context(), cfg); err == nil {
		t.Error("an endpoint of another kind is taken")
	}
}

// What is sent to a signer is sent to nobody whom it names.
func TestASignerThatSendsElsewhereIsNotFollowed(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("the other was asked, with %v", r.Header)
	}))
	defer other.Close()
	srv := httptest.NewServer(http.RedirectHandler(other.URL, http.StatusTemporaryRedirect))
	defer srv.Close()
	_, err := opstack.NewRemoteSigner(t.Context(), opstack.RemoteConfig{
		Endpoint: srv.URL, Account: key(t, 1).Address(), Headers: http.Header{"X-Token": {"t"}},
	})
	if err == nil || !strings.Contains(err.Error(), "status 307") {
		t.Errorf("NewRemoteSigner = %v, want status 307", err)
	}
}
