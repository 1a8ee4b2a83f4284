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

	"golang.org/x/sync/errgroup"

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

// run is a member of the chain's network until ctx ends or use fails.
func run(ctx context.Context, c *counterchain.Chain, seeds []string, use func(context.Context, *starling.Client) error) error {
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
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return node.Run(ctx) })
	g.Go(func() error { return use(ctx, node.Client()) })
	return g.Wait()
}

// region: follow

// follow prints the node's addresses, and each new head.
func follow(ctx context.Context, client *starling.Client) error {
	for ev := range client.Subscribe(ctx, 0).C() {
		switch ev := ev.(type) {
		case starling.PeerOpened:
			fmt.Println("peer", ev.Info.ID.Short(), ev.Info.Direction)
		case starling.HeadChanged:
			fmt.Println("head", ev.Status.Head)
		}
	}
	return ctx.Err()
}

// region: produce

// produce signs a block each second, adding one to the counter.
func produce(ctx context.Context, client *starling.Client, c *counterchain.Chain, key ed25519.PrivateKey) error {
	for tick := time.NewTicker(time.Second); ; {
		select {
		case now := <-tick.C:
			head, err := c.Header(ctx, c.Status().Head)
			if err != nil {
				return err
			}
			err = client.SubmitBlock(ctx, counterchain.Seal(key, head, now, 1))
			if err != nil && !errors.Is(err, starling.ErrNotRunning) { // it may still be starting
				return err
			}
			fmt.Println("made", c.Status().Head, "reachable at", client.Status().Addrs)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
