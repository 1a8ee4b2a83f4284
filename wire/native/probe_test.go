package native

import (
	"context"
	"errors"
	"testing"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/wiretest"
)

// stepOf gives the outcome of one step.
func stepOf(t *testing.T, p wire.Probed, name string) error {
	t.Helper()
	for _, s := range p.Steps {
		if s.Name == name {
			return s.Err
		}
	}
	t.Fatalf("there was no step %q in %+v", name, p.Steps)
	return nil
}

func TestAStrangerIsToldWhatANodeIs(t *testing.T) {
	head := chain.Header{Ref: chain.Ref{Number: 7, Hash: chain.Hash{7}}, Bytes: []byte("header")}
	told := status()
	told.Head = head.Ref
	cfg := loopback(false)
	cfg.Status, cfg.Agent = func() chain.Status { return told }, "somebody/1"
	node := start(t, cfg, &wiretest.Host{OnServe: func(context.Context, wire.Session, wire.Request) (wire.Response, error) {
		return wire.Headers{Headers: []chain.Header{head}}, nil
	}})
	if found, err := Find(within(t, patience), hostPort(t, node), "prober"); err != nil || found != node.Addrs()[0] {
		t.Errorf("found %s, %v, want %s", found, err, node.Addrs()[0])
	}
	for _, address := range []string{node.Addrs()[0].Text, hostPort(t, node)} {
		p, err := Probe(within(t, patience), address, "prober")
		if err != nil {
			t.Fatal(err)
		}
		if p.Peer.ID != node.Self() || p.Peer.Agent != "somebody/1" || len(p.Peer.Protocols) == 0 || p.Claims != told || p.RTT <= 0 || p.Time.IsZero() {
			t.Errorf("%s: learned %+v", address, p)
		}
		for _, s := range p.Steps {
			if s.Err != nil {
				t.Errorf("%s: %s: %v", address, s.Name, s.Err)
			}
		}
	}
	uncharged(t, node)
}

// A node that refuses its members too is told with its own reason.
func TestAStrangerIsToldWhatANodeRefuses(t *testing.T) {
	node := start(t, loopback(false), &wiretest.Host{OnOpen: func(context.Context, wire.Session, chain.Status) error {
		return peer.Refuse(peer.TooManyPeers)
	}})
	p, err := Probe(within(t, patience), node.Addrs()[0].Text, "prober")
	if err != nil {
		t.Fatal(err)
	}
	var refused *peer.RefusedError
	if err := stepOf(t, p, "session"); !errors.As(err, &refused) || refused.Reason != peer.TooManyPeers || !refused.Remote {
		t.Errorf("the session was refused with %v, want %s by the remote", err, peer.TooManyPeers)
	}
	if p.Claims.Genesis != genesis {
		t.Errorf("it claims %+v", p.Claims)
	}
}

func TestAProbeOfNobodyFails(t *testing.T) {
	for _, address := range []string{"/ip4/127.0.0.1/tcp/1/p2p/" + idText(1), "127.0.0.1:1", "/ip4/127.0.0.1/tcp/1", "hello", ":", "x:y", "/"} {
		if p, err := Probe(within(t, patience), address, "prober"); err == nil {
			t.Errorf("%s: learned %+v", address, p)
		}
	}
}
