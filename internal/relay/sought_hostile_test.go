package relay

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
)

// Threats T-03 and X-01, for blocks: who announces ten thousand has 256 remembered, is
// asked for one at a time, and pays.
func TestABlockAnnounceFloodIsBoundedAndPays(t *testing.T) {
	b := newBench(t, eth, "flood", "honest")
	var charged []Charge
	for i := range 10_000 {
		h := chain.Hash{0xf, byte(i >> 8), byte(i)}
		charged = append(charged, only[Charge](b.step(BlockAnnounced{From: "flood", Ref: chain.Ref{Number: head + 1, Hash: h}, Head: head}))...)
	}
	if n := len(b.core.sought); n != maxReported {
		t.Errorf("%d blocks are remembered, want %d", n, maxReported)
	}
	if n := b.core.Drops()["block-announced-too-many"]; n != 10_000-maxReported {
		t.Errorf("%d were counted as too many, want %d", n, 10_000-maxReported)
	}
	if len(charged) != 9 || charged[0].Peer != "flood" || charged[0].Offense != peer.AnnounceFlood {
		t.Errorf("charged %v, want nine times for a thousand", charged)
	}
	b.says(head+1, "honest")
	f := only[FetchHeader](b.wait(blockArrive))
	if len(f) != 2 || f[0].From == f[1].From {
		t.Fatalf("asked %v, want one of each", f)
	}
	// It never delivers: each request costs it a longer rest, and every third
	// points.
	asked, noAnswer := 0, 0
	for range 3600 {
		es := b.wait(time.Second)
		for _, f := range only[FetchHeader](es) {
			if f.From == "flood" {
				asked++
			}
		}
		if b.core.byID["flood"].seek.asked != nil {
			for _, c := range only[Charge](b.step(HeaderFetched{From: "flood", Failed: true, Silent: true})) {
				if c.Offense == peer.NoAnswer {
					noAnswer++
				}
			}
		}
	}
	if asked > 3600/60+10 || noAnswer < asked/3-1 || noAnswer == 0 {
		t.Errorf("asked it %d times in an hour, it paid %d times", asked, noAnswer)
	}
	b.step(Left{"flood"})
	b.gives("honest", head+1)
	b.step(Imported{Refs: []chain.Ref{blockRef(head + 1)}})
	b.done()
}

// Announcements of blocks cost who floods with such as are never remembered: far from our
// head, and those that come faster than we listen.
func TestBlockAnnouncementsThatAreNotTakenPay(t *testing.T) {
	b := newBench(t, eth, "flood", "honest")
	var far []Charge
	for i := range 3000 {
		ev := BlockAnnounced{From: "flood", Ref: chain.Ref{Number: head + 1000, Hash: chain.Hash{0xf, byte(i >> 8), byte(i)}}, Head: head}
		far = append(far, only[Charge](b.step(ev))...)
	}
	if len(far) != 3 || far[0].Peer != "flood" || far[0].Offense != peer.AnnounceFlood {
		t.Errorf("charged %v, want three times for a thousand", far)
	}
	for range 100 { // once a second is no flood
		ev := BlockAnnounced{From: "honest", Ref: chain.Ref{Number: head + 1000, Hash: chain.Hash{1}}, Head: head}
		if c := only[Charge](append(b.wait(time.Second), b.step(ev)...)); c != nil {
			t.Errorf("charged %v for a few", c)
		}
	}

	var m mailbox
	m.init(1024)
	offer := func(from peer.ID, n int) {
		for i := range n {
			ev := BlockAnnounced{From: from, Ref: chain.Ref{Number: head + 1, Hash: chain.Hash{0xe, byte(i >> 8), byte(i)}}, Head: head}
			m.offer("block-announced", letter{event: ev, from: from, most: maxReported})
		}
	}
	offer("flood", maxReported+2500)
	offer("honest", maxReported)
	var charged []Charge
	letters := m.take()
	for _, l := range letters {
		charged = append(charged, only[Charge](b.step(l.event))...)
	}
	if len(letters) != 2*maxReported+1 || len(charged) != 2 || charged[0].Peer != "flood" {
		t.Errorf("%d letters, charged %v; want one letter for all that were refused, and two charges", len(letters), charged)
	}
	if offer("flood", 1); len(m.take()) != 1 {
		t.Error("what is past is still counted")
	}
	b.step(Refused{From: "nobody", N: 5000})
}

// Threat L-01, for announced blocks: who delivers another block than it announced pays, and
// nobody else who announced it.
func TestWhoDeliversAnotherBlockPays(t *testing.T) {
	for name, c := range map[string]struct {
		announced uint64
		given     chain.Header
		offense   peer.Offense
	}{
		"another block":  {head + 1, blockHeader(head + 2), peer.WrongBlock},
		"another number": {head + 2, blockHeader(head + 1), peer.FalseAnnounce},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, eth, "liar", "honest")
			b.step(BlockAnnounced{From: "liar", Ref: chain.Ref{Number: c.announced, Hash: blockRef(head + 1).Hash}, Head: head})
			b.theHeader(b.wait(blockArrive))
			b.says(head+1, "honest")
			es := b.step(HeaderFetched{From: "liar", Header: c.given, Linked: true, Head: head})
			if ch := only[Charge](es); len(ch) != 1 || ch[0].Peer != "liar" || ch[0].Offense != c.offense {
				t.Errorf("charged %v, want %s of the liar", ch, c.offense)
			}
			if f := b.theHeader(es); f.From != "honest" {
				t.Fatalf("asked %s, want the honest one", f.From)
			}
			if ch := only[Charge](b.gives("honest", head+1)); ch != nil {
				t.Errorf("charged %v", ch)
			}
			if fb := b.theBodies(b.wait(gatherSlack)); fb.From != "honest" {
				t.Errorf("asked %s for the body", fb.From)
			}
		})
	}
}

// Of one peer 64 headers are held at the most, of 256 KiB: further ones are asked
// for as these are done.
func TestHeadersOfOnePeerAreBounded(t *testing.T) {
	for size, want := range map[int]int{0: maxHeld, 600: maxHeld, 31 << 10: 9} {
		t.Run(fmt.Sprint(size), func(t *testing.T) { headersAreBounded(t, make([]byte, size), want) })
	}
}

func headersAreBounded(t *testing.T, content []byte, want int) {
	b := newBench(t, eth, "a")
	refs := func(i int) chain.Header {
		return chain.Header{Ref: chain.Ref{Number: head + 1, Hash: chain.Hash{0xd, byte(i)}}, Parent: blockRef(head).Hash, Bytes: content}
	}
	for i := range 100 {
		b.step(BlockAnnounced{From: "a", Ref: refs(i).Ref, Head: head})
	}
	asked, es := 0, b.wait(blockArrive)
	for f := only[FetchHeader](es); len(f) > 0; f = only[FetchHeader](es) {
		h := refs(int(f[0].Ref.Hash[1]))
		es = b.step(HeaderFetched{From: "a", Header: h, Linked: true, Head: head})
		asked++
	}
	if asked != want {
		t.Fatalf("%d headers were asked for, want %d", asked, want)
	}
	fb := b.theBodies(b.wait(gatherSlack))
	ev := BodiesFetched{From: "a"}
	for _, h := range fb.Headers {
		ev.Given = append(ev.Given, Judged{h.Ref.Hash, chain.Accept})
	}
	b.quiet(b.step(ev), "before they are imported")
	b.theHeader(b.step(Imported{Refs: []chain.Ref{refs(0).Ref}}))
}

// However peers announce, answer, fail, come and go: no block is asked of two at a
// time, none of more than one at once, the bounds hold, and what can be asked for
// is.
func TestBlocksAreSoughtInOrder(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		b := newBench(t, eth, "a", "b", "c")
		who := rapid.SampledFrom([]peer.ID{"a", "b", "c"})
		number := func() uint64 { return head - 3 + rapid.Uint64Range(0, 11).Draw(rt, "number") }
		pending := map[peer.ID]Effect{}
		take := func(es []Effect) {
			for _, e := range es {
				var from peer.ID
				switch e := e.(type) {
				case FetchHeader:
					from = e.From
				case FetchBodies:
					from = e.From
				default:
					continue
				}
				if pending[from] != nil {
					rt.Fatalf("%s is asked twice at once", from)
				}
				pending[from] = e
			}
		}
		for range rapid.IntRange(1, 80).Draw(rt, "steps") {
			from := who.Draw(rt, "who")
			switch rapid.IntRange(0, 8).Draw(rt, "what") {
			case 8:
				take(b.step(Gate{rapid.Bool().Draw(rt, "open")}))
			case 0, 1:
				take(b.says(number(), from))
			case 2:
				take(b.wait(time.Duration(rapid.IntRange(1, 3000).Draw(rt, "ms")) * time.Millisecond))
			case 3:
				take(b.step(Imported{Refs: []chain.Ref{blockRef(number())}}))
			case 4:
				take(b.step(Checked{From: from, Block: chain.Block{Header: blockHeader(number())}}))
			case 5:
				delete(pending, from)
				take(b.step(Left{from}))
				take(b.step(Joined{from}))
			case 6, 7:
				asked, failed := pending[from], rapid.Bool().Draw(rt, "failed")
				delete(pending, from)
				switch e := asked.(type) {
				case FetchHeader:
					h := blockHeader(e.Ref.Number)
					take(b.step(HeaderFetched{From: from, Header: h, Linked: rapid.Bool().Draw(rt, "linked"), Head: head, Failed: failed}))
				case FetchBodies:
					ev := BodiesFetched{From: from, Failed: failed}
					for _, h := range e.Headers {
						if rapid.Bool().Draw(rt, "given") {
							ev.Given = append(ev.Given, Judged{h.Ref.Hash, chain.Action(rapid.IntRange(0, 2).Draw(rt, "action"))})
						}
					}
					take(b.step(ev))
				}
			}
			inOrder(rt, b)
		}
	})
}

// inOrder checks what always holds.
func inOrder(t interface{ Fatal(...any) }, b *bench) {
	claims := 0
	held := map[*remote]int{}
	for _, w := range b.core.sought {
		claims += len(w.from)
		if len(w.from) == 0 {
			t.Fatal("a block that nobody announced is sought")
		}
		if w.giver != nil {
			held[w.giver]++
		}
		if (w.stage.wait() > 0) != (w.line != nil) {
			t.Fatal("a block is not in the line of its stage")
		}
		if w.line != nil && (w.asked != nil || w.due.Before(b.now)) {
			t.Fatal("a block is past its stage")
		}
	}
	for _, p := range b.core.peers {
		claims -= len(p.seek.sought)
		if p.seek.held != held[p] || p.seek.held > maxHeld || len(p.seek.sought) > maxReported {
			t.Fatal(fmt.Sprintf("%s holds %d, counted %d", p.id, p.seek.held, held[p]))
		}
		if p.seek.asked != nil || p.seek.rests.After(b.now) {
			continue
		}
		for _, w := range p.seek.sought {
			if w.asked == nil && w.line == nil {
				t.Fatal(fmt.Sprintf("%s could be asked for %v and is not", p.id, w.hash.Short()))
			}
		}
	}
	if claims != 0 {
		t.Fatal("blocks and peers differ about who announced what")
	}
}
