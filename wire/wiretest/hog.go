package wiretest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

func hogChecks() []Check {
	return []Check{
		{Name: "OnePeerDoesNotFillTheQueue", Rule: "a peer whose gossip is slow to check does not keep that of others waiting (G-11)", run: oneHog, needs: func(c wire.Caps, w World) bool {
			return c.Gossip == wire.GossipTopics && w.Patience > 0 // or a busy machine is taken for a slow wire
		}},
	}
}

// hogs is how many blocks the hog has gossiped when somebody else has one;
// hogWait how long that may take to be checked.
const (
	hogs    = 40
	hogWait = 250 * time.Millisecond
)

func oneHog(l *lab) error {
	release, held := make(chan struct{}), make(chan struct{}, hogs)
	defer close(release)
	var hog peer.ID
	host := &Host{}
	host.OnCheck = func(ctx context.Context, s wire.Session, _ wire.Message) chain.Verdict {
		if s.Peer().ID == hog {
			held <- struct{}{}
			select {
			case <-release:
			case <-ctx.Done():
			}
		}
		return chain.Accepted()
	}
	// The hog and the honest one know the victim only, which is between them.
	a, b, c, err := l.line(nil, host, nil)
	if err != nil {
		return err
	}
	self, ok := a.wire.(wire.Identified)
	if !ok {
		return errors.New("a wire of topics is no wire.Identified")
	}
	hog = self.Self()
	for i := range hogs {
		if _, err := a.wire.(wire.Publisher).Publish(l.ctx, wire.Block{Block: l.block(byte(i+1), 100)}); err != nil {
			return fmt.Errorf("Publish: %w", err)
		}
	}
	if err := arrives(l, held, "a block of the hog's at Host.Check"); err != nil {
		return err
	}
	honest := l.block(hogs+1, 100)
	start := time.Now()
	if _, err := c.wire.(wire.Publisher).Publish(l.ctx, wire.Block{Block: honest}); err != nil {
		return fmt.Errorf("Publish: %w", err)
	}
	if err := l.until("the honest block at Host.Check", func() bool { return len(blocksOf(b.host)) > 0 }, b); err != nil {
		return err
	}
	if took := time.Since(start); took > hogWait {
		return fmt.Errorf("an honest block was checked after %v behind a hog, want at most %v", took, hogWait)
	}
	if got := blocksOf(b.host)[0]; got != honest.Ref() {
		return fmt.Errorf("block %v was checked first, want the honest %v", got, honest.Ref())
	}
	return nil
}
