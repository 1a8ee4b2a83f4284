package ethereum

import (
	"context"
	"crypto/ecdsa"
	"math/big"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/params"
	"github.com/holiman/uint256"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/chain/chaintest"
	"github.com/starlingp2p/starling/ledger"
	"github.com/starlingp2p/starling/peer"
)

// mergedConfig has every fork up to Prague.
func mergedConfig() *params.ChainConfig {
	c := *configs()["after the merge"]
	c.PragueTime = new(uint64)
	return &c
}

// poolOf makes a pool on a fresh ledger.
func poolOf(t testing.TB, f *Family, change ...func(*PoolConfig)) (*Pool, *ledger.Ledger) {
	t.Helper()
	l, err := ledger.Open("chain", ledger.Options{Family: f, FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return poolOn(t, f, l, change...), l
}

func poolOn(t testing.TB, f *Family, r chain.Reader, change ...func(*PoolConfig)) *Pool {
	t.Helper()
	c := PoolConfig{Family: f, Chain: r}
	for _, ch := range change {
		ch(&c)
	}
	p, err := NewPool(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func testFamily(t testing.TB, cfg *params.ChainConfig) *Family {
	t.Helper()
	first, err := (&Genesis{Config: cfg, GasLimit: 30_000_000, Difficulty: new(big.Int), BaseFee: big.NewInt(params.GWei)}).Block()
	if err != nil {
		t.Fatal(err)
	}
	f, err := New(Config{Network: "test", Chain: cfg, Genesis: first})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

const gwei = params.GWei

// signed is a transaction as geth makes and encodes it.
func signed(t testing.TB, k *ecdsa.PrivateKey, data types.TxData) chain.Tx {
	t.Helper()
	tx, err := types.SignNewTx(k, types.LatestSignerForChainID(mergedConfig().ChainID), data)
	if err != nil {
		t.Fatal(err)
	}
	b, err := tx.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	return chain.Tx{Hash: chain.Hash(tx.Hash()), Kind: tx.Type(), Bytes: b}
}

// transfer pays tip over a base fee of one gwei.
func transfer(t testing.TB, who int, nonce uint64, tip int64) chain.Tx {
	t.Helper()
	return signed(t, key(t, who), dynamic(nonce, tip))
}

func dynamic(nonce uint64, tip int64) *types.DynamicFeeTx {
	return &types.DynamicFeeTx{
		ChainID: mergedConfig().ChainID, Nonce: nonce, GasTipCap: big.NewInt(tip), GasFeeCap: big.NewInt(10*gwei + tip),
		Gas: 21000, To: &common.Address{1}, Value: big.NewInt(1),
	}
}

func add(t testing.TB, p *Pool, want string, txs ...chain.Tx) {
	t.Helper()
	for i, v := range p.Add(txs) {
		if v.String() != want {
			t.Fatalf("transaction %d: %v, want %s", i, v, want)
		}
	}
}

func hashes(txs []chain.Tx) (out []chain.Hash) {
	for _, tx := range txs {
		out = append(out, tx.Hash)
	}
	return out
}

func wantPending(t testing.TB, p *Pool, want ...chain.Tx) {
	t.Helper()
	if got := hashes(p.Pending(0, 0)); !slices.Equal(got, hashes(want)) {
		t.Fatalf("pending are %v, want %v", got, hashes(want))
	}
}

func TestPoolConforms(t *testing.T) {
	f := testFamily(t, mergedConfig())
	made := chaintest.Factory{
		New: func(t testing.TB) chain.Chain { _, l := poolOf(t, f); return l },
		Pool: func(t testing.TB, n int) (chain.TxPool, []chain.Tx) {
			p, _ := poolOf(t, f)
			txs := make([]chain.Tx, n)
			for i := range txs {
				txs[i] = transfer(t, i%200, uint64(i/200), gwei)
			}
			return p, txs
		},
	}
	for _, r := range chaintest.Rules() {
		if strings.HasPrefix(r.Name, "pool-") {
			t.Run(r.Name, func(t *testing.T) {
				if err := r.Check(chaintest.NewEnv(t, made)); err != nil {
					t.Errorf("%v\nrule: %s", err, r.Says)
				}
			})
		}
	}
}

// Every kind of transaction that geth makes is taken with geth's hash and sender.
func TestPoolTakesWhatGethMakes(t *testing.T) {
	p, _ := poolOf(t, testFamily(t, mergedConfig()))
	id := mergedConfig().ChainID
	to := common.Address{7}
	auth, err := types.SignSetCode(key(t, 9), types.SetCodeAuthorization{Address: to})
	if err != nil {
		t.Fatal(err)
	}
	set := &types.SetCodeTx{Nonce: 3, To: to, Gas: 100000, AuthList: []types.SetCodeAuthorization{auth}}
	set.ChainID = uint256.MustFromBig(id)
	set.GasFeeCap, set.GasTipCap, set.Value = uint256.NewInt(5*gwei), new(uint256.Int), new(uint256.Int)
	for _, data := range []types.TxData{
		&types.LegacyTx{GasPrice: big.NewInt(2 * gwei), Gas: 21000, To: &to},
		&types.AccessListTx{ChainID: id, Nonce: 1, GasPrice: big.NewInt(2 * gwei), Gas: 30000, To: &to, AccessList: types.AccessList{{Address: to}}},
		&types.DynamicFeeTx{ChainID: id, Nonce: 2, GasTipCap: big.NewInt(1), GasFeeCap: big.NewInt(2 * gwei), Gas: 90000, Data: []byte{1}},
		set,
	} {
		tx := signed(t, key(t, 1), data)
		add(t, p, "accept", chain.Tx{Bytes: tx.Bytes})
		got, ok := p.Get(tx.Hash)
		if from := address(t, 1); !ok || got.Sender != string(from[:]) || got.Kind != tx.Kind || string(got.Bytes) != string(tx.Bytes) {
			t.Errorf("type %d: %v of %x, kind %d", tx.Kind, ok, got.Sender, got.Kind)
		}
		if h, ok := HashOf(tx.Bytes); !ok || h != tx.Hash {
			t.Errorf("HashOf = %v, %v; want %v", h, ok, tx.Hash)
		}
	}
	// signed before EIP-155, for any chain
	old, err := types.SignNewTx(key(t, 2), types.HomesteadSigner{}, &types.LegacyTx{GasPrice: big.NewInt(2 * gwei), Gas: 21000, To: &to})
	if err != nil {
		t.Fatal(err)
	}
	b, _ := old.MarshalBinary()
	add(t, p, "accept", chain.Tx{Bytes: b})
}

// Threat T-01: what is not well-formed or not signed costs its deliverer ten
// points, and the second time nothing but a look-up.
func TestPoolRejectsForgeries(t *testing.T) {
	p, _ := poolOf(t, testFamily(t, mergedConfig()))
	good := transfer(t, 1, 0, gwei)
	tampered := slices.Clone(good.Bytes)
	tampered[len(tampered)-40] = 0xff
	var broken types.Transaction
	if err := broken.UnmarshalBinary(good.Bytes); err != nil {
		t.Fatal(err)
	}
	over := dynamic(0, gwei)
	over.GasTipCap = big.NewInt(100 * gwei)
	elsewhere := dynamic(0, gwei)
	elsewhere.ChainID = big.NewInt(99)
	foreign, err := types.SignNewTx(key(t, 1), types.LatestSignerForChainID(big.NewInt(99)), elsewhere)
	if err != nil {
		t.Fatal(err)
	}
	foreignBytes, _ := foreign.MarshalBinary()
	last := dynamic(1<<64-1, gwei)
	unsigned, _ := types.NewTx(dynamic(0, gwei)).MarshalBinary()
	for name, b := range map[string][]byte{
		"bad-encoding":     good.Bytes[:len(good.Bytes)-1],
		"bad-signature":    unsigned,
		"tip-over-fee-cap": signed(t, key(t, 1), over).Bytes,
		"wrong-network":    foreignBytes,
		"nonce-too-large":  signed(t, key(t, 1), last).Bytes,
		"too-large":        make([]byte, maxTx+1),
	} {
		for range 2 {
			v := p.Add([]chain.Tx{{Bytes: b}})[0]
			if v.Action != chain.Reject || v.Reason != name || v.Severity != peer.High {
				t.Errorf("%s: %v of severity %v, want a rejection of severity high", name, v, v.Severity)
			}
		}
	}
	if n, _ := p.Len(); n != 0 {
		t.Errorf("%d are in the pool", n)
	}
	if !p.Has(chain.Hash(foreign.Hash())) {
		t.Error("a transaction that was found unfit would be fetched again")
	}
	if p.Has(good.Hash) {
		t.Error("a good transaction is taken for one that was seen")
	}
}

// What another head or fork would allow is nobody's fault. It is not fetched
// again of each who announces it, for a while.
func TestPoolIgnoresWhatTheHeadForbids(t *testing.T) {
	cfg := *mergedConfig()
	cfg.PragueTime, cfg.CancunTime, cfg.BlobScheduleConfig = nil, nil, nil
	big30, low := dynamic(0, gwei), dynamic(0, gwei)
	big30.Gas, low.Gas = 30_000_001, 20_999
	auth, _ := types.SignSetCode(key(t, 9), types.SetCodeAuthorization{})
	set := &types.SetCodeTx{Gas: 100000, AuthList: []types.SetCodeAuthorization{auth}}
	set.ChainID = uint256.MustFromBig(cfg.ChainID)
	set.GasFeeCap, set.GasTipCap, set.Value = uint256.NewInt(5*gwei), new(uint256.Int), new(uint256.Int)
	f := testFamily(t, &cfg)
	synctest.Test(t, func(t *testing.T) {
		p, _ := poolOf(t, f)
		for _, c := range []struct {
			reason string
			tx     chain.Tx
		}{
			{"gas-over-block-limit", signed(t, key(t, 1), big30)},
			{"gas-too-low", signed(t, key(t, 1), low)},
			{"fork-not-active", signed(t, key(t, 1), set)},
		} {
			for range 2 { // where it is pushed it is judged anew
				add(t, p, "ignore: "+c.reason, c.tx)
			}
			if !p.Has(c.tx.Hash) {
				t.Errorf("%s: it would be fetched again at once", c.reason)
			}
			time.Sleep(headFor)
			if p.Has(c.tx.Hash) {
				t.Errorf("%s: it is not fetched after %v either", c.reason, headFor)
			}
		}
		add(t, p, "ignore: "+chain.Unchecked, chain.Tx{Bytes: []byte{0x50, 0xc0}})
	})
}

// Threat T-02: a sender has 64 places, whatever it offers.
func TestPoolBoundsASender(t *testing.T) {
	p, _ := poolOf(t, testFamily(t, mergedConfig()))
	for n := range uint64(DefaultPerSender) {
		add(t, p, "accept", transfer(t, 1, n, gwei))
	}
	add(t, p, "ignore: sender-full", transfer(t, 1, DefaultPerSender, 50*gwei))
	add(t, p, "accept", transfer(t, 2, 0, gwei))
	if v := p.AddLocal(t.Context(), []chain.Tx{transfer(t, 1, DefaultPerSender, gwei)})[0]; v.Action != chain.Accept {
		t.Errorf("our own is refused: %v", v)
	}
}

func TestPoolReplacesForATenthMore(t *testing.T) {
	p, _ := poolOf(t, testFamily(t, mergedConfig()))
	with := func(cap, tip int64) chain.Tx {
		d := dynamic(0, 0)
		d.GasFeeCap, d.GasTipCap = big.NewInt(cap), big.NewInt(tip)
		return signed(t, key(t, 1), d)
	}
	first, second := with(10*gwei, 1000), with(11*gwei, 1100)
	add(t, p, "accept", first)
	for _, less := range []chain.Tx{with(11*gwei, 1099), with(11*gwei-1, 1100), with(10*gwei, 2000), with(20*gwei, 1000)} {
		add(t, p, "ignore: underpriced-replacement", less)
	}
	add(t, p, "accept", second)
	wantPending(t, p, second)
	if _, ok := p.Get(first.Hash); ok || !p.Has(first.Hash) {
		t.Error("what was replaced is still given, or would be fetched again")
	}
}

func TestPoolGivesRunsOfNonces(t *testing.T) {
	p, _ := poolOf(t, testFamily(t, mergedConfig()))
	a0, a1, a3 := transfer(t, 1, 0, 2*gwei), transfer(t, 1, 1, 9*gwei), transfer(t, 1, 3, 9*gwei)
	b5, b6 := transfer(t, 2, 5, 3*gwei), transfer(t, 2, 6, gwei)
	add(t, p, "accept", b6, a3, a1, b5, a0)
	wantPending(t, p, b5, a0, a1, b6)
	if got := p.Pending(2, 0); len(got) != 2 {
		t.Errorf("%d of 2 are given", len(got))
	}
}

// Threat T-02: when it is full, the cheapest of others makes room for a better
// one, and own ones for nobody.
func TestPoolEvictsTheCheapest(t *testing.T) {
	p, _ := poolOf(t, testFamily(t, mergedConfig()), func(c *PoolConfig) { c.MaxTxs = 8 })
	own := transfer(t, 20, 0, 1)
	if v := p.AddLocal(t.Context(), []chain.Tx{own})[0]; v.Action != chain.Accept {
		t.Fatal(v)
	}
	var txs []chain.Tx
	for i := range 4 {
		txs = append(txs, transfer(t, i+1, 0, int64(i+2)*gwei))
	}
	add(t, p, "accept", txs...)
	low := transfer(t, 9, 0, gwei)
	add(t, p, "ignore: underpriced", low)
	if !p.Has(low.Hash) {
		t.Error("what is underpriced would be fetched again at once")
	}
	better := transfer(t, 10, 0, 4*gwei)
	add(t, p, "accept", better)
	wantPending(t, p, txs[3], txs[2], better, txs[1], own)
	if n := p.Dropped()["evicted"]; n != 1 {
		t.Errorf("%d were evicted, want 1", n)
	}
}

// Threat T-02: bytes are bounded too.
func TestPoolBoundsBytes(t *testing.T) {
	p, _ := poolOf(t, testFamily(t, mergedConfig()), func(c *PoolConfig) { c.MaxBytes = 200 << 10 })
	fat := func(who int, tip int64) chain.Tx {
		d := dynamic(0, tip)
		d.Data, d.Gas = make([]byte, 30<<10), 1_000_000
		return signed(t, key(t, who), d)
	}
	for i := range 30 {
		p.Add([]chain.Tx{fat(i, int64(i+1)*gwei)})
		if _, bytes := p.Len(); bytes > 100<<10 {
			t.Fatalf("the pool holds %d bytes", bytes)
		}
	}
	if _, ok := p.Get(fat(29, 30*gwei).Hash); !ok {
		t.Error("the best is not there")
	}
}

func TestPoolKeepsOwnTransactionsOverARestart(t *testing.T) {
	fs := vfs.NewCrashableMem()
	f := testFamily(t, mergedConfig())
	journalled := func(c *PoolConfig) { c.Journal, c.FS = "journal", fs }
	p, l := poolOf(t, f, journalled)
	own, theirs := []chain.Tx{transfer(t, 1, 0, gwei), transfer(t, 1, 1, gwei)}, transfer(t, 2, 0, gwei)
	add(t, p, "accept", theirs, own[1])
	for i, v := range p.AddLocal(context.Background(), own) { // the second came from a peer first
		if v.Action != chain.Accept {
			t.Fatal(i, v)
		}
	}
	if got := hashes(p.Local()); !slices.Equal(got, hashes(own)) {
		t.Fatalf("own are %v, want %v", got, hashes(own))
	}
	again := poolOn(t, f, l, func(c *PoolConfig) { c.Journal, c.FS = "journal", fs.CrashClone(vfs.CrashCloneCfg{}) })
	wantPending(t, again, own...)
	if got := again.Local(); len(got) != 2 {
		t.Errorf("%d are our own after a crash, want 2", len(got))
	}
}
