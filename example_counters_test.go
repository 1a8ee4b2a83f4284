package starling_test

import (
	"context"
	"fmt"

	"github.com/starlingp2p/starling"
	"github.com/starlingp2p/starling/chain/chaintest"
	"github.com/starlingp2p/starling/peer"
)

// An embedder makes its own metrics of the node's counters, which are plain
// data and wait for nothing.
func ExampleClient_Counters() {
	ctx, stop := context.WithCancel(context.Background())
	alice, aliceWire, ended1 := start(ctx, chaintest.NewChain(chaintest.Config{}))
	bob, _, ended2 := start(ctx, chaintest.NewChain(chaintest.Config{}), aliceWire.Addrs()[0].String())

	if err := bob.Client().WaitForPeers(ctx, 1); err != nil {
		fmt.Println(err)
	}
	if _, err := bob.Client().Request(ctx, alice.Client().Status().Self, "", []byte("hello")); err != nil {
		fmt.Println(err)
	}
	counters := bob.Client().Counters()
	asked := counters.Requests[starling.Exchange{Kind: "app", Result: starling.ResultOK}]
	fmt.Println("answered:", asked.Counts[len(asked.Counts)-1] == 0, "in under", asked.Bounds[len(asked.Bounds)-1])
	fmt.Println("refused for being full:", counters.Dials[starling.Outcome{Result: starling.ResultRefused, Reason: peer.TooManyInbound}])
	fmt.Println("alive:", bob.Client().Alive(ctx) == nil)

	stop()
	fmt.Println(<-ended1, <-ended2)
	// Output:
	// answered: true in under 30s
	// refused for being full: 0
	// alive: true
	// <nil> <nil>
}
