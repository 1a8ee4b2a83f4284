package sequenced_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/ledger"
	"github.com/starlingp2p/starling/ledger/sequenced"
)

func pool(t testing.TB, f *sequenced.Family, l *ledger.Ledger, change ...func(*sequenced.PoolConfig)) *sequenced.Pool {
	t.Helper()
	c := sequenced.PoolConfig{Family: f, State: l}
	for _, fn := range change {
		fn(&c)
	}
	p, err := sequenced.NewPool(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func transfer(f *sequenced.Family, from byte, nonce, amount, fee uint64) chain.Tx {
	return sequenced.NewTransfer(f.Genesis(), key(from), nonce, sequenced.AddressOf(key(4)), amount, fee)
}

func add(t testing.TB, p *sequenced.Pool, txs ...chain.Tx) {
	t.Helper()
	for i, v := range p.Add(txs) {
		if v.Action != chain.Accept {
			t.Fatalf("Add of transaction %d = %v", i, v)
		}
	}
}

func same(t testing.TB, got []chain.Tx, want ...chain.Tx) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d transactions, want %d", len(got), len(want))
	}
	for i := range got {
		if got[i].Hash != want[i].Hash {
			t.Errorf("transaction %d is %v, want %v", i, got[i].Hash, want[i].Hash)
		}
	}
}

// Threats T-01 and T-02: what a pool says to each kind of transaction.
func TestPoolVerdicts(t *testing.T) {
	f := family(t)
	l := open(t, f)
	p := pool(t, f, l, func(c *sequenced.PoolConfig) { c.PerSender = 3 })
	first := transfer(f, 2, 0, 1, 10)
	add(t, p, first)
	p.Pending(0, 0) // reads the sender's account
	bad := bytes.Clone(first.Bytes)
	bad[50]++
	other := family(t, func(c *sequenced.Config) { c.Network = "other" })
	for _, tt := range []struct {
		name string
		b    []byte
		want chain.Verdict
	}{
		{"known", first.Bytes, chain.Ignored("known")},
		{"signature", bad, chain.Rejected("bad-signature")},
		{"signature again", bad, chain.Rejected("bad-signature")},
		{"empty", nil, chain.Rejected("bad-encoding")},
		{"cut", first.Bytes[:100], chain.Rejected("bad-encoding")},
		{"long", append(bytes.Clone(first.Bytes), 0), chain.Rejected("bad-encoding")},
		{"too large", make([]byte, 1<<20+1), chain.Rejected("too-large")},
		{"network", transfer(other, 2, 1, 1, 1).Bytes, chain.Rejected("wrong-network")},
		{"same nonce, same fee", transfer(f, 2, 0, 2, 10).Bytes, chain.Ignored("underpriced-replacement")},
		{"same nonce, more", transfer(f, 2, 0, 2, 11).Bytes, chain.Accepted()},
		{"next nonces", transfer(f, 2, 2, 2, 11).Bytes, chain.Accepted()},
		{"too far ahead", transfer(f, 2, 3, 2, 11).Bytes, chain.Ignored("nonce-too-far-ahead")},
		{"third", transfer(f, 2, 1, 2, 11).Bytes, chain.Accepted()},
		{"unknown sender, any nonce", transfer(f, 3, 99, 2, 11).Bytes, chain.Accepted()},
		{"its second", transfer(f, 3, 7, 2, 11).Bytes, chain.Accepted()},
		{"its third", transfer(f, 3, 8, 2, 11).Bytes, chain.Accepted()},
		{"its fourth", transfer(f, 3, 9, 2, 11).Bytes, chain.Ignored("sender-full")},
	} {
		if got := p.Add([]chain.Tx{{Bytes: tt.b, Hash: chain.Hash{1}, Sender: "x"}})[0]; got != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.name, got, tt.want)
		}
	}
	if _, ok := p.Get(first.Hash); ok {
		t.Error("a replaced transaction is still there")
	}
	if got := p.Dropped()["sender-full"]; got != 1 {
		t.Errorf("dropped %v", p.Dropped())
	}
}

// Threat T-02: the pool is bounded in bytes for others, and room for our own
// stays.
func TestPoolIsBoundedInBytes(t *testing.T) {
	f := family(t)
	l := open(t, f)
	p := pool(t, f, l, func(c *sequenced.PoolConfig) { c.MaxBytes = 10_000 })
	data := make([]byte, 1000)
	full := 0
	for i := range 30 {
		tx := sequenced.NewData(f.Genesis(), key(byte(10+i)), 0, data, 0)
		if v := p.Add([]chain.Tx{tx})[0]; v == chain.Ignored("pool-full") {
			full++
		}
		if _, size := p.Len(); size > 10_000 {
			t.Fatalf("pool has %d bytes", size)
		}
	}
	if full == 0 {
		t.Error("nothing was refused")
	}
	if v := p.AddLocal(t.Context(), []chain.Tx{transfer(f, 2, 0, 1, 1)})[0]; v.Action != chain.Accept {
		t.Errorf("own transaction in a full pool: %v", v)
	}
}

func TestPendingIsByFeeAndInTheOrderOfNonces(t *testing.T) {
	f := family(t)
	l := open(t, f)
	p := pool(t, f, l)
	a0, a1, a3 := transfer(f, 2, 0, 10, 1), transfer(f, 2, 1, 10, 50), transfer(f, 2, 3, 10, 90)
	b0, b1 := transfer(f, 3, 0, 10, 20), transfer(f, 3, 1, 500, 20) // the second is beyond its balance
	add(t, p, a3, a1, b1, a0, b0)
	same(t, p.Pending(0, 0), b0, a0, a1)
	same(t, p.Pending(2, 0), b0, a0)
	same(t, p.Pending(0, len(b0.Bytes)), b0)
	same(t, p.Pending(0, 1))
}

func TestHeadChangesEmptyAndRefillThePool(t *testing.T) {
	f := family(t)
	l := open(t, f)
	p := pool(t, f, l)
	g := f.Spec().Genesis.Header
	a0, a1, b0 := transfer(f, 2, 0, 10, 1), transfer(f, 2, 1, 10, 1), transfer(f, 3, 0, 10, 2)
	rival := transfer(f, 2, 0, 99, 1)
	add(t, p, a0, a1, b0)
	grow(t, l, f, a0, b0)
	if err := p.OnHead(t.Context()); err != nil {
		t.Fatal(err)
	}
	same(t, p.Pending(0, 0), a1)
	if p.Has(a0.Hash) || p.Has(b0.Hash) {
		t.Error("included transactions are still in the pool")
	}
	// A reorganisation in which another of the sender's took the nonce.
	s1 := f.Seal(key(1), g, epoch.Add(2*time.Second), []chain.Tx{rival})
	s2 := f.Seal(key(1), s1.Header, epoch.Add(3*time.Second), nil)
	if n, err := l.Import(t.Context(), []chain.Block{s1, s2}); n != 2 || err != nil {
		t.Fatal(n, err)
	}
	if err := p.OnHead(t.Context()); err != nil {
		t.Fatal(err)
	}
	same(t, p.Pending(0, 0), b0, a1)
	if p.Has(a0.Hash) {
		t.Error("a replaced transaction came back")
	}
	check(t, l)
}

func TestPoolFollowsAHeadThatIsFarAway(t *testing.T) {
	f := family(t)
	l := open(t, f)
	p := pool(t, f, l)
	a0, b0 := transfer(f, 2, 0, 10, 1), transfer(f, 3, 0, 10, 2)
	add(t, p, a0, b0)
	p.Pending(0, 0)
	grow(t, l, f, a0)
	for range 200 {
		grow(t, l, f)
	}
	if err := p.OnHead(t.Context()); err != nil {
		t.Fatal(err)
	}
	same(t, p.Pending(0, 0), b0)
}

func TestSubscriberGetsNewOnesAndLosesTheOldest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := family(t)
		l := open(t, f)
		p := pool(t, f, l)
		ctx, stop := context.WithCancel(t.Context())
		c := p.Subscribe(ctx)
		var all []chain.Tx
		for i := range 100 {
			tx := sequenced.NewData(f.Genesis(), key(byte(100+i)), 0, nil, 0)
			add(t, p, tx)
			all = append(all, tx)
		}
		stop()
		synctest.Wait()
		var got []chain.Tx
		for bundle := range c { // closed, since the context ended
			got = append(got, bundle...)
		}
		same(t, got, all[36:]...)
		if p.Dropped()["subscriber-lags"] != 36 {
			t.Errorf("dropped %v, want 36", p.Dropped())
		}
		add(t, p, transfer(f, 2, 0, 0, 0)) // nobody listens
	})
}

func journaled(fs vfs.FS) func(*sequenced.PoolConfig) {
	return func(c *sequenced.PoolConfig) { c.Journal, c.FS = "journal", fs }
}

func TestOwnTransactionsSurviveAPowerLoss(t *testing.T) {
	f := family(t)
	l := open(t, f)
	fs := vfs.NewCrashableMem()
	p := pool(t, f, l, journaled(fs))
	own := []chain.Tx{transfer(f, 2, 0, 1, 1), transfer(f, 2, 1, 1, 1), transfer(f, 2, 2, 1, 1)}
	for _, tx := range own {
		if v := p.AddLocal(t.Context(), []chain.Tx{tx})[0]; v.Action != chain.Accept {
			t.Fatal(v)
		}
	}
	add(t, p, transfer(f, 3, 0, 1, 1)) // of somebody else: not journalled
	grow(t, l, f, own[0])
	p = pool(t, f, l, journaled(fs.CrashClone(vfs.CrashCloneCfg{})))
	same(t, p.Pending(0, 0), own[1:]...)
}

func TestTornJournalGivesItsGoodPart(t *testing.T) {
	f := family(t)
	l := open(t, f)
	own := []chain.Tx{transfer(f, 2, 0, 1, 1), transfer(f, 2, 1, 1, 1)}
	whole := sequenced.AppendRecord(sequenced.AppendRecord([]byte(sequenced.JournalHead), own[0].Bytes), own[1].Bytes)
	for cut := range len(whole) + 1 {
		fs := vfs.NewMem()
		file, _ := fs.Create("journal", vfs.WriteCategoryUnspecified)
		file.Write(bytes.Clone(whole[:cut]))
		file.Close()
		p := pool(t, f, l, journaled(fs))
		want := 0
		for n := len(sequenced.JournalHead) + 8 + len(own[0].Bytes); n <= cut; n += 8 + len(own[1].Bytes) {
			want++
		}
		same(t, p.Pending(0, 0), own[:want]...)
		// It takes more, and what it then has is whole.
		if v := p.AddLocal(t.Context(), []chain.Tx{transfer(f, 3, 0, 1, 0)})[0]; v.Action != chain.Accept {
			t.Fatal(v)
		}
		p.Close()
		if n := len(pool(t, f, l, journaled(fs)).Pending(0, 0)); n != want+1 {
			t.Errorf("cut at %d: %d transactions, want %d", cut, n, want+1)
		}
	}
	fs := vfs.NewMem()
	file, _ := fs.Create("journal", vfs.WriteCategoryUnspecified)
	file.Write([]byte("starling transaction journal 2\n"))
	file.Close()
	if _, err := sequenced.NewPool(t.Context(), sequenced.PoolConfig{Family: f, State: l, Journal: "journal", FS: fs}); err == nil {
		t.Error("a journal of another version was taken")
	}
}

func TestJournalIsRotated(t *testing.T) {
	f := family(t)
	l := open(t, f)
	fs := vfs.NewMem()
	p := pool(t, f, l, journaled(fs))
	data := make([]byte, 300<<10)
	for n := range uint64(12) {
		tx := sequenced.NewData(f.Genesis(), key(2), n, data, 0)
		if v := p.AddLocal(t.Context(), []chain.Tx{tx})[0]; v.Action != chain.Accept {
			t.Fatal(v)
		}
		grow(t, l, f, tx)
		if err := p.OnHead(t.Context()); err != nil {
			t.Fatal(err)
		}
		if journal, err := fs.Stat("journal"); err != nil || journal.Size() > 3<<19 {
			t.Fatalf("with nothing in the pool the journal is %v, %v", journal, err)
		}
	}
}

// Threat S-03: a journal that can't be written refuses own transactions, and
// takes them again when it can.
func TestFullDiskRefusesOwnTransactions(t *testing.T) {
	f := family(t)
	l := open(t, f)
	full := false
	fs := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if full && op.Kind.ReadOrWrite() == errorfs.OpIsWrite && op.Kind != errorfs.OpFileClose {
			return fmt.Errorf("write: %w", syscall.ENOSPC)
		}
		return nil
	}))
	p := pool(t, f, l, journaled(fs))
	tx := transfer(f, 2, 0, 1, 1)
	full = true
	if v := p.AddLocal(t.Context(), []chain.Tx{tx})[0]; v != chain.Ignored("journal-failed") {
		t.Errorf("AddLocal on a full disk = %v", v)
	}
	if p.Has(tx.Hash) {
		t.Error("a transaction that was not accepted is in the pool")
	}
	if err := p.OnHead(t.Context()); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("OnHead = %v, want ENOSPC", err)
	}
	full = false
	if err := p.OnHead(t.Context()); err != nil {
		t.Fatal(err)
	}
	if v := p.AddLocal(t.Context(), []chain.Tx{tx})[0]; v.Action != chain.Accept {
		t.Errorf("AddLocal afterwards = %v", v)
	}
}

// FuzzJournal: the good part of any bytes encodes to itself.
func FuzzJournal(f *testing.F) {
	f.Add([]byte(sequenced.JournalHead))
	f.Add(sequenced.AppendRecord([]byte(sequenced.JournalHead), []byte("tx")))
	f.Fuzz(func(t *testing.T, in []byte) {
		txs, good, err := sequenced.DecodeJournal(in, 1<<10)
		if err != nil || good == 0 {
			return
		}
		out := []byte(sequenced.JournalHead)
		for _, tx := range txs {
			out = sequenced.AppendRecord(out, tx)
		}
		if !bytes.Equal(out, in[:good]) {
			t.Errorf("%x encodes again to %x", in[:good], out)
		}
	})
}
