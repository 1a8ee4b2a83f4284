package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/ledger"
)

// model is what a ledger should hold, in memory.
type model struct {
	blocks map[chain.Hash]chain.Block
	weight map[chain.Hash]uint64
	staged map[chain.Hash]bool
	head   chain.Header
	final  uint64
}

func (m *model) ancestor(h chain.Header, n uint64) chain.Header {
	for h.Ref.Number > n {
		h = m.blocks[h.Parent].Header
	}
	return h
}

// fork is the number of the last block that h and the head share.
func (m *model) fork(h chain.Header) uint64 {
	n := min(h.Ref.Number, m.head.Ref.Number)
	for m.ancestor(h, n).Ref != m.ancestor(m.head, n).Ref {
		n--
	}
	return n
}

// Random imports, branches, stages, finality, restarts and power cuts: after
// each, the ledger is the model and its invariants hold.
func TestRandomHistoryKeepsInvariants(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ctx := context.Background()
		fs := vfs.NewCrashableMem()
		const maxReorg = 5
		reopen := func() *ledger.Ledger {
			l, err := ledger.Open("chain", ledger.Options{Family: toy{network: "toy"}, FS: fs, MaxReorg: maxReorg})
			if err != nil {
				t.Fatal(err)
			}
			return l
		}
		l := reopen()
		defer func() { l.Close() }()
		g := toy{network: "toy"}.Spec().Genesis
		m := &model{
			blocks: map[chain.Hash]chain.Block{g.Ref().Hash: g}, weight: map[chain.Hash]uint64{},
			staged: map[chain.Hash]bool{}, head: g.Header,
		}
		order := []chain.Block{g}
		var spare []chain.Block
		deepest := uint64(0) // a head that was higher: its undo records went
		take := func(bs []chain.Block) {
			done, err := l.Import(ctx, bs)
			for _, b := range bs[:done] {
				if _, ok := m.blocks[b.Ref().Hash]; ok {
					continue
				}
				w := m.weight[b.Header.Parent] + uint64(b.Header.Bytes[40])
				m.blocks[b.Ref().Hash], m.weight[b.Ref().Hash] = b, w
				delete(m.staged, b.Ref().Hash)
				order = append(order, b)
				fork := m.fork(b.Header)
				if m.head.Ref.Number > fork+maxReorg || fork < m.final {
					t.Fatalf("%v was taken, which forks at %d from %v; %d is final", b.Ref(), fork, m.head.Ref, m.final)
				}
				if w > m.weight[m.head.Ref.Hash] {
					deepest = max(deepest, m.head.Ref.Number)
					m.head = b.Header
				}
			}
			if err == nil {
				return
			}
			b := bs[done]
			p, ok := m.blocks[b.Header.Parent]
			if !ok {
				t.Fatalf("Import of %v without its parent: %v", b.Ref(), err)
			}
			fork := m.fork(p.Header)
			deep := m.head.Ref.Number > fork+maxReorg || fork < m.final || deepest > fork+maxReorg
			switch {
			case errors.Is(err, chain.ErrInvalid) && (string(b.Body[:4]) == "fail" || m.carriesFail(b)):
			case errors.Is(err, chain.ErrReorgTooDeep) && deep:
			default:
				t.Fatalf("Import of %v on head %v: %v", b.Ref(), m.head.Ref, err)
			}
		}
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			switch rapid.IntRange(0, 9).Draw(t, "op") {
			default: // import a run on some block
				i := rapid.IntRange(max(0, len(order)-8), len(order)-1).Draw(t, "parent")
				parent := order[i].Header
				n := rapid.IntRange(1, 4).Draw(t, "n")
				var bs []chain.Block
				for range n {
					k := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "key")
					if rapid.IntRange(0, 15).Draw(t, "bad") == 0 {
						k = "fail"
					}
					v := rapid.SampledFrom([]string{"", "1", "2"}).Draw(t, "value")
					b := toyBlock{parent: parent, weight: byte(rapid.IntRange(1, 3).Draw(t, "weight")), branch: uint64(len(order)), body: body(k, v)}.make()
					bs = append(bs, b)
					parent = b.Header
				}
				take(bs)
			case 0: // stage blocks above a gap
				p := toyBlock{parent: m.head, weight: 1, branch: 1e6 + uint64(len(spare)), body: body("s", "1")}.make()
				b := toyBlock{parent: p.Header, weight: 1, body: body("s", "2")}.make()
				if err := l.Stage(ctx, []chain.Block{b}); err != nil {
					t.Fatal(err)
				}
				if _, ok := m.blocks[b.Ref().Hash]; !ok {
					m.staged[b.Ref().Hash] = true
				}
				spare = append(spare, p, b)
			case 1: // close the gap
				if len(spare) == 0 {
					continue
				}
				take(spare[:2])
				spare = spare[2:]
			case 2:
				n := m.head.Ref.Number
				n -= min(n, uint64(rapid.IntRange(0, 6).Draw(t, "depth")))
				if err := l.Finalize(ctx, m.ancestor(m.head, n).Ref); err != nil {
					t.Fatal(err)
				}
				m.final = max(m.final, n)
			case 3:
				if err := l.Close(); err != nil {
					t.Fatal(err)
				}
				l = reopen()
			case 4: // power loss
				dead := fs
				fs = dead.CrashClone(vfs.CrashCloneCfg{})
				l.Close()
				l = reopen()
			}
			if err := errors.Join(l.CheckInvariants(ctx), l.CheckState(ctx)); err != nil {
				t.Fatal(err)
			}
			st := l.Status()
			if st.Head != m.head.Ref || st.Finalized.Number != m.final || st.Weight != chain.WeightOf(m.weight[m.head.Ref.Hash]) {
				t.Fatalf("Status = %+v, want head %v, final %d", st, m.head.Ref, m.final)
			}
			for h := m.head; ; h = m.blocks[h.Parent].Header {
				got, err := l.Header(ctx, chain.Ref{Number: h.Ref.Number})
				if err != nil || got.Ref != h.Ref {
					t.Fatalf("block %d = %v, %v; want %v", h.Ref.Number, got.Ref, err, h.Ref)
				}
				if h.Ref.Number == 0 {
					break
				}
			}
			if got, err := l.Header(ctx, chain.Ref{Number: m.head.Ref.Number + 1}); !errors.Is(err, chain.ErrNotFound) {
				t.Fatalf("above the head is %v, %v", got.Ref, err)
			}
			refs, err := l.Staged(ctx)
			if err != nil || len(refs) != len(m.staged) {
				t.Fatalf("Staged = %v, %v; want %d", refs, err, len(m.staged))
			}
		}
	})
}

// carriesFail reports whether a branch has a block that does not execute.
func (m *model) carriesFail(b chain.Block) bool {
	for h := b.Header.Parent; ; {
		p, ok := m.blocks[h]
		if !ok || p.Ref().Number == 0 {
			return false
		}
		if string(p.Body[:4]) == "fail" {
			return true
		}
		h = p.Header.Parent
	}
}

// Threats L-06 and L-07: a branch from genesis, or one that is just a block
// longer, undoes no more than MaxReorg blocks, and is not stored either.
func TestDeepBranchIsRefusedBeforeItIsStored(t *testing.T) {
	l := open(t, vfs.NewMem(), ledger.Options{MaxReorg: 4})
	g := headOf(t, l)
	main := run(g, 0, 10)
	take(t, l, main)
	n, err := l.Import(t.Context(), run(g, 1, 12))
	if n != 0 || !errors.Is(err, chain.ErrReorgTooDeep) {
		t.Errorf("Import of a branch from genesis = %d, %v; want 0, ErrReorgTooDeep", n, err)
	}
	heavy := toyBlock{parent: main[4].Header, weight: 200, body: body("k", "v")}.make()
	if n, err := l.Import(t.Context(), []chain.Block{heavy}); n != 0 || !errors.Is(err, chain.ErrReorgTooDeep) {
		t.Errorf("Import of a heavy block that undoes 5 = %d, %v; want 0, ErrReorgTooDeep", n, err)
	}
	if _, err := l.Header(t.Context(), heavy.Ref()); !errors.Is(err, chain.ErrNotFound) {
		t.Errorf("Header of a refused block = %v, want ErrNotFound", err)
	}
	heavy = toyBlock{parent: main[5].Header, weight: 200, body: body("k", "v")}.make()
	take(t, l, []chain.Block{heavy})
	if l.Status().Head != heavy.Ref() {
		t.Errorf("head = %v, want %v, which undoes 4", l.Status().Head, heavy.Ref())
	}
	check(t, l)
}

func TestFinalityByDepthIsNeverUndone(t *testing.T) {
	l := open(t, vfs.NewMem(), ledger.Options{MaxReorg: 10, FinalityDepth: 3})
	main := run(headOf(t, l), 0, 8)
	take(t, l, main)
	if got := l.Status().Finalized; got != main[4].Ref() {
		t.Errorf("Finalized = %v, want %v", got, main[4].Ref())
	}
	b := toyBlock{parent: main[3].Header, weight: 99, body: body("k", "v")}.make()
	if _, err := l.Import(t.Context(), []chain.Block{b}); !errors.Is(err, chain.ErrReorgTooDeep) {
		t.Errorf("Import below finality = %v, want ErrReorgTooDeep", err)
	}
	b = toyBlock{parent: main[4].Header, weight: 99, body: body("k", "v")}.make()
	take(t, l, []chain.Block{b})
	check(t, l)
	if err := l.Finalize(t.Context(), main[7].Ref()); !errors.Is(err, chain.ErrNotFound) {
		t.Errorf("Finalize of a block off the chain = %v, want ErrNotFound", err)
	}
}

// An import of many megabytes is several batches and one sync; all of it is
// there after a power loss.
func TestLargeImportIsDurableAsAWhole(t *testing.T) {
	fs := vfs.NewCrashableMem()
	l := open(t, fs, ledger.Options{})
	parent := headOf(t, l)
	var bs []chain.Block
	for i := range 40 {
		b := toyBlock{parent: parent, weight: 1, body: body("k", fmt.Sprint(i, string(make([]byte, 600<<10))))}.make()
		bs = append(bs, b)
		parent = b.Header
	}
	take(t, l, bs)
	o := open(t, fs.CrashClone(vfs.CrashCloneCfg{}), ledger.Options{})
	check(t, o)
	if o.Status().Head != bs[39].Ref() {
		t.Errorf("head = %v, want %v", o.Status().Head, bs[39].Ref())
	}
}

func TestCallsAfterCloseSayClosed(t *testing.T) {
	l := open(t, vfs.NewMem(), ledger.Options{})
	b := run(headOf(t, l), 0, 1)
	if err := errors.Join(l.Close(), l.Close()); err != nil {
		t.Fatal(err)
	}
	_, e1 := l.Block(t.Context(), chain.Ref{})
	_, e2 := l.Import(t.Context(), b)
	_, e3 := l.Staged(t.Context())
	for i, err := range []error{e1, e2, e3, l.Stage(t.Context(), b), l.CheckInvariants(t.Context())} {
		if !errors.Is(err, ledger.ErrClosed) {
			t.Errorf("call %d = %v, want ErrClosed", i, err)
		}
	}
	if l.Status().Network != "toy" {
		t.Error("Status is gone")
	}
}

func FuzzRecords(f *testing.F) {
	f.Add([]byte{0, 0, 0, 1, 'k', 0xff, 0xff, 0xff, 0xff})
	f.Add(make([]byte, 73))
	f.Fuzz(func(t *testing.T, in []byte) {
		for name, fn := range map[string]func([]byte) ([]byte, error){
			"undo": ledger.DecodeUndo, "spec": ledger.DecodeSpec, "info": ledger.DecodeInfo,
		} {
			if out, err := fn(in); err == nil && string(out) != string(in) {
				t.Errorf("%s: %x encodes again to %x", name, in, out)
			}
		}
	})
}
