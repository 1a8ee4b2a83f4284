package daemon

import (
	"context"
	"testing"

	"github.com/starlingp2p/starling/chain"
)

// stillPool is a pool in which nothing happens.
type stillPool struct{ keptPool }

func (stillPool) Subscribe(context.Context) <-chan []chain.Tx { return nil }

// What is warmed cannot be broken off, and on a busy machine it takes longer than
// a stop may: the service ends without it.
func TestTheKeeperOfThePoolEndsBeforeItIsWarm(t *testing.T) {
	begun, release := make(chan struct{}), make(chan struct{})
	warmed := make(chan struct{})
	k := &poolKeeper{pool: stillPool{}, client: serveNode(t, newEthereum(t)).node.node.Client(), warm: func() {
		close(begun)
		<-release
		close(warmed)
	}}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- k.Run(ctx, func() {}) }()
	<-begun
	stop()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-inTime(t).Done():
		t.Error("it waits for what cannot be broken off")
	}
	close(release)
	<-warmed
}
