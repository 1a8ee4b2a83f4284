package main

import (
	"context"
	"crypto/ed25519"
	"errors"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/starlingp2p/starling"
	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/examples/counterchain"
)

// deadline ends a test that hangs; no result depends on it.
const deadline = 2 * time.Minute

var key = ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))

// member is a running node of the counter chain.
type member struct {
	chain  *counterchain.Chain
	client *starling.Client
	events *starling.Subscription
}

// join runs a member until the test ends.
func join(t *testing.T, c *counterchain.Chain, seeds ...string) member {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	members, done := make(chan member, 1), make(chan error, 1)
	go func() {
		done <- run(ctx, c, seeds, func(ctx context.Context, client *starling.Client) error {
			members <- member{c, client, client.Subscribe(ctx, 4096)}
			<-ctx.Done()
			return nil
		})
	}()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	select {
	case m := <-members:
		return m
	case err := <-done:
		done <- nil
		t.Fatal(err)
	}
	return member{}
}

// await waits until the event that it looks for has come.
func (m member) await(t *testing.T, what string, found func(starling.Event) bool) {
	t.Helper()
	late := time.After(deadline)
	for {
		select {
		case ev := <-m.events.C():
			if found(ev) {
				return
			}
		case <-late:
			t.Fatalf("no %s within %v; the head is %s, peers are %d", what, deadline, m.chain.Status().Head, len(m.client.Peers()))
		}
	}
}

// reaches waits until the member's head is want, and says whether that block
// was seen to come by gossip.
func (m member) reaches(t *testing.T, want chain.Ref) (gossiped bool) {
	t.Helper()
	if m.chain.Status().Head == want {
		return false // before we listened, or just now
	}
	m.await(t, "head "+want.String(), func(ev starling.Event) bool {
		switch ev := ev.(type) {
		case starling.BlockSeen:
			gossiped = gossiped || ev.Ref == want
		case starling.HeadChanged:
			return ev.Status.Head == want
		}
		return false
	})
	return gossiped
}

// makes has the member make n blocks, one by one.
func (m member) makes(t *testing.T, n int) chain.Ref {
	t.Helper()
	for range n {
		head, err := m.chain.Header(t.Context(), m.chain.Status().Head)
		if err != nil {
			t.Fatal(err)
		}
		if err := m.client.SubmitBlock(t.Context(), counterchain.Seal(key, head, head.Time.Add(time.Second), 1)); err != nil {
			t.Fatal(err)
		}
	}
	return m.chain.Status().Head
}

func TestCounterChainJoinsSyncsAndGossips(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	t.Run("two members", func(t *testing.T) {
		public := key.Public().(ed25519.PublicKey)
		producer := join(t, counterchain.New(public))
		addrs := producer.client.Status().Addrs
		if len(addrs) == 0 {
			t.Fatal("the producer runs and has no address")
		}
		missed := producer.makes(t, 300)

		late := join(t, counterchain.New(public), addrs[0].String())
		late.reaches(t, missed)

		// The first ones may still come by sync, while the gossip finds its peers.
		for i := 0; !late.reaches(t, producer.makes(t, 1)); i++ {
			if i == 100 {
				t.Fatal("the late member follows, but no block came by gossip")
			}
		}
	})
}
