package starling_test

import (
	"context"
	"fmt"

	"github.com/starlingp2p/starling"
	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/chain/chaintest"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire/native"
)

// polite answers requests, and takes every broadcast.
type polite struct{}

func (polite) HandleRequest(_ context.Context, _ peer.ID, req []byte) ([]byte, error) {
	return fmt.Appendf(nil, "you said %q", req), nil
}

func (polite) HandleBroadcast(context.Context, peer.ID, string, []byte) chain.Verdict {
	return chain.Accepted()
}

// start runs a node of an example network on a free loopback port, and waits
// until it is ready. The node ends with ctx.
func start(ctx context.Context, c chain.Chain, static ...string) (*starling.Node, *native.Wire, <-chan error) {
	w, err := native.New(native.Config{Status: c.Status, Listen: []string{"/ip4/127.0.0.1/tcp/0"}, AllowPrivate: true, NoDHT: true})
	if err != nil {
		panic(err)
	}
	cfg := starling.DevConfig()
	cfg.Static = static
	node, err := starling.New(cfg, c, w)
	if err != nil {
		panic(err)
	}
	if err := node.SetHandler(polite{}); err != nil {
		panic(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- node.Run(ctx) }()
	<-node.Ready()
	return node, w, ended
}

// Two nodes meet: one asks the other a question.
func ExampleClient_Request() {
	ctx, stop := context.WithCancel(context.Background())
	alice, aliceWire, ended1 := start(ctx, chaintest.NewChain(chaintest.Config{}))
	bob, _, ended2 := start(ctx, chaintest.NewChain(chaintest.Config{}), aliceWire.Addrs()[0].String())

	if err := bob.Client().WaitForPeers(ctx, 1); err != nil {
		fmt.Println(err)
	}
	answer, err := bob.Client().Request(ctx, alice.Client().Status().Self, "", []byte("hello"))
	fmt.Println(string(answer), err)

	stop()
	fmt.Println(<-ended1, <-ended2)
	// Output:
	// you said "hello" <nil>
	// <nil> <nil>
}

// A producer submits a block; a follower learns of it.
func ExampleClient_SubmitBlock() {
	ctx, stop := context.WithCancel(context.Background())
	blocks := chaintest.NewChain(chaintest.Config{})
	producer, producerWire, ended1 := start(ctx, blocks)
	follower, _, ended2 := start(ctx, chaintest.NewChain(chaintest.Config{}), producerWire.Addrs()[0].String())
	events := follower.Client().Subscribe(ctx, 0)

	if err := follower.Client().WaitForPeers(ctx, 1); err != nil {
		fmt.Println(err)
	}
	if err := producer.Client().SubmitBlock(ctx, blocks.Build(1)[0]); err != nil {
		fmt.Println(err)
	}
	for ev := range events.C() {
		if head, ok := ev.(starling.HeadChanged); ok {
			fmt.Println("head", head.Status.Head.Number)
			break
		}
	}

	stop()
	fmt.Println(<-ended1, <-ended2)
	// Output:
	// head 1
	// <nil> <nil>
}

// indexer is a service: a part that an embedder adds to a node.
type indexer struct{ client *starling.Client }

func (*indexer) Kind() string    { return "indexer" }
func (*indexer) Needs() []string { return nil }

func (x *indexer) Build(b *starling.Builder) (starling.Part, error) {
	x.client = b.Client()
	return x, nil
}

func (x *indexer) Run(ctx context.Context, ready func()) error {
	fmt.Println("started on", x.client.Status().Wire)
	ready()
	<-ctx.Done()
	fmt.Println("stopped before the wire")
	return nil
}

// A service starts when the wire listens, and stops before it.
func ExampleNode_Register() {
	ctx, stop := context.WithCancel(context.Background())
	c := chaintest.NewChain(chaintest.Config{})
	w, err := native.New(native.Config{Status: c.Status, Listen: []string{"/ip4/127.0.0.1/tcp/0"}})
	if err != nil {
		panic(err)
	}
	node, err := starling.New(starling.DevConfig(), c, w)
	if err != nil {
		panic(err)
	}
	fmt.Println(node.Register(&indexer{}))
	fmt.Println(node.Register(&indexer{}))

	ended := make(chan error, 1)
	go func() { ended <- node.Run(ctx) }()
	<-node.Ready()
	stop()
	fmt.Println(<-ended)
	// Output:
	// <nil>
	// starling: a service of kind "indexer" is registered already; kinds are unique
	// started on native
	// stopped before the wire
	// <nil>
}
