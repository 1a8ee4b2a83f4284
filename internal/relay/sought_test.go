package relay

import (
	"slices"
	"testing"
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
)

// A block of the tests is the child of the one before it; head is imported.
const head = 1000

func blockRef(number uint64) chain.Ref {
	return chain.Ref{Number: number, Hash: chain.Hash{0xb, byte(number >> 8), byte(number)}}
}

func blockHeader(number uint64) chain.Header {
	return chain.Header{Ref: blockRef(number), Parent: blockRef(number - 1).Hash}
}

// says has peers announce a block.
func (b *bench) says(number uint64, who ...peer.ID) (out []Effect) {
	for _, id := range who {
		out = append(out, b.step(BlockAnnounced{From: id, Ref: blockRef(number), Head: head})...)
	}
	return out
}

// gives has a peer answer with the header of a block whose parent is imported.
func (b *bench) gives(id peer.ID, number uint64) []Effect {
	return b.step(HeaderFetched{From: id, Header: blockHeader(number), Linked: true, Head: head})
}

// theHeader is the one header that is asked for.
func (b *bench) theHeader(es []Effect) FetchHeader {
	b.t.Helper()
	f := only[FetchHeader](es)
	if len(f) != 1 {
		b.t.Fatalf("asked for headers as %v, want one", f)
	}
	return f[0]
}

func (b *bench) theBodies(es []Effect) FetchBodies {
	b.t.Helper()
	f := only[FetchBodies](es)
	if len(f) != 1 {
		b.t.Fatalf("asked for bodies as %v, want one request", f)
	}
	return f[0]
}

func (b *bench) quiet(es []Effect, when string) {
	b.t.Helper()
	if h, bs := only[FetchHeader](es), only[FetchBodies](es); len(h)+len(bs) > 0 {
		b.t.Fatalf("%s: asked %v %v", when, h, bs)
	}
}

// done checks that nothing is left of any block.
func (b *bench) done() {
	b.t.Helper()
	for s := range numStages {
		if n := b.core.lines[s].Len(); n > 0 {
			b.t.Errorf("%d blocks wait in stage %d", n, s)
		}
	}
	if n := len(b.core.sought); n > 0 {
		b.t.Errorf("%d blocks are sought", n)
	}
	for _, p := range b.core.peers {
		if len(p.seek.sought) > 0 || p.seek.held != 0 {
			b.t.Errorf("%s has %d blocks, %d held", p.id, len(p.seek.sought), p.seek.held)
		}
	}
}

func TestAnnouncedBlockGoesThroughItsStages(t *testing.T) {
	b := newBench(t, eth, "a", "b", "c")
	es := b.says(head+1, "a", "b")
	es = append(es, b.wait(499*time.Millisecond)...)
	b.quiet(es, "while somebody may push it")
	if h := only[Hint](es); h != nil {
		t.Errorf("the sync was told %v of what is fetched", h)
	}
	f := b.theHeader(b.wait(time.Millisecond))
	if f.Ref != blockRef(head+1) || f.From == "c" {
		t.Fatalf("asked %v", f)
	}
	b.quiet(b.gives(f.From, head+1), "while others may be gathered")
	b.quiet(b.wait(99*time.Millisecond), "while others may be gathered")
	fb := b.theBodies(b.wait(time.Millisecond))
	if len(fb.Headers) != 1 || fb.Headers[0].Ref != blockRef(head+1) || fb.From == "c" {
		t.Fatalf("asked %v", fb)
	}
	es = b.step(BodiesFetched{From: fb.From, Given: []Judged{{blockRef(head + 1).Hash, chain.Accept}}})
	es = append(es, b.says(head+1, "c")...) // while it is imported
	b.quiet(es, "of what is here")
	es = b.step(Imported{Refs: []chain.Ref{blockRef(head + 1)}})
	if h := only[Hint](es); len(h) != 3 || h[0].Ref != blockRef(head+1) {
		t.Errorf("the sync heard %v of who has it, want all three", h)
	}
	b.done()
	if next := b.core.Next(); !next.IsZero() {
		t.Errorf("it wants to be woken at %v", next)
	}
	if c := only[Charge](es); c != nil {
		t.Errorf("charged %v", c)
	}
}

// What is announced a moment later is asked for with the first.
func TestBlocksThatAreAlmostDueAreGathered(t *testing.T) {
	b := newBench(t, eth, "a", "b")
	b.says(head+1, "a")
	b.wait(90 * time.Millisecond)
	b.says(head+2, "b")
	f := only[FetchHeader](b.wait(410 * time.Millisecond))
	if len(f) != 2 || f[0].From == f[1].From {
		t.Fatalf("asked %v, want each of what it announced", f)
	}
	b.gives("a", head+1)
	b.wait(50 * time.Millisecond)
	b.step(HeaderFetched{From: "b", Header: blockHeader(head + 2), Linked: true, Head: head})
	if fb := only[FetchBodies](b.wait(50 * time.Millisecond)); len(fb) != 2 {
		t.Fatalf("asked %v, want both bodies", fb)
	}
}

func TestOnlyBlocksNearTheHeadAreFetched(t *testing.T) {
	for name, c := range map[string]struct {
		number, head uint64
		shut         bool
		fetched      bool
		reason       string
	}{
		"the next":         {number: 1001, head: 1000, fetched: true},
		"the furthest":     {number: 1032, head: 1000, fetched: true},
		"too far ahead":    {number: 1033, head: 1000, reason: "block-too-far"},
		"an uncle":         {number: 993, head: 1000, fetched: true},
		"too old":          {number: 992, head: 1000, reason: "block-too-far"},
		"near genesis":     {number: 1, head: 3, fetched: true},
		"genesis":          {number: 0, head: 3, reason: "block-too-far"},
		"past any number":  {number: 1<<64 - 1, head: 1000, reason: "block-too-far"},
		"before the sync":  {number: 1001, head: 1000, shut: true, reason: "not-synced"},
		"on the last head": {number: 1<<64 - 1, head: 1<<64 - 1, reason: "block-too-far"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, eth, "a")
			if c.shut {
				b.step(Gate{false})
			}
			ref := chain.Ref{Number: c.number, Hash: chain.Hash{9}}
			es := b.step(BlockAnnounced{From: "a", Ref: ref, Weight: chain.WeightOf(7), Head: c.head})
			hints := only[Hint](es)
			es = append(es, b.wait(time.Second)...)
			if got := len(only[FetchHeader](es)) == 1; got != c.fetched {
				t.Errorf("fetched %v, want %v", got, c.fetched)
			}
			if got := len(hints) == 1 && hints[0] == (Hint{"a", ref, chain.WeightOf(7)}); got == c.fetched {
				t.Errorf("hints at once: %v", hints)
			}
			if c.reason != "" && b.core.Drops()[c.reason] != 1 {
				t.Errorf("drops %v, want one %q", b.core.Drops(), c.reason)
			}
			if len(only[Charge](es)) > 0 {
				t.Error("somebody was charged")
			}
		})
	}
}

func TestPushedBlocksAreNotFetched(t *testing.T) {
	b := newBench(t, eth, "a", "b")
	push := Checked{From: "b", Block: chain.Block{Header: blockHeader(head + 1)}}
	b.says(head+1, "a")
	b.wait(100 * time.Millisecond)
	b.step(push)
	b.quiet(b.wait(time.Second), "what was pushed")
	b.step(Imported{Refs: []chain.Ref{blockRef(head + 1)}})
	b.done()

	push.Block.Header = blockHeader(head + 2)
	b.step(push)
	es := b.says(head+2, "a")
	b.quiet(append(es, b.wait(time.Second)...), "what was pushed before")
	if h := only[Hint](es); len(h) != 1 {
		t.Errorf("hints %v", h)
	}
	b.done()

	// While it is being fetched.
	b.says(head+3, "a", "b")
	f := b.theHeader(b.wait(time.Second))
	push.Block.Header = blockHeader(head + 3)
	b.step(push)
	b.quiet(b.gives(f.From, head+3), "what was pushed meanwhile")
	b.step(Imported{Refs: []chain.Ref{blockRef(head + 3)}})
	b.done()
	if f = b.theHeader(append(b.says(head+4, f.From), b.wait(time.Second)...)); f.Ref != blockRef(head+4) {
		t.Errorf("asked for %v", f.Ref)
	}
}

// One peer is asked at a time, and the next when it fails: for the header and
// for the body.
func TestTheNextAnnouncerHasItsTurn(t *testing.T) {
	b := newBench(t, eth, "a", "b", "c")
	b.says(head+1, "a", "b", "c")
	first := b.theHeader(b.wait(blockArrive)).From
	es := b.wait(FetchTimeout)
	b.quiet(es, "while the first is asked")
	es = b.step(HeaderFetched{From: first, Failed: true, Silent: true})
	second := b.theHeader(es).From
	if h := only[Hint](es); len(h) != 1 || h[0].From != first {
		t.Errorf("hints %v, want one of %s", h, first)
	}
	b.gives(second, head+1)
	third := b.theBodies(b.wait(gatherSlack)).From
	if third == first || second == first {
		t.Fatalf("asked %s, %s, %s: the first rests", first, second, third)
	}
	left := b.theBodies(b.step(BodiesFetched{From: third, Failed: true})).From
	if left == first || left == third {
		t.Fatalf("asked %s after %s and %s", left, first, third)
	}
	es = b.step(BodiesFetched{From: left, Given: []Judged{{blockRef(head + 1).Hash, chain.Reject}}})
	b.quiet(es, "when nobody is left")
	if got := b.core.Drops(); got["block-not-delivered"] != 1 || got["block-rejected"] != 1 {
		t.Errorf("drops %v", got)
	}
	b.done()
	if c := only[Charge](es); c != nil {
		t.Errorf("charged %v for being slow once", c)
	}
}

// A body that does not fit the first answer is asked for again, and no more
// than that.
func TestAShortAnswerIsNoFault(t *testing.T) {
	b := newBench(t, eth, "a")
	b.says(head+1, "a")
	b.says(head+1-3, "a") // an uncle
	f := b.theHeader(b.wait(blockArrive))
	if f.Ref != blockRef(head-2) {
		t.Errorf("asked for %v first, want the lowest", f.Ref)
	}
	f = b.theHeader(b.gives("a", head-2))
	b.gives("a", head+1)
	fb := b.theBodies(b.wait(gatherSlack))
	if len(fb.Headers) != 2 {
		t.Fatalf("asked %v, want both", fb)
	}
	good := fb.Headers[0].Ref
	fb = b.theBodies(b.step(BodiesFetched{From: "a", Given: []Judged{{good.Hash, chain.Accept}}}))
	if len(fb.Headers) != 1 {
		t.Fatalf("asked %v, want the other", fb)
	}
	es := b.step(BodiesFetched{From: "a", Given: []Judged{{fb.Headers[0].Ref.Hash, chain.Ignore}}})
	if h := only[Hint](es); len(h) != 1 || b.core.Drops()["block-ignored"] != 1 {
		t.Errorf("hints %v, drops %v", h, b.core.Drops())
	}
	b.step(Imported{Refs: []chain.Ref{good}})
	b.done()
}

// What has no known parent is for the sync; but if the parent is fetched too,
// its child waits for it.
func TestABlockWaitsForItsParent(t *testing.T) {
	b := newBench(t, eth, "a")
	b.says(head+1, "a")
	b.says(head+2, "a")
	b.says(head+9, "a")
	b.theHeader(b.wait(blockArrive))
	b.theHeader(b.gives("a", head+1))
	es := b.step(HeaderFetched{From: "a", Header: blockHeader(head + 2), Head: head})
	b.theHeader(es)
	es = b.step(HeaderFetched{From: "a", Header: blockHeader(head + 9), Head: head})
	if h := only[Hint](es); len(h) != 1 || h[0].Ref != blockRef(head+9) || b.core.Drops()["block-not-linked"] != 1 {
		t.Errorf("hints %v, drops %v, want those of the block without a parent", h, b.core.Drops())
	}
	fb := b.theBodies(b.wait(gatherSlack))
	if len(fb.Headers) != 1 || fb.Headers[0].Ref != blockRef(head+1) {
		t.Fatalf("asked %v, want the parent", fb)
	}
	b.step(BodiesFetched{From: "a", Given: []Judged{{blockRef(head + 1).Hash, chain.Accept}}})
	b.quiet(b.wait(time.Second), "before the parent is imported")
	b.step(Imported{Refs: []chain.Ref{blockRef(head + 1)}})
	if fb = b.theBodies(b.wait(gatherSlack)); fb.Headers[0].Ref != blockRef(head+2) {
		t.Fatalf("asked %v, want the child", fb)
	}
	b.step(BodiesFetched{From: "a", Given: []Judged{{blockRef(head + 2).Hash, chain.Accept}}})
	es = b.wait(linkTime)
	if h := only[Hint](es); len(h) != 1 || b.core.Drops()["block-not-imported"] != 1 {
		t.Errorf("hints %v, drops %v, want those of the block that nobody imported", h, b.core.Drops())
	}
	b.done()
}

func TestAChildDoesNotWaitForever(t *testing.T) {
	b := newBench(t, eth, "a", "b")
	b.says(head+1, "a")
	b.says(head+2, "b")
	b.wait(blockArrive)
	b.step(HeaderFetched{From: "b", Header: blockHeader(head + 2), Head: head})
	b.step(HeaderFetched{From: "a", Failed: true})
	es := b.wait(linkTime)
	if h := only[Hint](es); len(h) != 1 || h[0].Ref != blockRef(head+2) {
		t.Errorf("hints %v, want the child", h)
	}
	b.done()
}

// Meanwhile the chain may have come to have it, or gone far away.
func TestTheHeaderIsLookedUp(t *testing.T) {
	for name, ev := range map[string]HeaderFetched{
		"known": {Known: true, Linked: true, Head: head + 1},
		"old":   {Linked: true, Head: head + 20},
	} {
		b := newBench(t, eth, "a")
		b.says(head+1, "a")
		b.theHeader(b.wait(blockArrive))
		ev.From, ev.Header = "a", blockHeader(head+1)
		b.quiet(append(b.step(ev), b.wait(time.Second)...), name)
		b.done()
	}
}

// What is sought while the chain was taken to be in sync is the sync's to find once
// it was not: nothing of it is asked for any more, and it may be announced again.
func TestAShutGateEndsTheSearchForBlocks(t *testing.T) {
	var first []Effect
	for range 3 {
		b := newBench(t, eth, "a", "b")
		b.says(head+1, "a", "b")
		b.says(head+2, "b")
		f := only[FetchHeader](b.wait(blockArrive))
		if len(f) != 2 {
			t.Fatalf("asked %v, want both", f)
		}
		b.gives(f[0].From, f[0].Ref.Number) // its body would be asked for next
		b.says(head+3, "a")                 // and this waits to be pushed
		es := b.step(Gate{false})
		if h := only[Hint](es); len(h) != 4 || len(es) != 4 {
			t.Errorf("%v as the gate is shut, want a hint of each claim", es)
		}
		if first == nil {
			first = es
		} else if !slices.Equal(es, first) {
			t.Errorf("hints %v, and before %v", es, first)
		}
		if es = b.gives(f[1].From, f[1].Ref.Number); len(es) > 0 {
			t.Errorf("%v for a late answer", es)
		}
		if es = b.wait(time.Minute); len(es) > 0 || !b.core.Next().IsZero() {
			t.Errorf("%v, and something waits until %v, after the gate was shut", es, b.core.Next())
		}
		b.done()
		if n := b.core.Drops()["not-synced"]; n != 3 {
			t.Errorf("%d blocks are counted as let go, want 3", n)
		}
		b.step(Gate{true})
		if f := b.theHeader(append(b.says(head+1, "a"), b.wait(blockArrive)...)); f.Ref != blockRef(head+1) {
			t.Errorf("asked for %v once the gate is open again", f.Ref)
		}
	}
}

// The parent may be on its way to the import because somebody pushed it.
func TestABlockWaitsForAParentThatWasPushed(t *testing.T) {
	b := newBench(t, eth, "a", "b")
	b.step(Checked{From: "b", Block: chain.Block{Header: blockHeader(head + 1)}})
	b.says(head+2, "a")
	b.theHeader(b.wait(blockArrive))
	b.quiet(b.step(HeaderFetched{From: "a", Header: blockHeader(head + 2), Head: head}), "before the parent is imported")
	if n := b.core.Drops()["block-not-linked"]; n != 0 {
		t.Fatal("the child of a pushed block was let go")
	}
	b.step(Imported{Refs: []chain.Ref{blockRef(head + 1)}})
	if fb := b.theBodies(b.wait(gatherSlack)); fb.Headers[0].Ref != blockRef(head+2) {
		t.Errorf("asked %v, want the child", fb)
	}
}

// Where nothing tells a forged block, none is passed on but our own: whoever can
// tell would drop us.
func TestOnlyOurOwnBlocksAreToldWhereNothingProvesThem(t *testing.T) {
	cfg := eth
	cfg.OwnBlocksOnly = true
	b := newBench(t, cfg, "a", "b")
	theirs, ours := chain.Block{Header: blockHeader(head + 1)}, chain.Block{Header: blockHeader(head + 2)}
	es := b.step(Checked{From: "a", Block: theirs})
	es = append(es, b.step(Imported{Refs: []chain.Ref{theirs.Ref()}})...)
	es = append(es, b.step(Synced{Head: theirs.Ref()})...)
	if p, a := only[PushBlock](es), only[AnnounceBlock](es); len(p)+len(a) > 0 {
		t.Errorf("told %v %v of what another made", p, a)
	}
	es = b.step(Checked{Block: ours})
	es = append(es, b.step(Imported{Refs: []chain.Ref{ours.Ref()}})...)
	if p, a := only[PushBlock](es), only[AnnounceBlock](es); len(p)+len(a) == 0 {
		t.Error("nobody was told of our own")
	}
}
