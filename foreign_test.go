package starling_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/starlingp2p/starling"
	"github.com/starlingp2p/starling/chain"
)

// A block of somebody else's is published before its ancestors are here, and
// they are fetched; one that only the caller vouches for is told to nobody.
func TestBlocksOfOthersAreTakenAheadOfTheirParents(t *testing.T) {
	for name, give := range map[string]func(*starling.Client, *testing.T, chain.Block) error{
		"published": func(c *starling.Client, t *testing.T, b chain.Block) error {
			r, err := c.PublishBlock(t.Context(), b)
			if err == nil && r.Queued != 1 {
				t.Errorf("receipt %+v, want one copy queued", r)
			}
			return err
		},
		"trusted": func(c *starling.Client, t *testing.T, b chain.Block) error { return c.TrustBlock(t.Context(), b) },
	} {
		t.Run(name, func(t *testing.T) {
			a := newMember(t, nil).run()
			b := newMember(t, nil, a).run()
			await(a, func(e starling.TopicChanged) bool { return e.Joined && strings.HasSuffix(e.Topic, "/block/1") })
			blocks := b.chain.Build(4)
			for _, blk := range blocks[:3] { // not of the network's topics: nobody hears of them
				if err := b.client.ImportBlock(t.Context(), blk); err != nil {
					t.Fatal(err)
				}
			}
			if err := give(a.client, t, blocks[3]); err != nil {
				t.Fatal(err)
			}
			await(a, func(e starling.HeadChanged) bool { return e.Status.Head == blocks[3].Ref() })
			if name == "published" {
				await(b, func(e starling.HeadChanged) bool { return e.Status.Head == blocks[3].Ref() })
			} else if got := b.chain.Status().Head; got != blocks[2].Ref() {
				t.Errorf("the other's head is %v: it was told", got)
			}
			forged := a.chain.Forge(b.chain.Build(6)[5])
			if _, err := a.client.PublishBlock(t.Context(), forged); !errors.Is(err, chain.ErrUnknownParent) {
				t.Errorf("PublishBlock of a forged block = %v, want ErrUnknownParent", err)
			}
		})
	}
}
