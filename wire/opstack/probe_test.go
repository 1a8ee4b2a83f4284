package opstack

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/sim/bed"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/wiretest"
)

// upTo answers requests for the blocks up to one.
func upTo(last uint64) *wiretest.Host {
	return &wiretest.Host{OnServe: func(_ context.Context, _ wire.Session, r wire.Request) (wire.Response, error) {
		n := r.(wire.GetBlocks).Range.From.Number
		if n > last {
			return nil, &wire.Refusal{Code: wire.RefusedNotFound}
		}
		return wire.Blocks{Blocks: []chain.Block{blockOf(n, 100)}}, nil
	}}
}

// probed is what the 2nd machine finds out about the 1st.
func probed(t *testing.T, h *wiretest.Host) (out wire.Probed, w *Wire) {
	t.Helper()
	inBubble(t, func(p *place) {
		w = p.wire(1, h, func(c *Config) { c.Agent = "somebody/1" })
		pr := new(prober)
		if err := pr.run(context.Background(), w.Addrs()[0].Text, "prober", []libp2p.Option{bed.Bubble(p.net.Host(ipOf(2)), false)}); err != nil {
			t.Fatal(err)
		}
		out = pr.out
		for _, r := range wiretest.Reports[wire.Offended](h) {
			t.Errorf("the node holds it against the prober: %+v", r)
		}
	})
	return out, w
}

func TestAStrangerIsToldWhatANodeIs(t *testing.T) {
	p, _ := probed(t, upTo(200))
	for _, s := range p.Steps {
		if s.Err != nil {
			t.Errorf("%s: %v", s.Name, s.Err)
		}
	}
	if len(p.Steps) != 5 || p.Peer.ID == "" || p.Peer.Agent != "somebody/1" || len(p.Peer.Protocols) == 0 || p.RTT <= 0 {
		t.Errorf("it is %+v, steps %+v", p.Peer, p.Steps)
	}
	// The chain is 400 s old, a block each 2 s.
	if p.Claims.Network != "901" || p.Claims.Genesis != (chain.Hash{1}) || p.Claims.Head.Number < 198 {
		t.Errorf("it claims %+v", p.Claims)
	}
}

// A node that is behind is told by the newest block that it gives.
func TestAStrangerSeesThatANodeIsBehind(t *testing.T) {
	p, _ := probed(t, upTo(190))
	if p.Claims.Head.Number != 184 && p.Claims.Head.Number != 185 {
		t.Errorf("its head is %+v", p.Claims.Head)
	}
	p, _ = probed(t, upTo(5))
	last := p.Steps[len(p.Steps)-1]
	if !errors.Is(last.Err, &wire.Refusal{Code: wire.RefusedNotFound}) || p.Claims.Head.Number != 2 {
		t.Errorf("the last step is %+v, its head %+v", last, p.Claims.Head)
	}
}

func TestAStrangerIsToldWhatANodeRefuses(t *testing.T) {
	p, _ := probed(t, upTo(0))
	last := p.Steps[len(p.Steps)-1]
	if last.Name != "block 1" || !errors.Is(last.Err, &wire.Refusal{Code: wire.RefusedNotFound}) || p.Claims.Network != "901" {
		t.Errorf("the last step is %+v, it claims %+v", last, p.Claims)
	}
}

// A multiaddr, a node record and HOST:PORT lead to the same node.
func TestAProbeTakesEachFormOfAddress(t *testing.T) {
	w := onLoopback(t, &wiretest.Host{})
	at := w.Addrs()[0]
	part := strings.Split(at.Text, "/")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	hostPort := part[2] + ":" + part[4]
	for _, text := range []string{hostPort, w.Record()} {
		if found, err := Find(ctx, text, "prober"); err != nil || found != at {
			t.Errorf("%s is %v, %v, want %v", text, found, err, at)
		}
	}
	for _, text := range []string{at.Text, hostPort, w.Record()} {
		p, err := Probe(ctx, text, "prober")
		if err != nil || p.Peer.ID != w.Self() {
			t.Errorf("%s: learned %+v, %v", text, p, err)
		}
	}
}

// Nobody is named who is not there: HOST:PORT holds no identity.
func TestAProbeOfNobodyFails(t *testing.T) {
	for _, address := range []string{"127.0.0.1:1", "/ip4/127.0.0.1/tcp/1", "enr:-hello", "hello", ""} {
		p, err := Probe(t.Context(), address, "prober")
		if err == nil {
			t.Errorf("%q: learned %+v", address, p)
			continue
		}
		var refused *peer.RefusedError
		if errors.As(err, &refused) && strings.Contains(refused.Detail, "16Uiu2") || strings.Contains(err.Error(), "12D3Koo") {
			t.Errorf("%q: %v names an identity", address, err)
		}
	}
}
