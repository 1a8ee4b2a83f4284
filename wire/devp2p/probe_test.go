package devp2p

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/sim/bed"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/devp2p/eth"
	"github.com/starlingp2p/starling/wire/wiretest"
)

// probed is what the 2nd peer finds out about the 1st.
func probed(t *testing.T, h *wiretest.Host, versions ...eth.Version) (out wire.Probed, err error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := bed.NewNet(bed.Config{Link: bed.Link{Latency: 20 * time.Millisecond}})
		defer n.Close()
		node := start(t, n, 1, h, func(c *Config) {
			c.Versions, c.Agent = versions, "somebody/1"
			c.Status = func() chain.Status {
				return chain.Status{Network: "test", Genesis: testGenesis, Head: headerOf(5).Ref, Weight: chain.WeightOf(500)}
			}
		})
		defer node.stop(t)
		out, err = probe(t.Context(), node.Addrs()[0], Config{Agent: "prober", Net: n.Host(hostAddr(2))})
		for _, r := range wiretest.Reports[wire.Offended](node.host) {
			t.Errorf("the node holds it against the prober: %+v", r)
		}
	})
	return out, err
}

func TestAStrangerIsToldWhatANodeIs(t *testing.T) {
	for _, v := range eth.Versions() {
		t.Run(v.String(), func(t *testing.T) {
			p, err := probed(t, &wiretest.Host{OnServe: func(context.Context, wire.Session, wire.Request) (wire.Response, error) {
				return wire.Headers{Headers: []chain.Header{headerOf(5)}}, nil
			}}, v)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range p.Steps {
				if s.Err != nil {
					t.Errorf("%s: %v", s.Name, s.Err)
				}
			}
			if p.Peer.ID != IDOf(&keyFor(1).PublicKey) || p.Peer.Agent != "somebody/1" || len(p.Peer.Protocols) != 1 || p.Peer.Protocols[0] != v.String() {
				t.Errorf("it is %+v", p.Peer)
			}
			if c := p.Claims; c.Genesis != testGenesis || c.Head != headerOf(5).Ref || c.Network == "" || p.RTT != 40*time.Millisecond {
				t.Errorf("it claims %+v, after %v", c, p.RTT)
			}
			if len(p.Steps) != 6 {
				t.Errorf("steps %+v", p.Steps)
			}
		})
	}
}

// A node that refuses its members too is told with its own reason.
func TestAStrangerIsToldWhatANodeRefuses(t *testing.T) {
	p, err := probed(t, &wiretest.Host{OnOpen: func(context.Context, wire.Session, chain.Status) error {
		return peer.Refuse(peer.TooManyPeers)
	}})
	if err != nil {
		t.Fatal(err)
	}
	last := p.Steps[len(p.Steps)-1]
	var refused *peer.RefusedError
	if last.Name != "session" || !errors.As(last.Err, &refused) || refused.Reason != peer.TooManyPeers || !refused.Remote {
		t.Errorf("the last step is %s: %v, want a session refused with %s by the remote", last.Name, last.Err, peer.TooManyPeers)
	}
	if p.Claims.Genesis != testGenesis {
		t.Errorf("it claims %+v", p.Claims)
	}
}

func TestAProbeOfNobodyFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := bed.NewNet(bed.Config{})
		defer n.Close()
		node := start(t, n, 1, nil)
		defer node.stop(t)
		for name, a := range map[string]string{
			"nobody there":     enodeAt(9, hostAddr(9).String(), 30303),
			"another identity": enodeAt(9, hostAddr(1).String(), 30303),
		} {
			addr, err := ParseAddr(a)
			if err != nil {
				t.Fatal(err)
			}
			if p, err := probe(t.Context(), addr, Config{Net: n.Host(hostAddr(2))}); err == nil {
				t.Errorf("%s: learned %+v", name, p)
			}
		}
	})
	for _, a := range []string{"", "hello", "127.0.0.1:30303", "enode://aa@127.0.0.1:1"} {
		if p, err := Probe(t.Context(), a, "prober"); err == nil {
			t.Errorf("%q: learned %+v", a, p)
		}
	}
}
