package ethereum

import (
	"crypto/ecdsa"
	"errors"
	"math/big"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/ethereum/go-ethereum/common"
	gethclique "github.com/ethereum/go-ethereum/consensus/clique"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/params"
	"github.com/ethereum/go-ethereum/rlp"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/chain/chaintest"
	"github.com/starlingp2p/starling/ledger"
)

// authority is a clique network with signers 1 to n, and its genesis.
func authority(t testing.TB, n int, epoch uint64, network string) *Family {
	t.Helper()
	cfg := &params.ChainConfig{
		ChainID: big.NewInt(1338), HomesteadBlock: new(big.Int), EIP150Block: new(big.Int), EIP155Block: new(big.Int), EIP158Block: new(big.Int),
		ByzantiumBlock: new(big.Int), ConstantinopleBlock: new(big.Int), PetersburgBlock: new(big.Int), IstanbulBlock: new(big.Int),
		Clique: &params.CliqueConfig{Period: 1, Epoch: epoch},
	}
	extra := make([]byte, vanityLen)
	for _, a := range sortedSigners(t, n) {
		extra = append(extra, a[:]...)
	}
	g := Genesis{Config: cfg, ExtraData: append(extra, make([]byte, sealLen)...), GasLimit: 8_000_000, Difficulty: big.NewInt(1), Timestamp: 1_600_000_000, Alloc: types.GenesisAlloc{}}
	if network != "test" {
		g.Timestamp++
	}
	b, err := g.Block()
	if err != nil {
		t.Fatal(err)
	}
	f, err := New(Config{Network: network, Chain: cfg, Genesis: b})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func sortedSigners(t testing.TB, n int) []common.Address {
	s := &signers{allowed: map[common.Address]bool{}}
	for i := range n {
		s.allowed[address(t, i+1)] = true
	}
	return s.sorted()
}

func keyOf(t testing.TB, a common.Address, n int) *ecdsa.PrivateKey {
	for i := range n + 3 {
		if address(t, i+1) == a {
			return key(t, i+1)
		}
	}
	t.Fatalf("no key for %s", a)
	return nil
}

// next is an empty block over parent, before it is sealed.
func next(t testing.TB, parent chain.Header) *types.Header {
	t.Helper()
	_, p, err := decodeHeader(parent.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return &types.Header{
		ParentHash: common.Hash(parent.Ref.Hash), UncleHash: types.EmptyUncleHash, Root: p.Root, TxHash: types.EmptyTxsHash,
		ReceiptHash: types.EmptyReceiptsHash, Difficulty: big.NewInt(2), Number: new(big.Int).SetUint64(parent.Ref.Number + 1),
		GasLimit: p.GasLimit, Time: p.Time + 1, Extra: make([]byte, vanityLen+sealLen),
	}
}

func sealedBy(t testing.TB, h *types.Header, k *ecdsa.PrivateKey) chain.Block {
	t.Helper()
	if err := Seal(h, func(hash []byte) ([]byte, error) { return crypto.Sign(hash, k) }); err != nil {
		t.Fatal(err)
	}
	ch, _, err := decodeHeader(encode(t, h))
	if err != nil {
		t.Fatal(err)
	}
	return chain.Block{Header: ch, Body: emptyBody}
}

func TestSealsAreThoseOfGeth(t *testing.T) {
	f := authority(t, 1, 0, "test")
	h := next(t, f.c.Genesis.Header)
	b := sealedBy(t, h, key(t, 1))
	if got, want := sealHash(h), gethclique.SealHash(h); got != want {
		t.Errorf("seal hash is %v, geth says %v", got, want)
	}
	h.BaseFee = big.NewInt(7)
	if got, want := sealHash(h), gethclique.SealHash(h); got != want {
		t.Errorf("seal hash with a base fee is %v, geth says %v", got, want)
	}
	if n, err := f.VerifyHeaders(f.c.Genesis.Header, []chain.Header{b.Header}); n != 1 || err != nil {
		t.Errorf("VerifyHeaders = %d, %v", n, err)
	}
	if v := f.Check(b); v.Action != chain.Accept {
		t.Errorf("Check = %v", v)
	}
}

// TestSignersTakeTurnsAndVote runs three signers that vote a fourth in and one
// of them out again, over a checkpoint; and what none of them may do.
func TestSignersTakeTurnsAndVote(t *testing.T) {
	f := authority(t, 3, 20, "test")
	parent := f.c.Genesis.Header
	state, err := f.clique.signersAfter(t.Context(), parent)
	if err != nil {
		t.Fatal(err)
	}
	var all []chain.Header
	fourth, out := address(t, 4), sortedSigners(t, 3)[0]
	sign := func(vote common.Address, nonce types.BlockNonce, by common.Address, change func(*types.Header)) (chain.Block, error) {
		h := next(t, parent)
		h.Coinbase, h.Nonce = vote, nonce
		if !state.inTurn(h.Number.Uint64(), by) {
			h.Difficulty = big.NewInt(1)
		}
		if h.Number.Uint64()%20 == 0 {
			h.Coinbase, h.Nonce, h.Extra = common.Address{}, voteDrop, make([]byte, vanityLen)
			for _, a := range state.sorted() {
				h.Extra = append(h.Extra, a[:]...)
			}
			h.Extra = append(h.Extra, make([]byte, sealLen)...)
		}
		if change != nil {
			change(h)
		}
		b := sealedBy(t, h, keyOf(t, by, 4))
		_, err := f.VerifyHeaders(parent, []chain.Header{b.Header})
		return b, err
	}
	may := func() common.Address { // who may sign the next block
		for _, a := range state.sorted() {
			if _, err := sign(common.Address{}, voteDrop, a, nil); err == nil {
				return a
			}
		}
		t.Fatal("nobody may sign")
		return common.Address{}
	}
	for n := uint64(1); n <= 50; n++ {
		by := may()
		for name, change := range map[string]func(*types.Header){
			"difficulty": func(h *types.Header) { h.Difficulty = new(big.Int).Sub(big.NewInt(3), h.Difficulty) },
			"too early":  func(h *types.Header) { h.Time-- },
			"mix digest": func(h *types.Header) { h.MixDigest[0] = 1 },
			"nonce":      func(h *types.Header) { h.Nonce[0] = 1 },
		} {
			if _, err := sign(common.Address{}, voteDrop, by, change); !errors.Is(err, chain.ErrInvalid) {
				t.Fatalf("block %d, %s: %v", n, name, err)
			}
		}
		if _, err := sign(common.Address{}, voteDrop, address(t, 6), nil); !errors.Is(err, chain.ErrInvalid) {
			t.Fatalf("block %d of a stranger: %v", n, err)
		}
		vote, nonce := common.Address{}, voteDrop
		switch {
		case n < 10:
			vote, nonce = fourth, voteAllow
		case n > 25 && n < 40:
			vote, nonce = out, voteDrop
		}
		b, err := sign(vote, nonce, by, nil)
		if err != nil {
			t.Fatalf("block %d: %v", n, err)
		}
		if _, err := sign(vote, nonce, by, func(h *types.Header) { h.Time++ }); err != nil {
			t.Fatalf("a sibling of block %d: %v", n, err)
		}
		parent = b.Header
		all = append(all, b.Header)
		if state, err = f.clique.signersAfter(t.Context(), parent); err != nil {
			t.Fatal(err)
		}
		if _, err := sign(common.Address{}, voteDrop, by, nil); len(state.allowed) > 1 && !errors.Is(err, chain.ErrInvalid) {
			t.Fatalf("the signer of block %d signs the next too: %v", n, err)
		}
	}
	if !state.allowed[fourth] || state.allowed[out] || len(state.allowed) != 3 {
		t.Errorf("signers = %v", state.sorted())
	}
	// Another node takes all of it at once.
	other := authority(t, 3, 20, "test")
	if n, err := other.VerifyHeaders(other.c.Genesis.Header, all); err != nil || n != 50 {
		t.Errorf("VerifyHeaders = %d, %v", n, err)
	}
}

// TestSignersAreKnownAfterARestart verifies on top of a stored chain with an
// empty cache.
func TestSignersAreKnownAfterARestart(t *testing.T) {
	f := authority(t, 1, 10, "test")
	l, err := ledger.Open("chain", ledger.Options{Family: f, FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	parent := f.c.Genesis.Header
	var blocks []chain.Block
	for range 37 {
		b := child(t, f, parent, 0)
		blocks, parent = append(blocks, b), b.Header
	}
	if n, err := l.Import(t.Context(), blocks); err != nil || n != 37 {
		t.Fatalf("Import = %d, %v", n, err)
	}
	if st := l.Status(); st.Weight != chain.WeightOf(1+2*37) {
		t.Errorf("weight = %v, want the total difficulty", st.Weight.Big())
	}
	fresh := authority(t, 1, 10, "test")
	b := child(t, f, parent, 0)
	if _, err := fresh.VerifyHeaders(parent, []chain.Header{b.Header}); err == nil {
		t.Error("a family without a reader knows the signers of a stored chain")
	}
	fresh.Attach(l)
	if n, err := fresh.VerifyHeaders(parent, []chain.Header{b.Header}); n != 1 || err != nil {
		t.Errorf("VerifyHeaders = %d, %v", n, err)
	}
}

// Who signs under a parent that is not known here may have been voted in
// meanwhile, as in a first sync or after a restart: whoever delivers it is
// honest. What is certain is charged.
func TestASignerUnderAnUnknownParentIsNobodysFault(t *testing.T) {
	f := authority(t, 1, 20, "test")
	vote := next(t, f.c.Genesis.Header)
	vote.Coinbase, vote.Nonce = address(t, 2), voteAllow
	first := sealedBy(t, vote, key(t, 1))
	by := func(parent chain.Header, signer int, change func(*types.Header)) chain.Block {
		h := next(t, parent)
		h.Difficulty = big.NewInt(1)
		if change != nil {
			change(h)
		}
		return sealedBy(t, h, key(t, signer))
	}
	second := by(first.Header, 2, nil)
	unsigned := by(first.Header, 2, nil)
	_, h, err := decodeHeader(unsigned.Header.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	h.Extra[len(h.Extra)-1] = 9 // recovers nothing
	if unsigned.Header, _, err = decodeHeader(encode(t, h)); err != nil {
		t.Fatal(err)
	}
	check := func(name, want string, b chain.Block) {
		t.Helper()
		if v := f.Check(b); v.String() != want {
			t.Errorf("%s: %v, want %s", name, v, want)
		}
	}
	check("a signer of genesis under a known parent", "accept", first)
	check("one that was voted in, under an unknown parent", "ignore: unknown-signer", second)
	check("one that was voted in, under an unknown ancestor", "ignore: unknown-signer", by(second.Header, 2, nil))
	check("a signer of genesis under an unknown parent", "accept", by(second.Header, 1, nil))
	check("no signature", "reject: bad-seal", unsigned)
	check("a form that no block has", "reject: bad-seal", by(second.Header, 2, func(h *types.Header) { h.Difficulty = big.NewInt(3) }))
	check("a stranger under a known parent", "reject: bad-seal", by(f.c.Genesis.Header, 2, nil))
	if _, err := f.VerifyHeaders(f.c.Genesis.Header, []chain.Header{first.Header}); err != nil {
		t.Fatal(err)
	}
	check("one that was voted in, under a known parent", "accept", second)
	check("another stranger under that parent", "reject: bad-seal", by(first.Header, 3, nil))
}

// child is the block of the only signer, with the branch in its vanity.
func child(t testing.TB, f *Family, parent chain.Header, branch uint64) chain.Block {
	t.Helper()
	h := next(t, parent)
	tx := encode(t, types.NewTx(&types.LegacyTx{Nonce: branch, GasPrice: big.NewInt(1), Gas: 21000, Value: new(big.Int), Data: parent.Ref.Hash[:], V: big.NewInt(27), R: big.NewInt(1), S: big.NewInt(1)}))
	h.TxHash = common.Hash(rootOf(rawList{tx}))
	new(big.Int).SetUint64(branch).FillBytes(h.Extra[:vanityLen])
	if n := h.Number.Uint64(); n%f.clique.epoch == 0 {
		a := address(t, 1)
		h.Extra = append(append(h.Extra[:vanityLen:vanityLen], a[:]...), make([]byte, sealLen)...)
	}
	b := sealedBy(t, h, key(t, 1))
	b.Body = encode(t, []any{[]rlp.RawValue{tx}, []any{}})
	return b
}

func TestLedgerConforms(t *testing.T) {
	f := authority(t, 1, 30000, "test")
	other := authority(t, 1, 30000, "other")
	disks := map[chain.Chain]*vfs.MemFS{}
	on := func(t testing.TB, fs *vfs.MemFS) chain.Chain {
		l, err := ledger.Open("chain", ledger.Options{Family: f, FS: fs, MaxReorg: 16})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		disks[l] = fs
		return l
	}
	chaintest.Run(t, chaintest.Factory{
		New:   func(t testing.TB) chain.Chain { return on(t, vfs.NewCrashableMem()) },
		Child: func(t testing.TB, parent chain.Header, branch uint64) chain.Block { return child(t, f, parent, branch) },
		Forge: func(t testing.TB, b chain.Block) map[string]chain.Block {
			forge := func(k *ecdsa.PrivateKey, change func(*types.Header)) chain.Block {
				_, h, err := decodeHeader(b.Header.Bytes)
				if err != nil {
					t.Fatal(err)
				}
				change(h)
				forged := sealedBy(t, h, k)
				forged.Body = b.Body
				return forged
			}
			return map[string]chain.Block{
				"another key":      forge(key(t, 5), func(*types.Header) {}),
				"too difficult":    forge(key(t, 1), func(h *types.Header) { h.Difficulty = big.NewInt(3) }),
				"gas over a limit": forge(key(t, 1), func(h *types.Header) { h.GasUsed = h.GasLimit + 1 }),
				"no vote":          forge(key(t, 1), func(h *types.Header) { h.Nonce = types.BlockNonce{1} }),
			}
		},
		Reopen:   func(t testing.TB, c chain.Chain) chain.Chain { return on(t, disks[c].CrashClone(vfs.CrashCloneCfg{})) },
		MaxReorg: 16,
		Txs: func(b chain.Block) []chain.Tx {
			txs, _ := f.Txs(b)
			return txs
		},
	})
	if other.c.Genesis.Ref() == f.c.Genesis.Ref() {
		t.Error("two networks have one genesis")
	}
}

func TestBlocksOfTheFutureWait(t *testing.T) {
	f := authority(t, 1, 0, "test")
	h := next(t, f.c.Genesis.Header)
	h.Time = uint64(time.Now().Add(time.Minute).Unix())
	if v := f.Check(sealedBy(t, h, key(t, 1))); v.Action != chain.Reject || !v.Clock {
		t.Errorf("Check = %v, clock %v", v, v.Clock)
	}
}
