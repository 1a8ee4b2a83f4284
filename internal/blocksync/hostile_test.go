package blocksync

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/chain/chaintest"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

type lie = func(ctx context.Context, rq wire.Request, honest func() (wire.Response, error)) (wire.Response, error)

// nothing stands for no offense of an answer.
const nothing peer.Offense = "nothing"

// bent changes the honest answer.
func bent(change func(resp wire.Response) wire.Response) lie {
	return func(_ context.Context, _ wire.Request, honest func() (wire.Response, error)) (wire.Response, error) {
		resp, err := honest()
		if err != nil {
			return nil, err
		}
		return change(resp), nil
	}
}

// onlyFor lies about one kind of request.
func onlyFor(kind string, l lie) lie {
	return func(ctx context.Context, rq wire.Request, honest func() (wire.Response, error)) (wire.Response, error) {
		if wire.KindOf(rq) != kind {
			return honest()
		}
		return l(ctx, rq, honest)
	}
}

func never(ctx context.Context, _ wire.Request, _ func() (wire.Response, error)) (wire.Response, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func empty(resp wire.Response) wire.Response {
	switch resp.(type) {
	case wire.Headers:
		return wire.Headers{}
	case wire.Blocks:
		return wire.Blocks{}
	}
	return wire.Bodies{}
}

// forged is a chain of the same genesis, sealed by somebody else.
func forged(full *chaintest.Chain, n int) []chain.Block {
	return full.BuildOn(full.Genesis().Header, n, chaintest.Make{Forged: true})
}

func forkLie(full *chaintest.Chain) lie {
	fork := forged(full, 400)
	return onlyFor("headers", func(_ context.Context, rq wire.Request, honest func() (wire.Response, error)) (wire.Response, error) {
		r := rq.(wire.GetHeaders).Range
		if r.Reverse || !r.From.Hash.IsZero() {
			return honest()
		}
		if r.From.Number == 0 || r.From.Number > uint64(len(fork)) {
			return nil, &wire.Refusal{Code: wire.RefusedNotFound}
		}
		hi := min(int(r.From.Number)-1+r.Count, len(fork))
		return wire.Headers{Headers: chaintest.Headers(fork[r.From.Number-1 : hi])}, nil
	})
}

// TestLiarsPayAndTheHonestPeerWins: one liar and one honest peer, for each lie
// of the catalogue; the liar claims a little more, so that it is asked first.
func TestLiarsPayAndTheHonestPeerWins(t *testing.T) {
	full, _ := source(300)
	other := chaintest.NewChain(chaintest.Config{Seed: 7})
	if _, err := other.Import(context.Background(), other.BuildOn(other.Genesis().Header, 300, chaintest.Make{Branch: 9})); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		caps wire.Caps
		lie  lie
		want peer.Offense // "": it need not pay; nothing: it must not
	}{
		{"L-01 another number", nativeCaps, onlyFor("headers", bent(func(r wire.Response) wire.Response {
			hs := slices.Clone(r.(wire.Headers).Headers)
			return wire.Headers{Headers: hs[min(1, len(hs)-1):]}
		})), peer.WrongBlock},
		{"L-01 another body", nativeCaps, onlyFor("bodies", bent(func(r wire.Response) wire.Response {
			b := r.(wire.Bodies)
			if len(b.Hashes) == 0 {
				return b
			}
			hashes := slices.Clone(b.Hashes)
			hashes[0] = chain.Hash{1}
			return wire.Bodies{Hashes: hashes, Bodies: b.Bodies}
		})), peer.WrongBlock},
		{"L-01 junk under the right hash", nativeCaps, onlyFor("bodies", bent(func(r wire.Response) wire.Response {
			b := r.(wire.Bodies)
			bodies := slices.Clone(b.Bodies)
			for i := range bodies {
				bodies[i].Body = []byte("junk")
			}
			return wire.Bodies{Hashes: b.Hashes, Bodies: bodies}
		})), peer.InvalidBlock},
		{"L-03 the middle left out of headers", nativeCaps, onlyFor("headers", bent(func(r wire.Response) wire.Response {
			hs := r.(wire.Headers).Headers
			if len(hs) < 3 {
				return r
			}
			return wire.Headers{Headers: slices.Delete(slices.Clone(hs), 1, 2)}
		})), peer.ShortAnswer},
		{"L-03 the middle left out of bodies", nativeCaps, onlyFor("bodies", bent(func(r wire.Response) wire.Response {
			b := r.(wire.Bodies)
			if len(b.Hashes) < 3 {
				return r
			}
			return wire.Bodies{Hashes: slices.Delete(slices.Clone(b.Hashes), 1, 2), Bodies: slices.Delete(slices.Clone(b.Bodies), 1, 2)}
		})), peer.ShortAnswer},
		{"the middle left out of bodies where peers leave out what they lack", leavingCaps, onlyFor("bodies", bent(func(r wire.Response) wire.Response {
			b := r.(wire.Bodies)
			if len(b.Hashes) < 3 {
				return r
			}
			return wire.Bodies{Hashes: slices.Delete(slices.Clone(b.Hashes), 1, 2), Bodies: slices.Delete(slices.Clone(b.Bodies), 1, 2)}
		})), nothing},
		{"L-03 always a short batch", nativeCaps, bent(func(r wire.Response) wire.Response {
			switch r := r.(type) {
			case wire.Headers:
				return wire.Headers{Headers: r.Headers[:min(40, len(r.Headers))]}
			case wire.Bodies:
				return wire.Bodies{Hashes: r.Hashes[:min(3, len(r.Hashes))], Bodies: r.Bodies[:min(3, len(r.Bodies))]}
			}
			return r
		}), ""},
		{"L-04 headers out of order", nativeCaps, onlyFor("headers", bent(func(r wire.Response) wire.Response {
			hs := slices.Clone(r.(wire.Headers).Headers)
			if len(hs) > 2 {
				hs[2] = hs[1]
			}
			return wire.Headers{Headers: hs}
		})), peer.UnorderedAnswer},
		{"L-04 the same body twice", nativeCaps, onlyFor("bodies", bent(func(r wire.Response) wire.Response {
			b := r.(wire.Bodies)
			if len(b.Hashes) < 2 {
				return r
			}
			hashes, bodies := slices.Clone(b.Hashes), slices.Clone(b.Bodies)
			hashes[1], bodies[1] = hashes[0], bodies[0]
			return wire.Bodies{Hashes: hashes, Bodies: bodies}
		})), peer.UnorderedAnswer},
		{"L-04 does not link", nativeCaps, onlyFor("headers", bent(func(r wire.Response) wire.Response {
			hs := slices.Clone(r.(wire.Headers).Headers)
			if len(hs) > 5 {
				hs[5].Parent = chain.Hash{5}
			}
			return wire.Headers{Headers: hs}
		})), peer.UnlinkedAnswer},
		{"L-05 empty headers", nativeCaps, onlyFor("headers", bent(empty)), peer.EmptyAnswer},
		{"L-05 empty bodies", nativeCaps, onlyFor("bodies", bent(empty)), peer.EmptyAnswer},
		{"L-05 empty blocks", rangesCaps, bent(empty), peer.EmptyAnswer},
		{"L-06 a fork from genesis that nobody signed", nativeCaps, forkLie(full), peer.InvalidBlock},
		{"L-06 a signed fork is followed by the chain's rule", nativeCaps, onlyFor("headers", func(ctx context.Context, rq wire.Request, _ func() (wire.Response, error)) (wire.Response, error) {
			return serve(ctx, other, rq)
		}), ""},
		{"more than was asked for", nativeCaps, onlyFor("headers", bent(func(r wire.Response) wire.Response {
			hs := r.(wire.Headers).Headers
			return wire.Headers{Headers: append(slices.Clone(hs), hs...)}
		})), ""},
		{"Z-03 never answers", nativeCaps, never, ""},
		{"Z-03 never gives bodies", nativeCaps, onlyFor("bodies", never), ""},
		{"refuses for ever", nativeCaps, func(context.Context, wire.Request, func() (wire.Response, error)) (wire.Response, error) {
			return nil, &wire.Refusal{Code: wire.RefusedLimit, Limit: "peer-bytes", RetryAfter: 3 * time.Second}
		}, ""},
		{"has nothing", nativeCaps, func(context.Context, wire.Request, func() (wire.Response, error)) (wire.Response, error) {
			return nil, &wire.Refusal{Code: wire.RefusedNotFound}
		}, ""},
		{"breaks the protocol", nativeCaps, func(context.Context, wire.Request, func() (wire.Response, error)) (wire.Response, error) {
			return nil, &wire.Fault{Offense: peer.BadEncoding, Err: fmt.Errorf("junk")}
		}, peer.BadEncoding},
		{"speaks nothing of it", nativeCaps, func(context.Context, wire.Request, func() (wire.Response, error)) (wire.Response, error) {
			return nil, wire.ErrUnsupported
		}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fresh := chaintest.NewChain(chaintest.Config{Seed: 7})
				n := start(t, fresh, func(c *Config) { c.Caps = tt.caps })
				liar, good := newFake("liar", full), newFake("good", full)
				liar.lie = tt.lie
				liar.rtt = 5 * time.Millisecond
				good.rate = 100 << 10 // slow enough for the liar to get its turns
				st := full.Status()
				st.Head = chain.Ref{Number: 310, Hash: chain.Hash{3}}
				st.Weight = chain.WeightOf(400)
				n.Join(liar, st)
				synctest.Wait() // it is asked first
				n.join(good)
				took := n.reaches(300, 30*time.Second)
				synctest.Wait()
				t.Logf("took %v; the liar pays %v", took, n.charged("liar"))
				n.innocent(good)
				inOrder(t, n)
				if paid := n.charged("liar"); tt.want == nothing && paid[peer.ShortAnswer]+paid[peer.UnorderedAnswer]+paid[peer.WrongBlock]+paid[peer.InvalidBlock] > 0 {
					t.Errorf("it was charged %v for what it left out", paid)
				} else if tt.want != "" && tt.want != nothing && paid[tt.want] == 0 {
					t.Errorf("liar was charged %v, want %s", n.charged("liar"), tt.want)
				}
				if fresh.Status().Head != full.Status().Head {
					t.Errorf("head = %v, want %v", fresh.Status().Head, full.Status().Head)
				}
			})
		})
	}
}

// TestOneHonestPeerOfTenWins: nine lie the same way. (L-11)
func TestOneHonestPeerOfTenWins(t *testing.T) {
	full, _ := source(300)
	for name, l := range map[string]lie{
		"forged headers": forkLie(full),
		"junk bodies": onlyFor("bodies", bent(func(r wire.Response) wire.Response {
			b := r.(wire.Bodies)
			bodies := make([]wire.Body, len(b.Bodies))
			return wire.Bodies{Hashes: b.Hashes, Bodies: bodies}
		})),
		"silence": never,
		"nothing": bent(empty),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fresh := chaintest.NewChain(chaintest.Config{Seed: 7})
				n := start(t, fresh, nil)
				liars := names("liar", 9, full)
				for _, p := range liars {
					p.lie = l
					st := full.Status()
					st.Head = chain.Ref{Number: 400, Hash: chain.Hash{4}}
					st.Weight = chain.WeightOf(500)
					n.Join(p, st)
				}
				good := newFake("good", full)
				n.join(good)
				t.Log(n.reaches(300, time.Minute), n.mostMem)
				n.innocent(good)
				if fresh.Status().Head != full.Status().Head {
					t.Errorf("head = %v, want %v", fresh.Status().Head, full.Status().Head)
				}
			})
		})
	}
}

// TestClaimThatIsNeverDelivered costs a little, and is not asked for again and
// again. (L-09)
func TestClaimThatIsNeverDelivered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		full, fresh := source(100)
		n := start(t, fresh, nil)
		liar, good := newFake("liar", full), newFake("good", full)
		n.join(good)
		huge := full.Status()
		huge.Head = chain.Ref{Number: 1 << 40, Hash: chain.Hash{9}}
		huge.Weight = chain.WeightOf(1 << 40)
		n.Join(liar, huge)
		n.reaches(100, 20*time.Second)
		for range 40 { // ten minutes of claims every 15 s
			n.Claimed("liar", huge)
			time.Sleep(15 * time.Second)
		}
		synctest.Wait()
		got := n.charged("liar")
		if got[peer.FalseHead] == 0 || got[peer.FalseHead] > 2 {
			t.Errorf("liar was charged %v, want one or two %s", got, peer.FalseHead)
		}
		n.innocent(good)
		if k := liar.kinds(); k["headers"] > 30 {
			t.Errorf("the liar was asked for headers %d times", k["headers"])
		}
		if got := n.Status(); got.Mode != ModeSynced {
			t.Errorf("mode = %v (%s), want synced", got.Mode, got.StuckReason)
		}
	})
}

// TestSilentPeerPaysFromTheThirdOnly, and the work goes elsewhere within a
// second of the deadline. (Z-03)
func TestSilentPeerPaysFromTheThirdOnly(t *testing.T) {
	for _, silent := range []bool{false, true} {
		t.Run(fmt.Sprint("allowed ", silent), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				full, fresh := source(100)
				n := start(t, fresh, func(c *Config) { c.Caps.SilentRefusal = silent })
				p := newFake("mute", full)
				p.lie = never
				n.join(p)
				time.Sleep(5 * time.Second) // the first deadline has passed, the second has not
				if got := n.charged("mute"); len(got) > 0 {
					t.Errorf("charged for the first silence: %v", got)
				}
				time.Sleep(time.Minute)
				if got := n.charged("mute")[peer.NoAnswer]; (got > 0) == silent {
					t.Errorf("charged %d times after a minute, silence allowed: %v", got, silent)
				}
				good := newFake("good", full)
				n.join(good)
				n.reaches(100, 40*time.Second)
				n.innocent(good)
			})
		})
	}
}

// TestHighLatencyCausesNoTimeouts: at 600 ms, no request is given up. (K-06)
func TestHighLatencyCausesNoTimeouts(t *testing.T) {
	for _, rate := range []int{0, 128 << 10, 1 << 20} {
		t.Run(fmt.Sprint(rate), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := chaintest.Config{Seed: 7}
				full, fresh := chaintest.NewChain(cfg), chaintest.NewChain(cfg)
				if _, err := full.Import(t.Context(), full.BuildOn(full.Genesis().Header, 400, chaintest.Make{Size: 16 << 10})); err != nil {
					t.Fatal(err)
				}
				n := start(t, fresh, nil)
				ps := names("far", 3, full)
				for _, p := range ps {
					p.rtt, p.rate = 600*time.Millisecond, rate
				}
				n.join(ps...)
				took := n.reaches(400, 5*time.Minute)
				t.Logf("took %v", took)
				n.innocent(ps...)
				given := 0
				for _, p := range ps {
					for _, k := range p.bodies {
						given += k
					}
				}
				if given > 400 {
					t.Errorf("%d bodies were sent for 400 blocks: requests were given up", given)
				}
			})
		})
	}
}
