package ontology

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"testing"
	"testing/synctest"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/ledger"
	"github.com/starlingp2p/starling/wire/ontology/codec"
)

// bench is a chain with a pool on it.
type bench struct {
	t      testing.TB
	ring   keyring // signs the blocks
	f      *Family
	l      *ledger.Ledger
	s      sealer
	pool   *Pool
	payers keyring
}

func newBench(t testing.TB, change ...func(*PoolConfig)) *bench {
	t.Helper()
	b := &bench{t: t, ring: newRing(t, 4), payers: newRing(t, 4)}
	b.f = family(t, dbft(b.ring))
	b.s = newSealer(t, b.f, b.ring)
	l, err := ledger.Open("chain", ledger.Options{Family: b.f, FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	c := PoolConfig{State: l}
	for _, fn := range change {
		fn(&c)
	}
	if b.pool, err = NewPool(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	b.l = l
	return b
}

// grow imports a block of transactions.
func (b *bench) grow(txs ...codec.Tx) {
	b.t.Helper()
	head, err := b.l.Header(b.t.Context(), b.l.Status().Head)
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := b.l.Import(b.t.Context(), []chain.Block{b.s.child(head, 1, txs, nil)}); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) add(txs ...codec.Tx) {
	b.t.Helper()
	for i, tx := range txs {
		if v := b.pool.Add([]chain.Tx{{Bytes: tx.Raw}})[0]; v.Action != chain.Accept {
			b.t.Fatalf("Add of transaction %d = %v", i, v)
		}
	}
}

func (b *bench) holds(want ...codec.Tx) {
	b.t.Helper()
	got := b.pool.Pending(0, 0)
	if len(got) != len(want) {
		b.t.Fatalf("the pool has %d transactions, want %d", len(got), len(want))
	}
	for i := range got {
		if got[i].Hash != want[i].Hash.Chain() {
			b.t.Errorf("transaction %d is %v, want %v", i, got[i].Hash, want[i].Hash)
		}
	}
}

func (b *bench) says(what string, raw []byte, want chain.Verdict) {
	b.t.Helper()
	if got := b.pool.Add([]chain.Tx{{Bytes: raw, Hash: chain.Hash{1}, Sender: "x"}})[0]; got != want {
		b.t.Errorf("%s: %+v, want %+v", what, got, want)
	}
}

// pushed is a script that pushes data.
func pushed(data ...[]byte) (out []byte) {
	for _, d := range data {
		out = push(out, d)
	}
	return out
}

// signature is one of a hash.
func signature(t testing.TB, k *ecdsa.PrivateKey, h codec.Hash) []byte {
	sum := sha256.Sum256(h[:])
	r, s, err := ecdsa.Sign(rand.Reader, k, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	sig := make([]byte, 64)
	r.FillBytes(sig[:32])
	s.FillBytes(sig[32:])
	return sig
}

// transfer is a transaction that one key pays for.
func transfer(t testing.TB, k *ecdsa.PrivateKey, nonce uint32, price uint64, change ...func(*codec.Tx)) codec.Tx {
	raw := elliptic.MarshalCompressed(elliptic.P256(), k.X, k.Y)
	tx := codec.Tx{Type: codec.TxInvoke, Nonce: nonce, GasPrice: price, GasLimit: 20000, Payer: codec.AddressOfKey(raw), Code: []byte{1, 2, 3}}
	for _, fn := range change {
		fn(&tx)
	}
	tx = tx.Seal()
	tx.Sigs = []codec.Sig{{Invocation: pushed(signature(t, k, tx.Hash)), Verification: append(pushed(raw), opCheckSig)}}
	return tx.Seal()
}

// multi is a transaction for which the first signers of keys sign, m of which must.
func multi(t testing.TB, keys keyring, m, signers int, nonce uint32) codec.Tx {
	var parsed []codec.Key
	for _, raw := range keys.raw() {
		k, err := codec.ParseKey(raw)
		if err != nil {
			t.Fatal(err)
		}
		parsed = append(parsed, k)
	}
	at, err := codec.AddressOfKeys(parsed, m)
	if err != nil {
		t.Fatal(err)
	}
	tx := codec.Tx{Type: codec.TxInvoke, Nonce: nonce, GasLimit: 20000, Payer: at, Code: []byte{1}}.Seal()
	var sigs [][]byte
	for _, k := range keys[:signers] {
		sigs = append(sigs, signature(t, k, tx.Hash))
	}
	script := append([]byte{opPush0 + byte(m)}, pushed(keys.raw()...)...)
	tx.Sigs = []codec.Sig{{Invocation: pushed(sigs...), Verification: append(script, opPush0+byte(len(keys)), opMultiSig)}}
	return tx.Seal()
}

// poolOf is for the conformance suite: a pool, and transactions that fit in.
func poolOf(t testing.TB, n int) (chain.TxPool, []chain.Tx) {
	b := newBench(t)
	var txs []chain.Tx
	for i := range n {
		if i%DefaultPerPayer == 0 {
			b.payers = newRing(t, 1)
		}
		txs = append(txs, transfer(t, b.payers[0], uint32(i), 500).Chain())
	}
	return b.pool, txs
}

// Threats T-01 and T-02: what the pool says to each kind of transaction.
func TestPoolVerdicts(t *testing.T) {
	b := newBench(t, func(c *PoolConfig) { c.PerPayer, c.MinGasPrice = 3, 10 })
	k, other := b.payers[0], b.payers[1]
	first := transfer(t, k, 1, 500)
	b.add(first)
	wrong := transfer(t, other, 2, 500)
	wrong.Sigs[0].Invocation[9] ^= 1
	forged := wrong.Seal().Raw
	foreign := transfer(t, k, 9, 500)
	foreign.Sigs = transfer(t, other, 9, 500).Sigs
	unsigned := transfer(t, k, 9, 500)
	unsigned.Sigs = nil
	script := transfer(t, k, 9, 500)
	script.Sigs[0].Verification = script.Sigs[0].Verification[:10]
	strange := transfer(t, k, 9, 500)
	strange.Sigs[0].Verification = append(pushed(append([]byte{0x13, 20, 2}, make([]byte, 32)...)), opCheckSig) // SM2
	b.add(transfer(t, k, 3, 500))
	for _, tt := range []struct {
		name string
		b    []byte
		want chain.Verdict
	}{
		{"known", first.Raw, chain.Ignored("known")},
		{"forged", forged, chain.Rejected("bad-signature")},
		{"forged, again", forged, chain.Rejected("bad-signature")},
		{"signed by another", foreign.Seal().Raw, chain.Rejected("bad-signature")},
		{"not signed", unsigned.Seal().Raw, chain.Rejected("bad-signature")},
		{"broken script", script.Seal().Raw, chain.Rejected("bad-script")},
		{"a key that we cannot check", strange.Seal().Raw, chain.Ignored(chain.Unchecked)},
		{"empty", nil, chain.Rejected("bad-encoding")},
		{"cut", first.Raw[:40], chain.Rejected("bad-encoding")},
		{"long", append(bytes.Clone(first.Raw), 0), chain.Rejected("bad-encoding")},
		{"too large", make([]byte, codec.MaxTx+1), chain.Rejected("too-large")},
		{"cheap", transfer(t, other, 1, 9).Raw, chain.Ignored("low-gas-price")},
		{"little gas", transfer(t, other, 1, 500, func(x *codec.Tx) { x.GasLimit = 19999 }).Raw, chain.Ignored("low-gas-limit")},
		{"fee beyond 64 bits", transfer(t, other, 1, 1<<60, func(x *codec.Tx) { x.GasLimit = 1 << 20 }).Raw, chain.Ignored("fee-overflow")},
		{"two of three", multi(t, b.payers[:3], 2, 2, 1).Raw, chain.Ignored("low-gas-price")},
		{"its third", transfer(t, k, 4, 500).Raw, chain.Accepted()},
		{"its fourth", transfer(t, k, 5, 500).Raw, chain.Ignored("payer-full")},
		{"of another payer", transfer(t, other, 5, 500).Raw, chain.Accepted()},
	} {
		b.says(tt.name, tt.b, tt.want)
	}
	if !b.pool.Has(transfer(t, other, 1, 9).Hash.Chain()) {
		t.Error("what is too cheap is fetched again")
	}
	if got := b.pool.Dropped()["payer-full"]; got != 1 {
		t.Errorf("dropped %v", b.pool.Dropped())
	}
}

func TestManyMaySignTogether(t *testing.T) {
	b := newBench(t)
	b.says("two of three", multi(t, b.payers[:3], 2, 2, 1).Raw, chain.Accepted())
	b.says("all three", multi(t, b.payers[:3], 2, 3, 2).Raw, chain.Accepted())
	b.says("one of three", multi(t, b.payers[:3], 2, 1, 3).Raw, chain.Rejected("bad-script"))
	twice := multi(t, b.payers[:3], 2, 2, 4)
	sig := signature(t, b.payers[0], twice.Hash)
	twice.Sigs[0].Invocation = pushed(sig, sig)
	b.says("one of three, twice", twice.Seal().Raw, chain.Rejected("bad-signature"))
	turned := multi(t, b.payers[:3], 2, 2, 5)
	turned.Sigs[0].Invocation = pushed(signature(t, b.payers[2], turned.Hash), signature(t, b.payers[0], turned.Hash))
	b.says("in another order", turned.Seal().Raw, chain.Accepted())
}

// Threat T-01: a hash does not cover the signatures, so a forged copy must not
// keep the authentic transaction out.
func TestAForgedCopyHidesNothing(t *testing.T) {
	b := newBench(t)
	tx := transfer(t, b.payers[0], 1, 500)
	forged := tx
	forged.Sigs = []codec.Sig{{Invocation: pushed(make([]byte, 64)), Verification: tx.Sigs[0].Verification}}
	b.says("forged", forged.Seal().Raw, chain.Rejected("bad-signature"))
	if b.pool.Has(tx.Hash.Chain()) {
		t.Error("the transaction counts as known")
	}
	b.says("authentic", tx.Raw, chain.Accepted())
}

// The example of EIP-155 itself.
func TestEthereumTransactionsAreRecovered(t *testing.T) {
	rlp, err := hex.DecodeString("f86c098504a817c800825208943535353535353535353535353535353535353535880de0b6b3a76400008025a028ef61340bd939bc2195fe537567866003e1a15d3c71ff63e1590620aa636276a067cbe9d8997f761aecb703304b3800ccf555c9f3dc64214b297fb1966a3b6d83")
	if err != nil {
		t.Fatal(err)
	}
	tx := codec.Tx{Type: codec.TxEIP155, Code: rlp}.Seal()
	b := newBench(t, func(c *PoolConfig) { c.EVMChainID = 1 })
	b.says("EIP-155", tx.Raw, chain.Accepted())
	got, _ := b.pool.Get(tx.Hash.Chain())
	if want := "9d8a62f656a8d1615c1294fd71e9cfb3e4855a4f"; hex.EncodeToString([]byte(got.Sender)) != want {
		t.Errorf("sender %x, want %s", got.Sender, want)
	}
	b = newBench(t, func(c *PoolConfig) { c.EVMChainID = 58 })
	b.says("of another chain", tx.Raw, chain.Rejected("bad-signature"))
	b.says("of another chain, again", tx.Raw, chain.Rejected("bad-signature"))
	cut := codec.Tx{Type: codec.TxEIP155, Code: rlp[:len(rlp)-1]}.Seal()
	b.says("cut", cut.Raw, chain.Rejected("bad-script"))
	typed := codec.Tx{Type: codec.TxEIP155, Code: append([]byte{2}, rlp...)}.Seal()
	b.says("typed", typed.Raw, chain.Ignored(chain.Unchecked))
}

// Threat T-02: the pool is bounded in bytes and in count; who pays more for gas
// takes the place of who pays least, and own transactions have their own room.
func TestTheCheapestGoFirst(t *testing.T) {
	for name, bound := range map[string]func(*PoolConfig){
		"count": func(c *PoolConfig) { c.MaxTxs = 3 },
		"bytes": func(c *PoolConfig) { c.MaxBytes = 3 * 800 },
	} {
		b := newBench(t, bound)
		cheap, mid, later := transfer(t, b.payers[0], 1, 1), transfer(t, b.payers[1], 1, 5), transfer(t, b.payers[2], 2, 5)
		b.add(mid, cheap, later)
		b.says(name+": as cheap", transfer(t, b.payers[3], 1, 1).Raw, chain.Ignored("pool-full"))
		dear := transfer(t, b.payers[3], 2, 9)
		b.says(name+": dearer", dear.Raw, chain.Accepted())
		b.holds(dear, mid, later)
		dearer := transfer(t, b.payers[3], 3, 10)
		b.says(name+": dearer still", dearer.Raw, chain.Accepted())
		b.holds(dearer, dear, mid) // the later of two that are alike went
		own := transfer(t, b.payers[0], 7, 0)
		if v := b.pool.AddLocal(t.Context(), []chain.Tx{own.Chain()})[0]; v.Action != chain.Accept {
			t.Errorf("%s: own transaction in a full pool: %v", name, v)
		}
		for i := range 5 {
			b.add(transfer(t, b.payers[1], uint32(10+i), uint64(100+i)))
		}
		if got := b.pool.Local(); len(got) != 1 || got[0].Hash != own.Hash.Chain() {
			t.Errorf("%s: own transactions: %v", name, got)
		}
		if n, size := b.pool.Len(); n != 4 || size > 4*800 {
			t.Errorf("%s: the pool has %d transactions, %d bytes", name, n, size)
		}
		if b.pool.Dropped()["evicted"] != 7 {
			t.Errorf("%s: dropped %v", name, b.pool.Dropped())
		}
	}
}

func TestIncludedTransactionsLeaveThePool(t *testing.T) {
	b := newBench(t)
	in, waits := transfer(t, b.payers[0], 1, 500), transfer(t, b.payers[1], 1, 500)
	early := transfer(t, b.payers[2], 1, 500) // comes after its block
	b.add(in, waits)
	b.grow(in, early)
	if err := b.pool.OnHead(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.holds(waits)
	b.says("included", in.Raw, chain.Ignored("recently-unfit"))
	b.says("included before it came", early.Raw, chain.Ignored("recently-unfit"))
	b.grow(waits) // far away: a look-up of each
	for range walkBlocks {
		b.grow()
	}
	lone := transfer(t, b.payers[3], 1, 500)
	b.add(lone)
	if err := b.pool.OnHead(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.holds(lone)
	for range keepBlocks + 1 {
		b.grow()
	}
	if err := b.pool.OnHead(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.holds()
	if b.pool.Dropped()["expired"] != 1 {
		t.Errorf("dropped %v", b.pool.Dropped())
	}
}

// A bundle in which something new stands beside what was not looked at must not
// be relayed.
func TestWhatIsUncheckedIsSaid(t *testing.T) {
	b := newBench(t, func(c *PoolConfig) { c.MinGasPrice = 10 })
	old, fresh, cheap := transfer(t, b.payers[0], 1, 500), transfer(t, b.payers[1], 1, 500), transfer(t, b.payers[2], 1, 1)
	b.add(old)
	forged := old
	forged.Sigs = nil
	vs := b.pool.Add([]chain.Tx{old.Chain(), fresh.Chain(), cheap.Chain(), forged.Seal().Chain()})
	want := []chain.Verdict{chain.Ignored("known"), chain.Accepted(), chain.Ignored(chain.Unchecked), chain.Ignored(chain.Unchecked)}
	for i := range vs {
		if vs[i] != want[i] {
			t.Errorf("%d: %v, want %v", i, vs[i], want[i])
		}
	}
}

func TestSubscribersLoseTheOldest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		ctx, stop := context.WithCancel(t.Context())
		c := b.pool.Subscribe(ctx)
		k := newRing(t, 2)
		for i := range 100 {
			b.add(transfer(t, k[i/50], uint32(i), 500))
		}
		stop()
		synctest.Wait()
		n := 0
		for range c {
			n++
		}
		if n != 64 || b.pool.Dropped()["subscriber-lags"] != 36 {
			t.Errorf("got %d, dropped %v", n, b.pool.Dropped())
		}
	})
}

// Own transactions survive a power loss, those that no block includes.
func TestOwnTransactionsSurvive(t *testing.T) {
	b := newBench(t)
	fs := vfs.NewCrashableMem()
	open := func(fs vfs.FS) *Pool {
		p, err := NewPool(t.Context(), PoolConfig{State: b.l, Journal: "journal", FS: fs})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { p.Close() })
		return p
	}
	b.pool = open(fs)
	waits, in := transfer(t, b.payers[0], 1, 500), transfer(t, b.payers[0], 2, 500)
	for _, v := range b.pool.AddLocal(t.Context(), []chain.Tx{waits.Chain(), in.Chain()}) {
		if v.Action != chain.Accept {
			t.Fatal(v)
		}
	}
	b.add(transfer(t, b.payers[1], 1, 500)) // of somebody else: not journalled
	b.grow(in)
	b.pool = open(fs.CrashClone(vfs.CrashCloneCfg{}))
	b.holds(waits)
	b.says("included", in.Raw, chain.Ignored("recently-unfit"))
}

// FuzzPool checks that no bytes break the pool, and that what it takes is
// bounded and found again.
func FuzzPool(f *testing.F) {
	b := newBench(f)
	k := b.payers[0]
	f.Add(transfer(f, k, 1, 500).Raw)
	f.Add(multi(f, b.payers[:3], 2, 2, 1).Raw)
	rlp, _ := hex.DecodeString("f86c098504a817c800825208943535353535353535353535353535353535353535880de0b6b3a76400008025a028ef61340bd939bc2195fe537567866003e1a15d3c71ff63e1590620aa636276a067cbe9d8997f761aecb703304b3800ccf555c9f3dc64214b297fb1966a3b6d83")
	f.Add(codec.Tx{Type: codec.TxEIP155, Code: rlp}.Seal().Raw)
	f.Fuzz(func(t *testing.T, in []byte) {
		p, err := NewPool(t.Context(), PoolConfig{State: b.l, MaxBytes: 1 << 16})
		if err != nil {
			t.Fatal(err)
		}
		v := p.Add([]chain.Tx{{Bytes: in}})[0]
		pending := p.Pending(0, 0)
		if (v.Action == chain.Accept) != (len(pending) == 1) {
			t.Fatalf("%v, and the pool has %d", v, len(pending))
		}
		if v.Action == chain.Accept {
			if h, ok := HashOf(in); !ok || !p.Has(h) || !bytes.Equal(pending[0].Bytes, in) {
				t.Fatalf("the pool took %x for %x", pending[0].Bytes, in)
			}
		}
		if _, _, err := program(in); err == nil && len(in) < 3 {
			t.Fatal("a script of nothing")
		}
	})
}
