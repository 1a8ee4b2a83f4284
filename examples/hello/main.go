// Command hello shows two Starling nodes meeting: run it in one terminal, and
// in another with an address that the first one printed.
//
//	go run ./examples/hello
//	go run ./examples/hello /ip4/127.0.0.1/tcp/…/p2p/…
//
// Each finds the other, asks it a question and prints the answer, hears what
// it broadcasts, and notices when it is gone. Ctrl-C ends it.
package main

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/starlingp2p/starling"
	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/examples/counterchain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire/native"
)

// topic is where the nodes broadcast.
const topic = "hello"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := hello(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "hello:", err)
		os.Exit(1)
	}
}

// hello runs a node that knows the given addresses until ctx ends.
func hello(ctx context.Context, known []string, out io.Writer) error {
	// The chain plays no part here: it stays at its genesis, which both share.
	c := counterchain.New(make(ed25519.PublicKey, ed25519.PublicKeySize))
	w, err := native.New(native.Config{
		Network: c.Status().Network, Status: c.Status, AllowPrivate: true, Topics: []string{topic},
		Listen: []string{"/ip4/127.0.0.1/tcp/0"},
	})
	if err != nil {
		return err
	}
	cfg := starling.DevConfig()
	cfg.Seeds = known
	node, err := starling.New(cfg, c, w)
	if err != nil {
		return err
	}
	p := &printer{out: out}
	if err := node.SetHandler(greeter{p}); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop() // in case the node fails to start
	wg.Go(func() { greet(ctx, node.Client(), p) })
	wg.Go(func() {
		select {
		case <-w.Ready():
		case <-ctx.Done():
			return
		}
		for _, a := range w.Addrs() {
			p.printf("listening on %s", a)
		}
	})
	return node.Run(ctx)
}

// greeter answers requests and hears broadcasts.
type greeter struct{ *printer }

func (g greeter) HandleRequest(_ context.Context, from peer.ID, req []byte) ([]byte, error) {
	g.printf("%s asks: %q", from.Short(), peer.Clean(string(req)))
	return fmt.Appendf(nil, "hello, %s", from.Short()), nil
}

func (g greeter) HandleBroadcast(_ context.Context, from peer.ID, _ string, msg []byte) chain.Verdict {
	g.printf("%s tells everybody: %q", from.Short(), peer.Clean(string(msg)))
	return chain.Accepted()
}

// greet follows the node's events: it asks and tells each peer that comes.
func greet(ctx context.Context, client *starling.Client, p *printer) {
	events := client.Subscribe(ctx, 0)
	for ev := range events.C() {
		switch ev := ev.(type) {
		case starling.PeerOpened:
			p.printf("found %s", ev.Info.ID.Short())
			answer, err := client.Request(ctx, ev.Info.ID, "", []byte("who is there?"))
			if err != nil {
				p.printf("%s did not answer: %v", ev.Info.ID.Short(), err)
				continue
			}
			p.printf("%s answers: %q", ev.Info.ID.Short(), peer.Clean(string(answer)))
		case starling.TopicChanged:
			if ev.Joined && ev.Topic == topic {
				// Equal messages on a topic are one message: say who is speaking.
				msg := fmt.Appendf(nil, "hello from %s at %s", client.Status().Self.Short(), time.Now().Format(time.TimeOnly))
				receipt, err := client.Broadcast(ctx, topic, msg)
				if err != nil {
					p.printf("broadcast: %v", err)
					continue
				}
				p.printf("told %d peers", receipt.Queued)
			}
		case starling.PeerClosed:
			p.printf("%s is gone: %s", ev.ID.Short(), ev.Reason)
		}
	}
}

// printer prints whole lines from several goroutines.
type printer struct {
	mu  sync.Mutex
	out io.Writer
}

func (p *printer) printf(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintf(p.out, format+"\n", args...)
}
