package ontology

import (
	"context"
	"testing"
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/sim/bed"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/ontology/codec"
	"github.com/starlingp2p/starling/wire/wiretest"
)

// chainFrom makes headers behind one.
func chainFrom(base codec.Header, count, payload int) (hs []codec.Header) {
	for range count {
		base = codec.Header{Prev: base.Hash, Height: base.Height + 1, Time: base.Time + 1, Payload: make([]byte, payload)}.Seal()
		hs = append(hs, base)
	}
	return hs
}

// asked reads getheaders until one comes, and gives its base.
func (o *old) asked() codec.Hash {
	o.t.Helper()
	g, err := codec.DecodeGetHeaders(o.wants(codec.CmdGetHeaders), codec.Strict)
	if err != nil {
		o.t.Fatal(err)
	}
	return g.End
}

// requested puts a request for headers behind base and hands its answer out.
func requested(t *testing.T, s wire.Session, base codec.Header, count int) <-chan []chain.Header {
	got := make(chan []chain.Header, 1)
	go func() {
		resp, err := s.Request(t.Context(), wire.GetHeaders{Range: chain.Range{From: base.Chain().Ref, Count: count + 1}})
		if err != nil {
			t.Error(err)
		}
		hs, _ := resp.(wire.Headers)
		got <- hs.Headers
	}()
	return got
}

// askedFor is the session of a node that asks headers of a peer, the header that
// it asks behind, and the full answer.
func askedFor(t *testing.T, n *bed.Net) (s wire.Session, p *old, base codec.Header, first []codec.Header, h *wiretest.Host) {
	t.Helper()
	a := start(t, n, 1, nil, nil)
	p = call(t, n, ipOf(9), portOf(1)).shakes(nil)
	until(t, a.host, "a session", func() bool { return len(a.host.Sessions()) == 1 })
	base = blockOf(3, bodySize).Header
	return a.host.Sessions()[0], p, base, chainFrom(base, codec.MaxHeaders, 0), a.host
}

// Behind a full answer the next is asked for before the node does, once, and
// the node's question takes it.
func TestTheNextHeadersAreAskedForAhead(t *testing.T) {
	inBed(t, func(t *testing.T, n *bed.Net) {
		s, p, base, first, host := askedFor(t, n)
		last := first[len(first)-1]
		second := chainFrom(last, 7, 0)

		got := requested(t, s, base, codec.MaxHeaders)
		if at := p.asked(); at != base.Hash {
			t.Fatalf("it asks for what follows %s", at)
		}
		p.send(codec.CmdHeaders, codec.Headers{Headers: first}.Append(nil))
		if hs := <-got; len(hs) != codec.MaxHeaders+1 {
			t.Fatalf("%d headers", len(hs))
		}
		if at := p.asked(); at != last.Hash {
			t.Fatalf("ahead it asks for what follows %s, want %s", at, last.Hash)
		}
		p.send(codec.CmdHeaders, codec.Headers{Headers: second}.Append(nil))
		time.Sleep(time.Second)
		began := time.Now()
		if hs := <-requested(t, s, last, codec.MaxHeaders); len(hs) != 1+len(second) || hs[1].Ref.Hash != second[0].Hash.Chain() {
			t.Errorf("%d headers of those that came ahead", len(hs))
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("what was there took %v", took)
		}
		// What was short is asked for anew: there may be more by now.
		more := requested(t, s, second[6], 5)
		if at := p.asked(); at != second[6].Hash {
			t.Errorf("it asks for what follows %s", at)
		}
		p.send(codec.CmdHeaders, codec.Headers{}.Append(nil))
		if hs := <-more; len(hs) != 1 {
			t.Errorf("%d headers, want the base alone", len(hs))
		}
		if charged := wiretest.Reports[wire.Offended](host); len(charged) > 0 {
			t.Errorf("charged: %+v", charged)
		}
	})
}

// Threat L-06: headers that the node has not asked for yet are kept up to a
// bound, and asked for again above it.
func TestLargeHeadersAreNotKeptAhead(t *testing.T) {
	inBed(t, func(t *testing.T, n *bed.Net) {
		s, p, base, first, _ := askedFor(t, n)
		last := first[len(first)-1]
		large := codec.Headers{Headers: chainFrom(last, 10, maxAhead/9)}.Append(nil)

		got := requested(t, s, base, codec.MaxHeaders)
		p.asked()
		p.send(codec.CmdHeaders, codec.Headers{Headers: first}.Append(nil))
		<-got
		p.asked()
		p.send(codec.CmdHeaders, large)
		time.Sleep(time.Second)
		more := requested(t, s, last, 10)
		if at := p.asked(); at != last.Hash {
			t.Errorf("it asks for what follows %s, want it again", at)
		}
		p.send(codec.CmdHeaders, large)
		if hs := <-more; len(hs) != 11 {
			t.Errorf("%d headers", len(hs))
		}
	})
}

// Who takes over a question that was asked ahead is told that it has left: from
// then on the peer's silence counts.
func TestAQuestionAskedAheadHasLeft(t *testing.T) {
	inBed(t, func(t *testing.T, n *bed.Net) {
		s, p, base, first, _ := askedFor(t, n)
		last := first[len(first)-1]
		got := requested(t, s, base, codec.MaxHeaders)
		p.asked()
		p.send(codec.CmdHeaders, codec.Headers{Headers: first}.Append(nil))
		<-got
		p.asked() // ahead; there is no answer
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		began, left := time.Now(), time.Time{}
		ctx = wire.OnSent(ctx, func(at time.Time) { left = at })
		if _, err := s.Request(ctx, wire.GetHeaders{Range: chain.Range{From: last.Chain().Ref, Count: 5}}); err == nil {
			t.Error("there was an answer")
		}
		if left != began {
			t.Errorf("it left at %v, want when it was taken over, at %v", left, began)
		}
	})
}
