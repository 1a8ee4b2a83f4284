package blocksync

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/chain/chaintest"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// TestConversations replays testdata/*.txt: what the core is told stands
// behind ">", what it wants done is indented below.
func TestConversations(t *testing.T) {
	datadriven.Walk(t, "testdata/conversations", func(t *testing.T, path string) {
		var w *world
		var full *chaintest.Chain
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			var out strings.Builder
			arg := func(key string, byDefault int) int {
				if d.HasArg(key) {
					d.ScanArgs(t, key, &byDefault)
				}
				return byDefault
			}
			if d.Cmd == "world" {
				caps := map[string]wire.Caps{"native": nativeCaps, "blocks": blocksCaps, "ranges": rangesCaps, "hashes": hashCaps}
				name := "native"
				if d.HasArg("wire") {
					d.ScanArgs(t, "wire", &name)
				}
				cfg := chaintest.Config{Seed: 7, MaxReorg: arg("max-reorg", 64)}
				full = chaintest.NewChain(cfg)
				full.Extend(arg("theirs", 0))
				mine := chaintest.NewChain(cfg)
				if n := arg("ours", 0); n > 0 {
					bs, err := full.Blocks(context.Background(), chain.Range{From: chain.Ref{Number: 1}, Count: n})
					if err == nil {
						_, err = mine.Import(context.Background(), bs)
					}
					if err != nil {
						t.Fatal(err)
					}
				}
				if n := arg("fork", 0); n > 0 {
					if _, err := mine.Import(context.Background(), mine.BuildOn(mine.Head().Header, n, chaintest.Make{Branch: 5})); err != nil {
						t.Fatal(err)
					}
				}
				if n := arg("staged", 0); n > 0 {
					head := full.Head().Header.Ref.Number
					bs, err := full.Blocks(context.Background(), chain.Range{From: chain.Ref{Number: head - uint64(n) + 1}, Count: n})
					if err == nil {
						err = mine.Stage(context.Background(), bs)
					}
					if err != nil {
						t.Fatal(err)
					}
				}
				w = newWorld(mine, CoreConfig{Caps: caps[name], BackwardOnly: d.HasArg("backward-only"), MaxInFlightPerPeer: arg("in-flight", 2)})
				return fmt.Sprintf("head %d\n", mine.Head().Header.Ref.Number)
			}
			w.trace = func(s string) { fmt.Fprintln(&out, s) }
			switch d.Cmd {
			case "join":
				how := ""
				if len(d.CmdArgs) > 1 && d.CmdArgs[1].Key == "who" {
					how = d.CmdArgs[1].Vals[0]
				}
				st := full.Status()
				if n := arg("claims", 0); n > 0 {
					st.Head = chain.Ref{Number: uint64(n), Hash: chain.Hash{9}}
					st.Weight = chain.WeightOf(uint64(n))
				}
				if n := arg("weight", 0); n > 0 { // the number of its head is not told yet
					st.Head, st.Weight = chain.Ref{}, chain.WeightOf(uint64(n))
				}
				w.add(&actor{id: peer.ID(d.CmdArgs[0].Key), chain: full, act: manner(t, how)}, st)
			case "claim":
				w.step(Claims{Peer: peer.ID(d.CmdArgs[0].Key), Status: full.Status()})
			case "leave":
				w.leave(peer.ID(d.CmdArgs[0].Key))
			case "offer":
				b, err := full.Block(context.Background(), chain.Ref{Number: uint64(arg("block", 0))})
				if err != nil {
					t.Fatal(err)
				}
				var from string
				d.ScanArgs(t, "from", &from)
				w.step(Offered{From: peer.ID(from), Block: b})
			case "target":
				w.step(Targeted{full.Head().Ref()})
			case "fail-import":
				switch strings.TrimSpace(d.Input) {
				case "full":
					w.chain.FailImport(chain.ErrFull)
				default:
					w.chain.FailImport(nil)
				}
			case "unjudged": // from now on, headers above one that is not imported
				w.tasks.cfg.Chain = farsighted{w.chain, map[chain.Hash]bool{}}
			case "run":
				var text string
				d.ScanArgs(t, "for", &text)
				span, err := time.ParseDuration(text)
				if err != nil {
					t.Fatal(err)
				}
				w.run(span, nil)
			case "status":
				s := w.core.Snapshot()
				fmt.Fprintf(&out, "%s at %d, %d staged, %d quarantined, %d bytes held, %d asked for\n", s.Mode, s.Head.Number, s.Staged, s.Quarantined, s.BytesHeld, s.BytesAsked)
			default:
				t.Fatalf("unknown command %q", d.Cmd)
			}
			if w.over != nil {
				t.Fatal(w.over)
			}
			return out.String()
		})
	})
}

// farsighted cannot judge headers whose parent it neither has nor has verified.
type farsighted struct {
	*chaintest.Chain
	verified map[chain.Hash]bool
}

func (c farsighted) VerifyHeaders(parent chain.Header, hs []chain.Header) (int, error) {
	if _, err := c.Header(context.Background(), parent.Ref); err != nil && !c.verified[parent.Ref.Hash] {
		return 0, fmt.Errorf("%w: header %v", chain.ErrUnjudged, hs[0].Ref)
	}
	n, err := c.Chain.VerifyHeaders(parent, hs)
	for _, h := range hs[:n] {
		c.verified[h.Ref.Hash] = true
	}
	return n, err
}

// manner is how a peer of a conversation answers.
func manner(t *testing.T, how string) func(wire.Request, func() (wire.Response, error)) (wire.Response, error, time.Duration) {
	const rtt = 20 * time.Millisecond
	honest := honestly(rtt)
	switch how {
	case "", "honest":
		return honest
	case "silent":
		return func(wire.Request, func() (wire.Response, error)) (wire.Response, error, time.Duration) {
			return nil, errors.New("never"), -1
		}
	case "limits":
		return func(wire.Request, func() (wire.Response, error)) (wire.Response, error, time.Duration) {
			return nil, &wire.Refusal{Code: wire.RefusedLimit, Limit: "peer-bytes", RetryAfter: 2 * time.Second}, rtt
		}
	case "empty":
		return func(_ wire.Request, get func() (wire.Response, error)) (wire.Response, error, time.Duration) {
			r, _ := get()
			return empty(r), nil, rtt
		}
	case "not-found":
		return func(wire.Request, func() (wire.Response, error)) (wire.Response, error, time.Duration) {
			return nil, &wire.Refusal{Code: wire.RefusedNotFound}, rtt
		}
	case "junk-bodies":
		return func(rq wire.Request, get func() (wire.Response, error)) (wire.Response, error, time.Duration) {
			r, err := get()
			if b, ok := r.(wire.Bodies); ok {
				return wire.Bodies{Hashes: b.Hashes, Bodies: make([]wire.Body, len(b.Bodies))}, err, rtt
			}
			return r, err, rtt
		}
	}
	t.Fatalf("unknown manner %q", how)
	return nil
}
