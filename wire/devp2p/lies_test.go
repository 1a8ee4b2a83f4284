package devp2p

import (
	"context"
	"math/big"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/ethereum/go-ethereum/consensus/beacon"
	"github.com/ethereum/go-ethereum/consensus/ethash"
	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/params"
	"github.com/ethereum/go-ethereum/rlp"

	"github.com/starlingp2p/starling"
	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/ledger"
	"github.com/starlingp2p/starling/ledger/ethereum"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/sim/bed"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/devp2p/eth"
	"github.com/starlingp2p/starling/wire/wiretest"
)

// minted is a chain of proof of work that geth has made, and its rules.
type minted struct {
	family *ethereum.Family
	blocks []chain.Block
}

// mint makes a chain of n blocks, each with a transfer of its own.
func mint(t *testing.T, n int) minted {
	t.Helper()
	cfg := &params.ChainConfig{ChainID: big.NewInt(1), HomesteadBlock: new(big.Int), Ethash: new(params.EthashConfig)}
	sender := crypto.PubkeyToAddress(keyFor(1).PublicKey)
	alloc := types.GenesisAlloc{sender: {Balance: new(big.Int).Lsh(big.NewInt(1), 90)}}
	began := uint64(time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC).Unix()) // before a bubble's time
	ours := &ethereum.Genesis{Config: cfg, Alloc: alloc, GasLimit: 8_000_000, Difficulty: big.NewInt(131072), Timestamp: began}
	first, err := ours.Block()
	if err != nil {
		t.Fatal(err)
	}
	_, made, _ := core.GenerateChainWithGenesis(
		&core.Genesis{Config: cfg, Alloc: alloc, GasLimit: ours.GasLimit, Difficulty: ours.Difficulty, Timestamp: began},
		beacon.New(ethash.NewFaker()), n, func(i int, b *core.BlockGen) {
			tx, err := types.SignNewTx(keyFor(1), types.HomesteadSigner{}, &types.LegacyTx{Nonce: uint64(i), GasPrice: big.NewInt(1), Gas: 21000, To: &sender, Value: big.NewInt(int64(i))})
			if err != nil {
				t.Fatal(err)
			}
			b.AddTx(tx)
		},
	)
	m := minted{blocks: []chain.Block{first}}
	if m.family, err = ethereum.New(ethereum.Config{Network: "test", Chain: cfg, Genesis: first}); err != nil {
		t.Fatal(err)
	}
	for _, b := range made {
		raw, err := rlp.EncodeToBytes(b)
		if err != nil {
			t.Fatal(err)
		}
		header, body, err := eth.SplitBlock(raw)
		if err != nil {
			t.Fatal(err)
		}
		h, err := m.family.DecodeHeader(header)
		if err != nil {
			t.Fatal(err)
		}
		m.blocks = append(m.blocks, chain.Block{Header: h, Body: body})
	}
	return m
}

// answer is what an honest peer with the whole chain answers.
func (m minted) answer(r wire.Request) (wire.Response, error) {
	at := func(ref chain.Ref) int {
		return slices.IndexFunc(m.blocks, func(b chain.Block) bool {
			return b.Ref().Hash == ref.Hash || ref.Hash.IsZero() && b.Ref().Number == ref.Number
		})
	}
	switch r := r.(type) {
	case wire.GetHeaders:
		var out wire.Headers
		step := r.Range.Skip + 1
		if r.Range.Reverse {
			step = -step
		}
		for i := at(r.Range.From); i >= 0 && i < len(m.blocks) && len(out.Headers) < r.Range.Count; i += step {
			out.Headers = append(out.Headers, m.blocks[i].Header)
		}
		return out, nil
	case wire.GetBodies:
		var out wire.Bodies
		for _, h := range r.Hashes {
			if i := at(chain.Ref{Hash: h}); i >= 0 {
				out.Hashes, out.Bodies = append(out.Hashes, h), append(out.Bodies, wire.Body{Body: m.blocks[i].Body})
			}
		}
		return out, nil
	}
	return nil, &wire.Refusal{Code: wire.RefusedNotFound}
}

// lie changes what an honest peer would answer.
type lie func(ctx context.Context, r wire.Request, honest wire.Response) (wire.Response, error)

// whole is a node of ours, with its ledger, on devp2p.
type whole struct {
	client  *starling.Client
	ledger  *ledger.Ledger
	charges map[peer.ID]map[peer.Offense]peer.Severity
	stop    func()
}

// runNode runs a node at the i-th host.
func runNode(t *testing.T, n *bed.Net, i uint64, m minted) *whole {
	t.Helper()
	l, err := ledger.Open("chain", ledger.Options{Family: m.family, FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	m.family.Attach(l)
	cfg := configFor(n, i, "test", m.blocks[0].Ref().Hash)
	cfg.Status, cfg.Versions = l.Status, []eth.Version{eth.V68}
	w, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	node, err := starling.New(starling.Config{NoDiscovery: true, Seed: 1}, l, w)
	if err != nil {
		t.Fatal(err)
	}
	out := &whole{client: node.Client(), ledger: l, charges: map[peer.ID]map[peer.Offense]peer.Severity{}}
	events := out.client.Subscribe(context.Background(), 4096)
	heard, done := make(chan struct{}), make(chan error, 1)
	go func() {
		defer close(heard)
		for ev := range events.C() {
			c, ok := ev.(starling.PeerCharged)
			if !ok {
				continue
			}
			if out.charges[c.ID] == nil {
				out.charges[c.ID] = map[peer.Offense]peer.Severity{}
			}
			out.charges[c.ID][c.Offense] = c.Severity
		}
	}()
	ctx, cancel := context.WithCancel(context.Background())
	go func() { done <- node.Run(ctx) }()
	out.stop = func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v", err)
		}
		<-heard
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
	<-w.Ready()
	synctest.Wait() // the node is running
	return out
}

// liar is a peer that tells lies, or none.
type liar struct {
	*running
	asked atomic.Int64 // requests
}

// liar runs a wire that tells lies, and claims more than there is.
func (m minted) liar(t *testing.T, n *bed.Net, i uint64, l lie) *liar {
	t.Helper()
	return m.liarAt(t, n, i, l, m.blocks[len(m.blocks)-1].Header)
}

// liarAt is liar for one that claims that head.
func (m minted) liarAt(t *testing.T, n *bed.Net, i uint64, l lie, head chain.Header) *liar {
	t.Helper()
	out := &liar{}
	h := &wiretest.Host{OnServe: func(ctx context.Context, _ wire.Session, r wire.Request) (wire.Response, error) {
		if g, ok := r.(wire.GetHeaders); ok && g.Range.From.Hash == head.Ref.Hash && g.Range.Count == 1 {
			return wire.Headers{Headers: []chain.Header{head}}, nil
		}
		out.asked.Add(1)
		true, err := m.answer(r)
		if g, ok := r.(wire.GetHeaders); err != nil || l == nil || ok && g.Range.Count == 1 {
			return true, err // its head is what it says, and a common ancestor is found
		}
		return l(ctx, r, true)
	}}
	weight := chain.WeightOf(1 << 40)
	if l != nil {
		weight = chain.WeightOf(1 << 41)
	}
	out.running = start(t, n, i, h, func(c *Config) {
		c.Versions, c.Forks = []eth.Version{eth.V68}, eth.NewForks(m.blocks[0].Ref().Hash, 0, nil, nil)
		c.Status = func() chain.Status {
			return chain.Status{Network: "test", Genesis: m.blocks[0].Ref().Hash, Head: head.Ref, Weight: weight}
		}
	})
	return out
}

// headersOnly lies about headers.
func headersOnly(f func([]chain.Header) []chain.Header) lie {
	return func(_ context.Context, _ wire.Request, honest wire.Response) (wire.Response, error) {
		if h, ok := honest.(wire.Headers); ok && len(h.Headers) > 6 {
			return wire.Headers{Headers: f(slices.Clone(h.Headers))}, nil
		}
		return honest, nil
	}
}

// bodiesOnly lies about bodies.
func bodiesOnly(f func([]wire.Body) []wire.Body) lie {
	return func(_ context.Context, _ wire.Request, honest wire.Response) (wire.Response, error) {
		if b, ok := honest.(wire.Bodies); ok && len(b.Bodies) > 2 {
			bodies := f(slices.Clone(b.Bodies))
			return wire.Bodies{Hashes: b.Hashes[:len(bodies)], Bodies: bodies}, nil
		}
		return honest, nil
	}
}

// forged is a header whose difficulty nobody worked for, up blocks higher.
func (m minted) forged(h chain.Header, up int64) chain.Header {
	var full types.Header
	if err := rlp.DecodeBytes(h.Bytes, &full); err != nil {
		panic(err)
	}
	full.Difficulty = new(big.Int).Lsh(full.Difficulty, 10)
	full.Number.Add(full.Number, big.NewInt(up))
	raw, err := rlp.EncodeToBytes(&full)
	if err != nil {
		panic(err)
	}
	out, err := m.family.DecodeHeader(raw)
	if err != nil {
		panic(err)
	}
	return out
}

// costly is a lie of the catalogue with what it costs under eth/68.
type costly struct {
	lie  lie
	want peer.Offense // none: ""
	most int64        // requests that it is asked in ten minutes; 0: any number
}

// lies are those of the catalogue.
func (m minted) lies() map[string]costly {
	never := func(ctx context.Context, _ wire.Request, _ wire.Response) (wire.Response, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return map[string]costly{
		"L-01 headers of other numbers": {headersOnly(func(hs []chain.Header) []chain.Header { return hs[1:] }), peer.WrongBlock, 0},
		"L-01 bodies of other blocks": {bodiesOnly(func(bs []wire.Body) []wire.Body {
			slices.Reverse(bs)
			return bs
		}), peer.InvalidBlock, 0},
		"L-03 a header left out":     {headersOnly(func(hs []chain.Header) []chain.Header { return slices.Delete(hs, 2, 3) }), peer.ShortAnswer, 0},
		"L-03 always a short answer": {bodiesOnly(func(bs []wire.Body) []wire.Body { return bs[:2] }), "", 0},
		"L-04 a header twice":        {headersOnly(func(hs []chain.Header) []chain.Header { hs[3] = hs[2]; return hs }), peer.UnorderedAnswer, 0},
		"L-06 headers without work":  {headersOnly(func(hs []chain.Header) []chain.Header { hs[0] = m.forged(hs[0], 0); return hs[:1] }), peer.InvalidBlock, 0},
		"Z-03 never an answer":       {never, "", 4},
		"L-05 nothing of what it has": {func(context.Context, wire.Request, wire.Response) (wire.Response, error) {
			return nil, &wire.Refusal{Code: wire.RefusedNotFound}
		}, "", 4},
	}
}

// Threats L-01, L-03, L-04, L-05, L-06 and Z-03, through the messages of
// eth/68 and the rules of Ethereum's ledger: a liar that claims the most work is
// asked first, and pays what the catalogue says; the honest peer pays nothing,
// and what it has is what is imported. Empty and short answers are legal in eth,
// and no answer is charged from the third on: who gives none of what it claims
// is not charged, and not asked again either.
func TestLiarsPayAndTheHonestPeerWins(t *testing.T) {
	m := mint(t, 210)
	for name, tt := range m.lies() {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, n *bed.Net) {
				v := runNode(t, n, 1, m)
				bad, good := m.liar(t, n, 2, tt.lie), m.liar(t, n, 3, nil)
				if err := v.client.Connect(t.Context(), bad.Addrs()[0].Text); err != nil {
					t.Fatal(err)
				}
				time.Sleep(500 * time.Millisecond)
				if err := v.client.Connect(t.Context(), good.Addrs()[0].Text); err != nil {
					t.Fatal(err)
				}
				v.reaches(t, m, 30*time.Second)
				time.Sleep(10 * time.Minute) // a claim that nobody has delivered on stays open for a while
				liarID, goodID := bad.Self(), good.Self()
				v.stop()
				bad.stop(t)
				good.stop(t)
				if len(v.charges[goodID]) > 0 {
					t.Errorf("the honest peer was charged: %v", v.charges[goodID])
				}
				got, paid := v.charges[liarID][tt.want]
				t.Logf("the liar was charged %v", v.charges[liarID])
				if tt.want != "" && (!paid || got != tt.want.Severity()) || tt.want == "" && len(v.charges[liarID]) > 0 {
					t.Errorf("the liar was charged %v, want %q", v.charges[liarID], tt.want)
				}
				if n := bad.asked.Load(); tt.most > 0 && n > tt.most {
					t.Errorf("the liar was asked %d times, want at most %d", n, tt.most)
				}
			})
		})
	}
}

// Threat L-09: a huge head that is claimed, with the header to show for it, and
// never delivered: what the peer has is taken, the claim is charged, and an
// honest peer beside it is followed.
func TestAHeadThatIsNotThereIsCharged(t *testing.T) {
	m := mint(t, 210)
	bubble(t, func(t *testing.T, n *bed.Net) {
		v := runNode(t, n, 1, m)
		honest := func(_ context.Context, _ wire.Request, r wire.Response) (wire.Response, error) { return r, nil }
		top := m.forged(m.blocks[210].Header, 1<<20)
		bad := m.liarAt(t, n, 2, honest, top)
		good := m.liar(t, n, 3, nil)
		for _, p := range []*liar{bad, good} {
			if err := v.client.Connect(t.Context(), p.Addrs()[0].Text); err != nil {
				t.Fatal(err)
			}
			time.Sleep(500 * time.Millisecond)
		}
		v.reaches(t, m, 5*time.Minute)
		for range 20 { // it says so again, block by block
			for _, s := range bad.host.Sessions() {
				s.Send(t.Context(), wire.LaneBlock, wire.Block{Block: chain.Block{Header: top, Body: m.blocks[210].Body}, Weight: chain.WeightOf(1 << 41)})
			}
			time.Sleep(15 * time.Second)
		}
		liarID, goodID := bad.Self(), good.Self()
		v.stop()
		bad.stop(t)
		good.stop(t)
		if got := v.charges[liarID]; got[peer.FalseHead] != peer.Mid {
			t.Errorf("the liar was charged %v, want %s", got, peer.FalseHead)
		}
		if len(v.charges[goodID]) > 0 {
			t.Errorf("the honest peer was charged: %v", v.charges[goodID])
		}
	})
}

// Threat L-11: nine of ten tell the same lie, and the tenth is believed.
func TestOneHonestPeerOfTenWins(t *testing.T) {
	m := mint(t, 210)
	for _, name := range []string{"L-01 bodies of other blocks", "L-06 headers without work", "Z-03 never an answer"} {
		l := m.lies()[name].lie
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, n *bed.Net) {
				v := runNode(t, n, 1, m)
				var all []*liar
				for i := range uint64(10) {
					of := l
					if i == 9 {
						of = nil
					}
					p := m.liar(t, n, 300*(2+i), of) // each in a prefix of its own
					all = append(all, p)
					if err := v.client.Connect(t.Context(), p.Addrs()[0].Text); err != nil {
						t.Fatal(err)
					}
				}
				v.reaches(t, m, 10*time.Minute)
				honest := all[9].Self()
				v.stop()
				for _, p := range all {
					p.stop(t)
				}
				if len(v.charges[honest]) > 0 {
					t.Errorf("the honest peer was charged: %v", v.charges[honest])
				}
			})
		})
	}
}

// reaches waits until the node has the whole chain.
func (w *whole) reaches(t *testing.T, m minted, within time.Duration) {
	t.Helper()
	want := m.blocks[len(m.blocks)-1].Ref()
	began := time.Now()
	for w.ledger.Status().Head != want {
		if time.Since(began) > within {
			t.Fatalf("after %v the head is %v, want %v; sync: %+v", within, w.ledger.Status().Head, want, w.client.Status().Sync)
		}
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
	}
	t.Logf("in sync after %v", time.Since(began))
}
