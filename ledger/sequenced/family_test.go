package sequenced_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/goleak"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/env"
	"github.com/starlingp2p/starling/ledger"
	"github.com/starlingp2p/starling/ledger/sequenced"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// key is a fixed private key.
func key(n byte) ed25519.PrivateKey { return sequenced.KeyFromSeed([32]byte{n}) }

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// fixedWall is a clock that stands still.
type fixedWall struct{ at time.Time }

func (w fixedWall) Now() time.Time { return w.at }

var _ env.Wall = fixedWall{}

func config() sequenced.Config {
	return sequenced.Config{
		Network:      "test",
		SequencerKey: key(1).Public().(ed25519.PublicKey),
		GenesisTime:  epoch,
		Alloc:        map[sequenced.Address]uint64{sequenced.AddressOf(key(2)): 1000, sequenced.AddressOf(key(3)): 500},
		Wall:         fixedWall{epoch.Add(time.Minute)},
	}
}

func family(t testing.TB, change ...func(*sequenced.Config)) *sequenced.Family {
	t.Helper()
	c := config()
	for _, f := range change {
		f(&c)
	}
	f, err := sequenced.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func open(t testing.TB, f *sequenced.Family) *ledger.Ledger {
	t.Helper()
	l, err := ledger.Open("chain", ledger.Options{Family: f, FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// grow imports a block of txs on the head.
func grow(t testing.TB, l *ledger.Ledger, f *sequenced.Family, txs ...chain.Tx) chain.Block {
	t.Helper()
	h, err := l.Header(t.Context(), l.Status().Head)
	if err != nil {
		t.Fatal(err)
	}
	b := f.Seal(key(1), h, h.Time.Add(time.Second), txs)
	if err := f.VerifyBody(b.Header, b.Body, b.Extra); err != nil {
		t.Fatal(err)
	}
	if n, err := f.VerifyHeaders(h, []chain.Header{b.Header}); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	if n, err := l.Import(t.Context(), []chain.Block{b}); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	return b
}

func account(t testing.TB, l *ledger.Ledger, f *sequenced.Family, a sequenced.Address) sequenced.Account {
	t.Helper()
	acc, err := sequenced.ReadAccount(t.Context(), l, a)
	if err != nil {
		t.Fatal(err)
	}
	return acc
}

func check(t testing.TB, l *ledger.Ledger) {
	t.Helper()
	if err := errors.Join(l.CheckInvariants(context.Background()), l.CheckState(context.Background())); err != nil {
		t.Fatal(err)
	}
}

func TestTransfersMoveBalancesAndFees(t *testing.T) {
	f := family(t)
	l := open(t, f)
	a, b := sequenced.AddressOf(key(2)), sequenced.AddressOf(key(3))
	tx := sequenced.NewTransfer(f.Genesis(), key(2), 0, b, 100, 7)
	grow(t, l, f, tx, sequenced.NewData(f.Genesis(), key(2), 1, []byte("hello"), 3))
	if got, want := account(t, l, f, a), (sequenced.Account{Balance: 890, Nonce: 2}); got != want {
		t.Errorf("sender = %+v, want %+v", got, want)
	}
	if got, want := account(t, l, f, b), (sequenced.Account{Balance: 600}); got != want {
		t.Errorf("recipient = %+v, want %+v", got, want)
	}
	if got, want := account(t, l, f, sequenced.AddressOf(key(1))), (sequenced.Account{Balance: 10}); got != want {
		t.Errorf("sequencer = %+v, want %+v", got, want)
	}
	got, err := l.Tx(t.Context(), tx.Hash)
	if err != nil || got.Hash != tx.Hash || string(got.Bytes) != string(tx.Bytes) {
		t.Errorf("Tx = %v, %v", got.Hash, err)
	}
	check(t, l)
}

func TestInvalidTransactionsMakeTheBlockInvalid(t *testing.T) {
	f := family(t)
	g := f.Genesis()
	to := sequenced.AddressOf(key(3))
	for name, tx := range map[string]chain.Tx{
		"nonce in the future": sequenced.NewTransfer(g, key(2), 1, to, 1, 0),
		"more than it has":    sequenced.NewTransfer(g, key(2), 0, to, 1001, 0),
		"fee beyond the rest": sequenced.NewTransfer(g, key(2), 0, to, 1000, 1),
		"sum overflows":       sequenced.NewTransfer(g, key(2), 0, to, 1, 1<<64-1),
		"nothing to pay with": sequenced.NewData(g, key(9), 0, nil, 1),
	} {
		t.Run(name, func(t *testing.T) {
			l := open(t, f)
			h, _ := l.Header(t.Context(), l.Status().Head)
			b := f.Seal(key(1), h, epoch.Add(time.Second), []chain.Tx{tx})
			if n, err := l.Import(t.Context(), []chain.Block{b}); n != 0 || !errors.Is(err, chain.ErrInvalid) {
				t.Errorf("Import = %d, %v; want 0, ErrInvalid", n, err)
			}
			if l.Status().Head.Number != 0 {
				t.Errorf("head moved to %v", l.Status().Head)
			}
			check(t, l)
		})
	}
}
