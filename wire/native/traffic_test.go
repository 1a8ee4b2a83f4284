package native

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/sim/bed"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/wiretest"
)

// What one side counts as sent, the other counts as received.
func TestTrafficOfBothSidesAgrees(t *testing.T) {
	inBubble(t, time.Millisecond, func(t *testing.T, net *bed.Net) {
		a := inBed(t, net, 1, nil)
		header := chain.Header{Ref: chain.Ref{Number: 7, Hash: chain.Hash{7}}, Bytes: []byte("header")}
		b := inBed(t, net, 2, &wiretest.Host{OnServe: func(context.Context, wire.Session, wire.Request) (wire.Response, error) {
			return wire.Headers{Headers: []chain.Header{header}}, nil
		}})
		ctx := within(t, time.Minute)
		if err := a.Dial(ctx, b.Addrs()[0]); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second) // the topics are joined
		s := a.host.Session(b.Self())
		if _, err := s.Request(ctx, wire.GetHeaders{Range: chain.Range{From: chain.Ref{Number: 7}, Count: 1}}); err != nil {
			t.Fatal(err)
		}
		block := chain.Block{Header: chain.Header{Ref: chain.Ref{Number: 8, Hash: chain.Hash{8}}, Bytes: []byte("h")}, Body: []byte("body")}
		if _, err := a.Publish(ctx, wire.Block{Block: block}); err != nil {
			t.Fatal(err)
		}
		if err := s.Send(ctx, wire.LaneConsensus, wire.Consensus{Bytes: []byte("vote")}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		synctest.Wait()
		at, bt := a.Traffic(), b.Traffic()
		for _, k := range []wire.TrafficKey{
			{Protocol: "status", Type: "status"},
			{Protocol: "request", Type: "headers"},
			{Protocol: "gossip", Type: "block"},
			{Protocol: "consensus", Type: "consensus"},
		} {
			if at[k].Messages != 1 || at[k].Bytes == 0 {
				t.Errorf("a sent %+v of %+v, want one message", at[k], k)
			}
		}
		if k := (wire.TrafficKey{Protocol: "request", Type: "headers-answer"}); bt[k].Messages != 1 || bt[k].Bytes < uint64(len(header.Bytes)) {
			t.Errorf("b sent %+v of %+v, want one message", bt[k], k)
		}
		mirror := func(from, to map[wire.TrafficKey]wire.Traffic) {
			for k, sent := range from {
				if k.Inbound || k.Protocol == "request" { // streams of requests carry their negotiation too
					continue
				}
				k.Inbound = true
				if to[k] != sent {
					t.Errorf("%+v: %+v came of %+v sent", k, to[k], sent)
				}
			}
		}
		mirror(at, bt)
		mirror(bt, at)
		a.stop()
		b.stop()
		time.Sleep(time.Second)
		if k := (wire.TrafficKey{Protocol: "goodbye", Type: "goodbye"}); a.Traffic()[k].Messages != 1 {
			t.Errorf("a said %+v goodbyes, want one", a.Traffic()[k])
		}
	})
}

// Threat C-09: the topic of a gossiped message is the peer's text, and never
// becomes a kind of its own.
func TestTopicsOfPeersAreNotKindsOfTraffic(t *testing.T) {
	w, err := New(Config{Status: status})
	if err != nil {
		t.Fatal(err)
	}
	n := &node{w: w}
	for _, topic := range []string{"", "evil", "{}\n", w.names.Block + "x", w.names.Prefix + "/app/UPPER/1", "a", "b", "c"} {
		n.countGossip(topic, true, 1)
	}
	app, err := w.names.App("chat")
	if err != nil {
		t.Fatal(err)
	}
	n.countGossip(app, true, 1)
	n.countGossip(w.names.Tx, true, 1)
	got := w.Traffic()
	for k, want := range map[wire.TrafficKey]uint64{
		{Protocol: "gossip", Type: "other", Inbound: true}: 8,
		{Protocol: "gossip", Type: "app", Inbound: true}:   1,
		{Protocol: "gossip", Type: "txs", Inbound: true}:   1,
	} {
		if got[k].Messages != want {
			t.Errorf("%+v: %d, want %d", k, got[k].Messages, want)
		}
	}
	if len(got) != 3 {
		t.Errorf("%d kinds: %v", len(got), got)
	}
}
