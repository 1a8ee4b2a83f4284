// Command counter runs a node of the counter chain. Start the producer, and in
// another terminal a follower with an address that the first one printed:
//
//	go run ./examples/counterchain/counter -produce
//	go run ./examples/counterchain/counter /ip4/127.0.0.1/tcp/…/p2p/…
//
// The follower syncs what it missed and then follows. Ctrl-C ends it.
package main

import (
	"context"
	"crypto/ed25519"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"

	"github.com/starlingp2p/starling"
	"github.com/starlingp2p/starling/examples/counterchain"
	"github.com/starlingp2p/starling/wire/native"
)

func main() {
	produces := flag.Bool("produce", false, "make a block each second")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()

	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)) // for the demonstration: everybody knows it
	c := counterchain.New(key.Public().(ed25519.PublicKey))
	err := run(ctx, c, flag.Args(), func(ctx context.Context, client *starling.Client) error {
		if *produces {
			return produce(ctx, client, c, key)
		}
		return follow(ctx, client)
	})
	if err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "counter:", err)
		os.Exit(1)
	}
}

// region: run

// run is a member of the chain's network until ctx ends or its work fails.
func run(ctx context.Context, c *counterchain.Chain, seeds []string, work work) error {
	w, err := native.New(native.Config{Status: c.Status, AllowPrivate: true, Listen: []string{"/ip4/127.0.0.1/tcp/0"}})
	if err != nil {
		return err
	}
	cfg := starling.DevConfig()
	cfg.Seeds, cfg.BlockInterval = seeds, time.Second
	node, err := starling.New(cfg, c, w)
	if err != nil {
		return err
	}
	if err := node.Register(work); err != nil {
		return err
	}
	return node.Run(ctx)
}

// region: work

// work is a service: what the program does while the node runs. The node
// starts it when it listens, and ends its context first when it stops.
type work func(context.Context, *starling.Client) error

func (work) Kind() string    { return "counter" }
func (work) Needs() []string { return nil }

func (w work) Build(b *starling.Builder) (starling.Part, error) { return part{w, b.Client()}, nil }

type part struct {
	work   work
	client *starling.Client
}

func (p part) Run(ctx context.Context, ready func()) error {
	ready()
	return p.work(ctx, p.client)
}

// region: follow

// follow prints each peer that comes, and each new head.
func follow(ctx context.Context, client *starling.Client) error {
	for ev := range client.Subscribe(ctx, 0).C() {
		switch ev := ev.(type) {
		case starling.PeerOpened:
			fmt.Println("peer", ev.Info.ID.Short(), ev.Info.Direction)
		case starling.HeadChanged:
			fmt.Println("head", ev.Status.Head)
		}
	}
	return nil
}

// region: produce

// produce signs a block each second, adding one to the counter.
func produce(ctx context.Context, client *starling.Client, c *counterchain.Chain, key ed25519.PrivateKey) error {
	fmt.Println("reachable at", client.Status().Addrs)
	for {
		select {
		case now := <-time.After(time.Second):
			head, err := c.Header(ctx, c.Status().Head)
			if err != nil {
				return err
			}
			if err := client.SubmitBlock(ctx, counterchain.Seal(key, head, now, 1)); err != nil {
				return err
			}
			fmt.Println("made", c.Status().Head)
		case <-ctx.Done():
			return nil
		}
	}
}
