package ontology

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/chain/chaintest"
	"github.com/starlingp2p/starling/ledger"
	"github.com/starlingp2p/starling/wire/ontology/codec"
)

// keyring is bookkeepers for tests.
type keyring []*ecdsa.PrivateKey

func newRing(t testing.TB, n int) (r keyring) {
	t.Helper()
	for range n {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		r = append(r, k)
	}
	return r
}

func (r keyring) raw() (all [][]byte) {
	for _, k := range r {
		all = append(all, elliptic.MarshalCompressed(elliptic.P256(), k.X, k.Y))
	}
	return all
}

func (r keyring) hex() (all []string) {
	for _, b := range r.raw() {
		all = append(all, hex.EncodeToString(b))
	}
	return all
}

func (r keyring) address(t testing.TB) codec.Address {
	var keys []codec.Key
	for _, b := range r.raw() {
		k, err := codec.ParseKey(b)
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, k)
	}
	a, err := codec.AddressOfBookkeepers(keys)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// sign fills in keys and signatures, of as many as m.
func (r keyring) sign(t testing.TB, h codec.Header, m int) codec.Header {
	h = h.Seal()
	h.Keys, h.Sigs = r.raw(), nil
	sum := sha256.Sum256(h.Hash[:])
	for _, k := range r[:m] {
		a, b, err := ecdsa.Sign(rand.Reader, k, sum[:])
		if err != nil {
			t.Fatal(err)
		}
		sig := make([]byte, 64)
		a.FillBytes(sig[:32])
		b.FillBytes(sig[32:])
		h.Sigs = append(h.Sigs, sig)
	}
	return h.Seal()
}

func dbft(r keyring) Network {
	return Network{Name: "test", Magic: 299, ConsensusType: DBFT, DBFT: Bookkeepers{Bookkeepers: r.hex()}}
}

func family(t testing.TB, n Network) *Family {
	t.Helper()
	f, err := New(n)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// child is a header above another, unsigned and of no transactions.
func child(parent codec.Header, change func(*codec.Header)) codec.Header {
	h := codec.Header{Prev: parent.Hash, Height: parent.Height + 1, Time: parent.Time + 6, NextBookkeeper: parent.NextBookkeeper, Payload: parent.Payload}
	if change != nil {
		change(&h)
	}
	return h
}

func verdict(f *Family, parent codec.Header, h codec.Header) error {
	_, err := f.VerifyHeaders(parent.Chain(), []chain.Header{h.Chain()})
	return err
}

func TestBookkeepersMustSign(t *testing.T) {
	ring, others := newRing(t, 4), newRing(t, 4)
	f := family(t, dbft(ring))
	g := f.genesis.Header
	if g.NextBookkeeper != ring.address(t) {
		t.Fatal("genesis names others")
	}
	twice := func(h codec.Header) codec.Header { h.Sigs[1] = h.Sigs[0]; return h.Seal() }
	spent := func(h codec.Header) codec.Header { h.Nonce++; return h.Seal() }
	for name, tt := range map[string]struct {
		h  codec.Header
		ok bool
	}{
		"three of four":                {ring.sign(t, child(g, nil), 3), true},
		"all":                          {ring.sign(t, child(g, nil), 4), true},
		"another order":                {keyring{ring[3], ring[1], ring[0], ring[2]}.sign(t, child(g, nil), 3), true},
		"the next are named":           {ring.sign(t, child(g, func(h *codec.Header) { h.NextBookkeeper = others.address(t) }), 3), true},
		"two of four":                  {ring.sign(t, child(g, nil), 2), false},
		"three of them":                {ring[:3].sign(t, child(g, nil), 3), false},
		"others":                       {others.sign(t, child(g, nil), 4), false},
		"nobody":                       {child(g, nil).Seal(), false},
		"one twice":                    {twice(ring.sign(t, child(g, nil), 3)), false},
		"signatures of another header": {spent(ring.sign(t, child(g, nil), 3)), false},
		"no time passes":               {ring.sign(t, child(g, func(h *codec.Header) { h.Time = g.Time }), 3), false},
		"a gap":                        {ring.sign(t, child(g, func(h *codec.Header) { h.Height = 2 }), 3), false},
		"another parent":               {ring.sign(t, child(g, func(h *codec.Header) { h.Prev[0] ^= 1 }), 3), false},
	} {
		err := verdict(f, g, tt.h)
		if (err == nil) != tt.ok || err != nil && !errors.Is(err, chain.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// The named ones sign next, and the first no more.
	one := ring.sign(t, child(g, func(h *codec.Header) { h.NextBookkeeper = others.address(t) }), 3)
	if err := verdict(f, one, others.sign(t, child(one, nil), 3)); err != nil {
		t.Error(err)
	}
	if verdict(f, one, ring.sign(t, child(one, nil), 3)) == nil {
		t.Error("the old ones sign on")
	}
	good, bad := ring.sign(t, child(g, nil), 3), ring.sign(t, child(one, nil), 2)
	if n, err := f.VerifyHeaders(g.Chain(), []chain.Header{one.Chain(), bad.Chain(), good.Chain()}); n != 1 || !errors.Is(err, chain.ErrInvalid) {
		t.Errorf("VerifyHeaders = %d, %v", n, err)
	}
}

// At the tip a block of signers whom nobody named is refused at once; far above
// it we cannot tell, and nobody is charged.
func TestCheckKnowsTheSignersOfTheTip(t *testing.T) {
	ring, others := newRing(t, 4), newRing(t, 4)
	f := family(t, dbft(ring))
	g := f.genesis.Header
	block := func(r keyring, height uint32) chain.Block {
		h := r.sign(t, child(g, func(h *codec.Header) { h.Height = height }), 3)
		return codec.Block{Header: h, Body: codec.AppendBody(nil, nil)}.Chain()
	}
	for name, tt := range map[string]struct {
		b  chain.Block
		ok bool
	}{
		"ours":             {block(ring, 1), true},
		"strangers":        {block(others, 1), false},
		"strangers, ahead": {block(others, 5), true},
	} {
		if v := f.Check(tt.b); (v.Action == chain.Accept) != tt.ok {
			t.Errorf("%s: %v", name, v)
		}
	}
	one := ring.sign(t, child(g, func(h *codec.Header) { h.NextBookkeeper = others.address(t) }), 3)
	if err := verdict(f, g, one); err != nil {
		t.Fatal(err)
	}
	if v := f.Check(block(others, 2)); v.Action != chain.Accept {
		t.Errorf("the next signers: %v", v)
	}
}

// A lone bookkeeper's address has two forms: v1.0.0's, and that since v1.0.1.
func TestALoneBookkeeperSigns(t *testing.T) {
	ring := newRing(t, 1)
	var genesis []codec.Hash
	for _, single := range []bool{false, true} {
		n := Network{Name: "solo", ConsensusType: Solo, SOLO: Bookkeepers{Bookkeepers: ring.hex()}, SingleScript: single}
		f := family(t, n)
		g := f.genesis.Header
		genesis = append(genesis, g.Hash)
		if err := verdict(f, g, ring.sign(t, child(g, nil), 1)); err != nil {
			t.Errorf("single %v: %v", single, err)
		}
		if verdict(f, g, newRing(t, 1).sign(t, child(g, nil), 1)) == nil {
			t.Errorf("single %v: anybody signs", single)
		}
	}
	if genesis[0] == genesis[1] {
		t.Error("both have one genesis")
	}
}

// vbft is a network of seven with their keys.
func vbft(r keyring) Network {
	n := MainNet()
	n.Name = "vbft"
	for i := range n.VBFT.Peers {
		n.VBFT.Peers[i].PeerPubkey = r.hex()[i]
	}
	return n
}

func payloadOf(t testing.TB, last uint32, next keyring) []byte {
	info := blockInfo{LastConfig: last}
	if next != nil {
		info.Config = &chainConfig{N: uint32(len(next)), C: 2}
		for i, k := range next.hex() {
			info.Config.Peers = append(info.Config.Peers, peerConfig{uint32(i + 1), k})
		}
	}
	b, err := json.Marshal(info)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Members of the configuration that a header names must sign it, by the newest
// release's rules; v1.0.0 would take all of these.
func TestMembersMustSign(t *testing.T) {
	ring, next := newRing(t, 7), newRing(t, 7)
	f := family(t, vbft(ring))
	g := f.genesis.Header
	with := func(parent codec.Header, last uint32, conf keyring) codec.Header {
		return child(parent, func(h *codec.Header) { h.Payload = payloadOf(t, last, conf) })
	}
	for name, tt := range map[string]struct {
		h  codec.Header
		ok bool
	}{
		"three, one signature":                 {ring[:3].sign(t, with(g, 0, nil), 1), true},
		"all":                                  {ring.sign(t, with(g, 0, nil), 7), true},
		"two":                                  {ring[:2].sign(t, with(g, 0, nil), 2), false},
		"no signature":                         {ring[:3].sign(t, with(g, 0, nil), 0), false},
		"a stranger among them":                {append(ring[:3:3], next[0]).sign(t, with(g, 0, nil), 3), false},
		"one listed twice":                     {keyring{ring[0], ring[0], ring[1]}.sign(t, with(g, 0, nil), 3), false},
		"strangers":                            {next.sign(t, with(g, 0, nil), 7), false},
		"a configuration of the future":        {ring.sign(t, with(g, 5, nil), 7), false},
		"no payload":                           {ring.sign(t, child(g, func(h *codec.Header) { h.Payload = nil }), 7), false},
		"strangers who bring themselves along": {next.sign(t, with(g, 0, next), 7), false},
		"no members":                           {ring.sign(t, with(g, 0, keyring{}), 7), false},
	} {
		err := verdict(f, g, tt.h)
		if (err == nil) != tt.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
	// A new configuration counts from the next block on.
	one := ring.sign(t, with(g, 0, next), 3)
	two := next.sign(t, with(one, 1, nil), 3)
	three := next.sign(t, with(two, 1, ring), 3) // carries one: signed by its parent's
	four := ring.sign(t, with(three, 3, nil), 3)
	all := []chain.Header{one.Chain(), two.Chain(), three.Chain(), four.Chain()}
	if n, err := f.VerifyHeaders(g.Chain(), all); n != 4 || err != nil {
		t.Fatalf("VerifyHeaders = %d, %v", n, err)
	}
	if verdict(f, one, ring.sign(t, with(one, 1, nil), 7)) == nil {
		t.Error("the old members sign on")
	}
	// After a restart the configuration comes from the chain.
	again := family(t, vbft(ring))
	if verdict(again, two, three) == nil {
		t.Error("a configuration that nobody has seen")
	}
	if err := again.Attach(t.Context(), reader{byNumber: map[uint64]chain.Header{1: one.Chain(), 2: two.Chain()}}); err != nil {
		t.Fatal(err)
	}
	if err := verdict(again, two, three); err != nil {
		t.Error(err)
	}
}

// reader is a chain that finds headers.
type reader struct {
	chain.Reader
	byNumber map[uint64]chain.Header
}

func (reader) Status() chain.Status { return chain.Status{Head: chain.Ref{Number: 2}} }

func (r reader) Header(_ context.Context, ref chain.Ref) (chain.Header, error) {
	h, ok := r.byNumber[ref.Number]
	if !ok {
		return h, chain.ErrNotFound
	}
	return h, nil
}

// sealed makes signed blocks with right roots.
type sealer struct {
	t     testing.TB
	ring  keyring
	trees map[codec.Hash]codec.BlockTree
}

func (s sealer) child(parent chain.Header, nonce uint64, txs []codec.Tx, change func(*codec.Header)) chain.Block {
	p, err := codec.DecodeHeader(parent.Bytes)
	if err != nil {
		s.t.Fatal(err)
	}
	hashes := make([]codec.Hash, len(txs))
	for i, tx := range txs {
		hashes[i] = tx.Hash
	}
	h := child(p, nil)
	h.Nonce, h.TxRoot = nonce, codec.TxRoot(hashes)
	h.BlockRoot = s.trees[p.Hash].RootWith(h.TxRoot)
	if change != nil {
		change(&h)
	}
	h = s.ring.sign(s.t, h, codec.Quorum(len(s.ring)))
	s.trees[h.Hash] = s.trees[p.Hash].With(h.TxRoot)
	return codec.Block{Header: h, Body: codec.AppendBody(nil, txs)}.Chain()
}

func newSealer(t testing.TB, f *Family, ring keyring) sealer {
	g := f.genesis.Header
	return sealer{t, ring, map[codec.Hash]codec.BlockTree{g.Hash: codec.BlockTree{}.With(g.TxRoot)}}
}

func txOf(nonce uint32) codec.Tx {
	return codec.Tx{Type: codec.TxInvoke, Nonce: nonce, GasLimit: math.MaxUint32, Code: []byte{1, 2, 3}}.Seal()
}

func TestLedgerConforms(t *testing.T) {
	ring := newRing(t, 4)
	f := family(t, dbft(ring))
	f.named(codec.Header{Height: 1000, NextBookkeeper: f.genesis.Header.NextBookkeeper}) // a node at the tip
	s := newSealer(t, f, ring)
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
	nonce := uint32(0)
	chaintest.Run(t, chaintest.Factory{
		New: func(t testing.TB) chain.Chain { return on(t, vfs.NewCrashableMem()) },
		Child: func(t testing.TB, parent chain.Header, branch uint64) chain.Block {
			nonce++
			return s.child(parent, branch, []codec.Tx{txOf(nonce)}, nil)
		},
		Forge: func(t testing.TB, b chain.Block) map[string]chain.Block {
			h, err := codec.DecodeHeader(b.Header.Bytes)
			if err != nil {
				t.Fatal(err)
			}
			others := newRing(t, 4).sign(t, h, 4)
			few := ring.sign(t, h, 2)
			return map[string]chain.Block{
				"other signers":   {Header: others.Chain(), Body: b.Body},
				"too few signers": {Header: few.Chain(), Body: b.Body},
			}
		},
		Reopen: func(t testing.TB, c chain.Chain) chain.Chain {
			return on(t, disks[c].CrashClone(vfs.CrashCloneCfg{}))
		},
		MaxReorg: 16,
		Pool:     poolOf,
		Txs: func(b chain.Block) []chain.Tx {
			txs, _ := f.Txs(b)
			return txs
		},
	})
}

// A header's block root is checked where all before it are known.
func TestAWrongBlockRootIsRefused(t *testing.T) {
	ring := newRing(t, 4)
	f := family(t, dbft(ring))
	s := newSealer(t, f, ring)
	l, err := ledger.Open("chain", ledger.Options{Family: f, FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	parent := f.genesis.Header.Chain()
	var blocks []chain.Block
	for i := range 20 {
		b := s.child(parent, uint64(i), nil, nil)
		blocks = append(blocks, b)
		parent = b.Header
	}
	if n, err := l.Import(t.Context(), blocks); n != 20 || err != nil {
		t.Fatalf("Import = %d, %v", n, err)
	}
	bad := s.child(parent, 1, nil, func(h *codec.Header) { h.BlockRoot[0] ^= 1 })
	if err := verdict(f, mustDecode(t, parent), mustDecode(t, bad.Header)); err != nil {
		t.Fatalf("the header alone: %v", err)
	}
	if n, err := l.Import(t.Context(), []chain.Block{bad}); n != 0 || !errors.Is(err, chain.ErrInvalid) {
		t.Errorf("Import = %d, %v", n, err)
	}
	if n, err := l.Import(t.Context(), []chain.Block{s.child(parent, 2, nil, nil)}); n != 1 || err != nil {
		t.Errorf("Import of the right one = %d, %v", n, err)
	}
}

func mustDecode(t *testing.T, h chain.Header) codec.Header {
	t.Helper()
	d, err := codec.DecodeHeader(h.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// The trailer of a block is stored and given back as it came; one that is
// broken is refused, and so are transactions that occur twice (threat L-01).
func TestBodiesMustBelong(t *testing.T) {
	ring := newRing(t, 4)
	f := family(t, dbft(ring))
	s := newSealer(t, f, ring)
	a, b, c := txOf(1), txOf(2), txOf(3)
	block := s.child(f.genesis.Header.Chain(), 1, []codec.Tx{a, b, c}, nil)
	trailer := append(make([]byte, 32), 0)
	for name, tt := range map[string]struct {
		body, extra []byte
		ok          bool
	}{
		"right":            {block.Body, nil, true},
		"with its trailer": {block.Body, trailer, true},
		"a broken trailer": {block.Body, trailer[:20], false},
		"one twice":        {codec.AppendBody(nil, []codec.Tx{a, b, c, c}), nil, false},
		"one less":         {codec.AppendBody(nil, []codec.Tx{a, b}), nil, false},
		"nothing":          {nil, nil, false},
		"something behind": {append(append([]byte(nil), block.Body...), 0), nil, false},
	} {
		err := f.VerifyBody(block.Header, tt.body, tt.extra)
		if (err == nil) != tt.ok || err != nil && !errors.Is(err, chain.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
		forged := block
		forged.Body, forged.Extra = tt.body, tt.extra
		if v := f.Check(forged); (v.Action == chain.Accept) != tt.ok {
			t.Errorf("%s: Check = %v", name, v)
		}
	}
	block.Extra = trailer
	l, err := ledger.Open("chain", ledger.Options{Family: f, FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := l.Import(t.Context(), []chain.Block{block}); err != nil {
		t.Fatal(err)
	}
	got, err := l.Block(t.Context(), chain.Ref{Number: 1})
	if err != nil || string(got.Extra) != string(trailer) {
		t.Errorf("Extra = %x, %v", got.Extra, err)
	}
}

func TestNetworksAreChecked(t *testing.T) {
	ring := newRing(t, 4)
	for name, change := range map[string]func(*Network){
		"no name":        func(n *Network) { n.Name = "" },
		"no consensus":   func(n *Network) { n.ConsensusType = "pow" },
		"no bookkeepers": func(n *Network) { n.DBFT.Bookkeepers = nil },
		"a bad key":      func(n *Network) { n.DBFT.Bookkeepers[0] = "02ff" },
		"no hex":         func(n *Network) { n.DBFT.Bookkeepers[0] = "zz" },
		"k of 0":         func(n *Network) { *n = vbft(newRing(t, 7)); n.VBFT.K, n.VBFT.C = 0, 0 },
		"l too small":    func(n *Network) { *n = vbft(newRing(t, 7)); n.VBFT.L = 7 },
		"l too large":    func(n *Network) { *n = vbft(newRing(t, 7)); n.VBFT.L = 7 << 20 },
		"a bad address":  func(n *Network) { *n = vbft(newRing(t, 7)); n.VBFT.Peers[0].Address = "A" },
	} {
		n := dbft(ring)
		change(&n)
		if _, err := New(n); err == nil {
			t.Errorf("%s: it is taken", name)
		}
	}
	file := []byte(`{"SeedList":["a:1"],"ConsensusType":"dbft","DBFT":{"GenBlockTime":6,"Bookkeepers":["` + ring.hex()[0] + `"]}}`)
	n, err := ParseNetwork(file)
	if err != nil || n.ConsensusType != DBFT || n.DBFT.GenBlockTime != 6 || n.MinPeers() != 4 {
		t.Errorf("ParseNetwork = %+v, %v", n, err)
	}
}
