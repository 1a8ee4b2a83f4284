package ontology

import (
	"context"
	"errors"
	"testing"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/sim/bed"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/ontology/codec"
	"github.com/starlingp2p/starling/wire/wiretest"
)

func TestAStrangerIsToldWhatANodeIs(t *testing.T) {
	inBed(t, func(t *testing.T, n *bed.Net) {
		node := start(t, n, 1, nil, nil)
		p, err := probe(t.Context(), portOf(1), 299, n.Host(ipOf(2)))
		if err != nil {
			t.Fatal(err)
		}
		if p.Peer.ID == "" || p.Peer.Agent != "ontology/"+keylessSoft || p.Claims.Network != "299" || p.Claims.Head.Number != 3 || p.RTT <= 0 || p.Time.IsZero() {
			t.Errorf("learned %+v", p)
		}
		if len(p.Steps) != 2 || p.Steps[0].Err != nil || p.Steps[1].Err != nil {
			t.Errorf("steps %+v", p.Steps)
		}
		for _, r := range wiretest.Reports[wire.Offended](node.host) {
			t.Errorf("the node holds it against the prober: %+v", r)
		}
	})
}

// A node of none of the networks that are tried was reached all the same.
func TestAStrangerIsNotHeardOnOtherNetworks(t *testing.T) {
	inBed(t, func(t *testing.T, n *bed.Net) {
		start(t, n, 1, nil, nil)
		p, err := probe(t.Context(), portOf(1), 0, n.Host(ipOf(2)))
		if err != nil || len(p.Steps) != 3 {
			t.Fatalf("learned %+v, %v", p, err)
		}
		for _, s := range p.Steps {
			if s.Err == nil {
				t.Errorf("%s was taken", s.Name)
			}
		}
		polaris := start(t, n, 3, nil, func(c *Config) { c.Magic = codec.MagicPolaris })
		p, err = probe(t.Context(), portOf(3), 0, n.Host(ipOf(2)))
		if err != nil || p.Claims.Network != "polaris" || p.Peer.ID == "" {
			t.Errorf("learned %+v, %v", p, err)
		}
		polaris.stop()
	})
}

func TestAStrangerIsToldWhatANodeRefuses(t *testing.T) {
	inBed(t, func(t *testing.T, n *bed.Net) {
		start(t, n, 1, &wiretest.Host{OnOpen: func(context.Context, wire.Session, chain.Status) error {
			return peer.Refuse(peer.TooManyPeers)
		}}, nil)
		p, err := probe(t.Context(), portOf(1), 299, n.Host(ipOf(2)))
		var refused *peer.RefusedError
		if err != nil || len(p.Steps) == 0 {
			t.Fatalf("learned %+v, %v", p, err)
		}
		// The dialler's side of the handshake ends before the listener's node has
		// decided: then the link is lost under the ping.
		last := p.Steps[len(p.Steps)-1].Err
		if last == nil || errors.As(last, &refused) && refused.Reason == peer.DialFailed {
			t.Errorf("the last step ended with %v", last)
		}
	})
}

func TestAProbeOfNobodyFails(t *testing.T) {
	inBed(t, func(t *testing.T, n *bed.Net) {
		for _, address := range []string{portOf(9), "hello", "", ":20338", "/ip4/127.0.0.1/tcp/1"} {
			if p, err := probe(t.Context(), address, 299, n.Host(ipOf(2))); err == nil {
				t.Errorf("%q: learned %+v", address, p)
			}
		}
	})
}
