package opstack_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/chain/chaintest"
	"github.com/starlingp2p/starling/ledger"
	"github.com/starlingp2p/starling/ledger/opstack"
	"github.com/starlingp2p/starling/wire/opstack/codec"
	"github.com/starlingp2p/starling/wire/opstack/codec/rules"
)

const (
	chainID = 901
	epoch   = 1_700_000_000
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type wall struct{ at time.Time }

func (w wall) Now() time.Time { return w.at }

func key(t testing.TB, n int) codec.Key {
	t.Helper()
	k, err := codec.ParseKey(fmt.Sprintf("%064x", n))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// family is a network whose forks come one after the other, so that a chain of
// a dozen blocks has them all. Blocks up to ten minutes old are gossiped.
func family(t testing.TB, change ...func(*opstack.Config)) *opstack.Family {
	t.Helper()
	c := opstack.Config{
		Network: "test", ChainID: chainID, BlockTime: time.Second,
		Genesis: opstack.Genesis{Number: 100, Hash: chain.Hash{1, 2, 3}, Time: epoch},
		Forks:   []opstack.Fork{{"canyon", epoch + 2}, {"ecotone", epoch + 4}, {"isthmus", epoch + 6}, {"jovian", epoch + 8}},
		Signer:  key(t, 1).Address(), MaxAge: 10 * time.Minute, Wall: wall{time.Unix(epoch+500, 0)},
	}
	for _, f := range change {
		f(&c)
	}
	f, err := opstack.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// envelope is a child of parent with one transaction of a branch.
func envelope(t testing.TB, f *opstack.Family, parent chain.Header, branch uint64) *codec.Envelope {
	t.Helper()
	at := uint64(parent.Time.Unix()) + 1
	e, err := codec.Draft{Version: f.Rules().Config().VersionAt(at), Parent: parent.Ref, Time: at, Txs: [][]byte{fmt.Appendf(nil, "\x02%d of %v", branch, parent.Ref)}}.Envelope()
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func signed(t testing.TB, k codec.Key, id uint64, e *codec.Envelope) chain.Block {
	t.Helper()
	sig, err := k.SignEnvelope(id, e)
	if err != nil {
		t.Fatal(err)
	}
	b, err := e.Block(sig)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func child(t testing.TB, f *opstack.Family, parent chain.Header, branch uint64) chain.Block {
	return signed(t, key(t, 1), chainID, envelope(t, f, parent, branch))
}

func blocks(t testing.TB, f *opstack.Family, n int) []chain.Block {
	parent := f.Spec().Genesis.Header
	var out []chain.Block
	for range n {
		b := child(t, f, parent, 0)
		out, parent = append(out, b), b.Header
	}
	return out
}

func TestLedgerConforms(t *testing.T) {
	f := family(t)
	disks := map[chain.Chain]*vfs.MemFS{}
	on := func(t testing.TB, fs *vfs.MemFS) chain.Chain {
		l, err := ledger.Open("chain", ledger.Options{Family: family(t), FS: fs, MaxReorg: 16})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := l.CheckInvariants(context.Background()); err != nil {
				t.Error(err)
			}
			l.Close()
		})
		disks[l] = fs
		return l
	}
	chaintest.Run(t, chaintest.Factory{
		New:   func(t testing.TB) chain.Chain { return on(t, vfs.NewCrashableMem()) },
		Child: func(t testing.TB, parent chain.Header, branch uint64) chain.Block { return child(t, f, parent, branch) },
		Forge: func(t testing.TB, b chain.Block) map[string]chain.Block {
			forged := map[string]chain.Block{}
			for name, change := range map[string]func(*codec.Envelope){
				"excess blob gas": func(e *codec.Envelope) {
					e.Version, e.ExcessBlobGas, e.WithdrawalsRoot = codec.V4, 1, chain.Hash{1}
				},
				"withdrawals": func(e *codec.Envelope) { e.Version, e.Withdrawals = codec.V2, make([]byte, 44) },
				"the time of its parent": func(e *codec.Envelope) {
					e.Time -= 100
				},
			} {
				e, err := codec.EnvelopeOf(b)
				if err != nil {
					t.Fatal(err)
				}
				change(e)
				root, err := codec.TxRoot(e.Txs)
				if err != nil {
					t.Fatal(err)
				}
				e.BlockHash = codec.HeaderHash(codec.AppendHeader(nil, e, root))
				forged[name] = signed(t, key(t, 7), chainID, e)
			}
			return forged
		},
		Reopen: func(t testing.TB, c chain.Chain) chain.Chain {
			return on(t, disks[c].CrashClone(vfs.CrashCloneCfg{}))
		},
		MaxReorg: 16, FreeExtra: true, Once: true,
		Txs: func(b chain.Block) []chain.Tx {
			txs, _ := f.Txs(b)
			return txs
		},
	})
}

func TestCheckKeepsTheTable(t *testing.T) {
	f := family(t)
	b := blocks(t, f, 10)
	for _, tt := range []struct {
		name string
		b    chain.Block
		want chain.Verdict
	}{
		{"good", b[9], chain.Accepted()},
		{"good again", b[9], chain.Ignored("seen")},
		{"another key", signed(t, key(t, 2), chainID, envelope(t, f, b[3].Header, 1)), chain.Rejected("bad-signature")},
		{"another chain", signed(t, key(t, 1), 902, envelope(t, f, b[3].Header, 1)), chain.Rejected("bad-signature")},
		{"no signature", chain.Block{Header: b[4].Header, Body: b[4].Body}, chain.Rejected("bad-signature")},
		{"another body", chain.Block{Header: b[9].Header, Body: b[8].Body, Extra: b[9].Extra}, chain.Rejected("hash-mismatch")},
	} {
		if got := f.Check(tt.b); got != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.name, got, tt.want)
		}
	}
}

// Among many bodies each is judged as if it were alone, and their transactions
// are those of each.
func TestBodiesTogetherAreJudgedAlone(t *testing.T) {
	f := family(t)
	all := blocks(t, f, 12)
	all[2].Body = all[3].Body
	all[5].Extra = []byte{1}
	all[7].Header = all[8].Header
	all[9].Body = []byte{1, 2, 3}
	errs := f.VerifyBodies(all)
	txs, txErrs := f.TxsOf(all)
	for i, b := range all {
		alone := f.VerifyBody(b.Header, b.Body, b.Extra)
		if bad := i == 2 || i == 5 || i == 7 || i == 9; bad != (alone != nil) || bad != errors.Is(errs[i], chain.ErrInvalid) {
			t.Errorf("block %d: %v together, %v alone", i, errs[i], alone)
		}
		want, err := f.Txs(b)
		if (err == nil) != (txErrs[i] == nil) || (err != nil) != (i == 9) {
			t.Errorf("transactions of block %d: %v together, %v alone", i, txErrs[i], err)
		}
		if diff := cmp.Diff(want, txs[i]); diff != "" {
			t.Errorf("transactions of block %d: %s", i, diff)
		}
	}
}

// A block goes to the disk and back, and to the payload that it came from.
func TestPayloadsSurviveTheLedger(t *testing.T) {
	f := family(t)
	l, err := ledger.Open("chain", ledger.Options{Family: f, FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx := t.Context()
	all := blocks(t, f, 12)
	if n, err := l.Import(ctx, all); n != 12 || err != nil {
		t.Fatal(n, err)
	}
	seen := map[codec.Version]bool{}
	for _, want := range all {
		for _, ref := range []chain.Ref{{Number: want.Ref().Number}, {Hash: want.Ref().Hash}} {
			b, err := l.Block(ctx, ref)
			if err != nil {
				t.Fatal(err)
			}
			e, err := codec.EnvelopeOf(b)
			if err != nil {
				t.Fatal(err)
			}
			seen[e.Version] = true
			was, err := codec.EnvelopeOf(want)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(codec.AppendEnvelope(nil, e), codec.AppendEnvelope(nil, was)) || !bytes.Equal(b.Extra, want.Extra) {
				t.Errorf("block %v is another when it comes back", want.Ref())
			}
			if err := f.VerifyBody(b.Header, b.Body, b.Extra); err != nil {
				t.Error(err)
			}
			if got := f.Rules().Config().VersionAt(e.Time); got != e.Version {
				t.Errorf("block %v is a %v, its time calls for a %v", b.Ref(), e.Version, got)
			}
		}
	}
	if len(seen) != 4 {
		t.Errorf("versions %v, want all four", seen)
	}
	if st := l.Status(); st.Genesis != (chain.Hash{1, 2, 3}) || st.Earliest != 100 || st.Head != all[11].Ref() {
		t.Errorf("Status = %+v", st)
	}
	g, err := l.Block(ctx, chain.Ref{Number: 100})
	if _, not := codec.EnvelopeOf(g); err != nil || not == nil {
		t.Errorf("the genesis = %+v, %v; want one without a payload", g, err)
	}
}

func TestHeads(t *testing.T) {
	f := family(t)
	l, err := ledger.Open("chain", ledger.Options{Family: f, FS: vfs.NewMem(), MaxReorg: 16})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx := t.Context()
	h := opstack.NewHeads(l)
	all := blocks(t, f, 8)
	if _, err := l.Import(ctx, all); err != nil {
		t.Fatal(err)
	}
	want := func(unsafe, safe, final chain.Ref) {
		t.Helper()
		got, err := h.Safe(ctx)
		if err != nil || h.Unsafe() != unsafe || got != safe || h.Finalized() != final {
			t.Errorf("heads %v, %v, %v (%v); want %v, %v, %v", h.Unsafe(), got, h.Finalized(), err, unsafe, safe, final)
		}
	}
	want(all[7].Ref(), chain.Ref{}, chain.Ref{})
	if err := h.SetFinalized(ctx, all[1].Ref()); err != nil {
		t.Fatal(err)
	}
	want(all[7].Ref(), all[1].Ref(), all[1].Ref())
	if err := h.SetSafe(ctx, all[5].Ref()); err != nil {
		t.Fatal(err)
	}
	want(all[7].Ref(), all[5].Ref(), all[1].Ref())
	if err := h.SetSafe(ctx, chain.Ref{Number: 103, Hash: chain.Hash{9}}); !errors.Is(err, chain.ErrNotFound) {
		t.Errorf("a safe head that is not ours: %v", err)
	}
	// A longer branch that leaves below the safe head takes its place.
	parent, branch := all[2].Header, []chain.Block(nil)
	for range 6 {
		b := child(t, f, parent, 1)
		branch, parent = append(branch, b), b.Header
	}
	if n, err := l.Import(ctx, branch); err != nil {
		t.Fatal(n, err)
	}
	want(branch[5].Ref(), all[1].Ref(), all[1].Ref())
}

func TestGenesisWithAHeader(t *testing.T) {
	e, err := codec.Draft{Version: codec.V4, Time: epoch}.Envelope()
	if err != nil {
		t.Fatal(err)
	}
	b, err := e.Block(nil)
	if err != nil {
		t.Fatal(err)
	}
	f := family(t, func(c *opstack.Config) {
		c.Genesis = opstack.Genesis{Header: b.Header.Bytes}
		c.Forks = []opstack.Fork{{"jovian", 0}}
	})
	g := f.Spec().Genesis
	if g.Ref() != b.Ref() || g.Header.Time.Unix() != epoch {
		t.Errorf("genesis %+v, want %v", g, b.Ref())
	}
	if c := f.Rules().Config(); c.VersionAt(0) != codec.V4 || c.Forks != (rules.Forks{}) {
		t.Errorf("an early fork does not include those before it: %+v", c.Forks)
	}
}

func TestConfigIsChecked(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*opstack.Config)
		says   string
	}{
		"no genesis":    {func(c *opstack.Config) { c.Genesis.Hash = chain.Hash{} }, "genesis hash is missing"},
		"unknown fork":  {func(c *opstack.Config) { c.Forks = []opstack.Fork{{"cancun", 1}} }, "cancun"},
		"fork twice":    {func(c *opstack.Config) { c.Forks = []opstack.Fork{{"canyon", 1}, {"canyon", 1}} }, "twice"},
		"fork too late": {func(c *opstack.Config) { c.Forks = []opstack.Fork{{"canyon", 9}, {"isthmus", 1}} }, "canyon"},
		"no chain id":   {func(c *opstack.Config) { c.ChainID = 0 }, "chain id"},
		"bad header":    {func(c *opstack.Config) { c.Genesis.Header = []byte{0xc0} }, "genesis header"},
		"long window":   {func(c *opstack.Config) { c.MaxAge = time.Hour }, "threshold"},
	} {
		c := family(t).Config()
		tt.change(&c)
		if _, err := opstack.New(c); err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v, want %q in it", name, err, tt.says)
		}
	}
}

func FuzzDecodeHeader(f *testing.F) {
	fam := family(f)
	f.Add(fam.Spec().Genesis.Header.Bytes)
	for _, b := range blocks(f, fam, 9) {
		f.Add(b.Header.Bytes)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		h, err := fam.DecodeHeader(in)
		if err != nil {
			return
		}
		again, err := fam.DecodeHeader(h.Bytes)
		if err != nil || again.Ref != h.Ref || !bytes.Equal(h.Bytes, in) {
			t.Fatalf("%v decodes to %v, %v", h.Ref, again.Ref, err)
		}
	})
}
