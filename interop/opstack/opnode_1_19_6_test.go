package opstack

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/opstack"
	"github.com/starlingp2p/starling/wire/opstack/codec"
	"github.com/starlingp2p/starling/wire/wiretest"
)

// The chain is op-node's own, so each block that is compared shows that our
// codec agrees with op-node's SSZ, block hash and signing hash.
func TestGossipBothWays(t *testing.T) {
	for _, v := range codec.Versions {
		t.Run(v.String(), func(t *testing.T) {
			t.Parallel()
			n := newNetwork(t, v, 20, 3, 200)
			op := runOpNode(t, newest, n.start(map[string]any{"head": 19}))
			s := n.member(t)
			s.dial(t, op)
			n.meshed(t, s, op)

			// One that is a few seconds old: the clock goes on while we connect.
			theirs, ours := n.blocks[17], n.blocks[18]
			op.Do(map[string]any{"do": "publish", "number": 17}, nil)
			s.until(t, "op-node's block", func() bool {
				return slices.ContainsFunc(s.Host.Checked(), func(c wiretest.Checked) bool { return c.Message.(wire.Block).Block.Ref() == theirs.Ref() })
			})
			got := s.Host.Checked()[0]
			b := got.Message.(wire.Block).Block
			if got.Verdict.Action != chain.Accept || !bytes.Equal(b.Header.Bytes, theirs.Header.Bytes) || !bytes.Equal(b.Body, theirs.Body) || len(b.Extra) != codec.SignatureSize {
				t.Errorf("op-node's block is %v: %+v", got.Verdict, b.Ref())
			}

			r, err := s.Publish(t.Context(), wire.Block{Block: ours})
			if err != nil || r.Queued != 1 {
				t.Fatalf("Publish = %+v, %v", r, err)
			}
			op.Until("our block", func(e event) bool {
				return e.Event == "payload" && e.Number == 18 && e.Hash == ours.Ref().Hash.String()
			})
			s.blameless(t)
		})
	}
}

func TestConnectBothWays(t *testing.T) {
	n := newNetwork(t, codec.V4, 20, 1, 100)
	op := runOpNode(t, newest, n.start(map[string]any{"head": 19}))
	s := n.member(t)
	se := s.dial(t, op)
	if p := se.Peer(); p.Agent != "optimism" || string(p.ID) != op.Peer || p.Direction != peer.Outbound {
		t.Errorf("op-node shows itself as %+v", p)
	}
	op.Until("a connection", func(e event) bool { return e.Event == "connected" && e.Peer == string(s.Self()) })
	se.Close(peer.Requested)
	op.Until("its end", func(e event) bool { return e.Event == "disconnected" && e.Peer == string(s.Self()) })
	s.until(t, "the end of our session", func() bool { return len(s.Host.Sessions()) == 0 })

	op.Do(map[string]any{"do": "connect", "addr": s.Addrs()[0].Text}, nil)
	s.until(t, "a session that op-node opened", func() bool { return len(s.Host.Sessions()) == 1 })
	if p := s.Host.Sessions()[0].Peer(); p.Direction != peer.Inbound || string(p.ID) != op.Peer {
		t.Errorf("the session is with %+v", p)
	}
	op.Do(map[string]any{"do": "disconnect", "peer": string(s.Self())}, nil)
	s.until(t, "its end", func() bool { return len(s.Host.Sessions()) == 0 })
	s.blameless(t)
}

// discv5 finds op-node for us; and us for op-node, which then dials.
func TestDiscoveryBothWays(t *testing.T) {
	n := newNetwork(t, codec.V4, 3, 1, 100)
	op := runOpNode(t, newest, n.start(map[string]any{"discovery": true}))
	s := n.member(t, func(c *opstack.Config) {
		c.DiscoverOn, c.Bootnodes = ip()+":0", []string{op.ENR}
		c.Listen = []string{"/ip4/" + strings.TrimSuffix(c.DiscoverOn, ":0") + "/tcp/0"}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	found := func() bool {
		return slices.ContainsFunc(wiretest.Reports[wire.Found](s.Host), func(f wire.Found) bool {
			return f.Source == wire.SourceDiscv && slices.ContainsFunc(f.Peers, func(p wire.FoundPeer) bool {
				return string(p.ID) == op.Peer && p.Addrs[0].Text == op.Addrs[0]
			})
		})
	}
	for !found() {
		if ctx.Err() != nil {
			t.Fatal("op-node was not found")
		}
		if err := s.Discover(ctx); err != nil {
			t.Fatal(err)
		}
	}
	s.until(t, "a session that op-node opened", func() bool { return len(s.Host.Sessions()) == 1 })
	if p := s.Host.Sessions()[0].Peer(); p.Direction != peer.Inbound || string(p.ID) != op.Peer {
		t.Errorf("the session is with %+v", p)
	}
}

func TestAnotherChainIsRefused(t *testing.T) {
	n, other := newNetwork(t, codec.V4, 3, 1, 100), newNetwork(t, codec.V3, 3, 1, 100)
	op := runOpNode(t, newest, other.start(nil))
	s := n.member(t)
	a, err := s.ParseAddr(op.Addrs[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Dial(t.Context(), a); !errors.Is(err, peer.Refuse(peer.WrongNetwork)) {
		t.Errorf("Dial = %v, want %s", err, peer.WrongNetwork)
	}
}

func TestPayloadByNumberBothWays(t *testing.T) {
	for _, v := range codec.Versions {
		t.Run(v.String(), func(t *testing.T) {
			t.Parallel()
			n := newNetwork(t, v, 20, 5, 20_000)
			op := runOpNode(t, newest, n.start(map[string]any{"head": 15}))
			s := n.member(t)
			se := s.dial(t, op)
			ask := func(number uint64) (wire.Response, error) {
				return se.Request(t.Context(), wire.GetBlocks{Range: chain.Range{From: chain.Ref{Number: number}, Count: 1}})
			}
			for number := uint64(1); number <= 15; number++ {
				resp, err := ask(number)
				if err != nil {
					t.Fatalf("block %d: %v", number, err)
				}
				got, want := resp.(wire.Blocks).Blocks[0], n.blocks[number]
				if got.Ref() != want.Ref() || !bytes.Equal(got.Header.Bytes, want.Header.Bytes) || !bytes.Equal(got.Body, want.Body) || len(got.Extra) != 0 {
					t.Errorf("block %d is another: %v, want %v", number, got.Ref(), want.Ref())
				}
			}
			if _, err := ask(16); !errors.Is(err, &wire.Refusal{Code: wire.RefusedNotFound}) {
				t.Errorf("a block that op-node lacks: %v", err)
			}
			if _, err := ask(1000); !errors.Is(err, &wire.Refusal{Code: wire.RefusedBadRequest}) {
				t.Errorf("a block of the future: %v", err)
			}

			for number := uint64(1); number <= 15; number++ {
				var raw string
				op.Do(map[string]any{"do": "request", "peer": string(s.Self()), "number": number}, &raw)
				in, err := hex.DecodeString(raw)
				if err != nil {
					t.Fatal(err)
				}
				res, e, err := codec.ReadAnswer(bytes.NewReader(in), func(bool) codec.Version { return v })
				if err != nil || res != codec.ResultOK || e.BlockHash != n.blocks[number].Ref().Hash {
					t.Errorf("we answered op-node with %v, %v", res, err)
				}
			}
			var raw string
			op.Do(map[string]any{"do": "request", "peer": string(s.Self()), "number": 1 << 40}, &raw)
			if raw != "02" {
				t.Errorf("we answered op-node with %s for a block of the future, want 02", raw)
			}
			s.blameless(t)
		})
	}
}
