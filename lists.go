package starling

import (
	"context"

	"github.com/starlingp2p/starling/peer"
)

// AddStatic has an address dialled for ever, as Config.Static does;
// RemoveStatic ends that, and a session with it goes on as an ordinary one.
func (c *Client) AddStatic(ctx context.Context, address string) error {
	return c.list(ctx, address, c.node.swarm.AddStatic)
}

// RemoveStatic takes an address off the static list; one that is not on it is
// an error.
func (c *Client) RemoveStatic(ctx context.Context, address string) error {
	return c.list(ctx, address, c.node.swarm.RemoveStatic)
}

// AddTrusted is AddStatic, for a peer that is admitted over every limit; on devp2p
// it is not dialled for that.
func (c *Client) AddTrusted(ctx context.Context, address string) error {
	return c.list(ctx, address, c.node.swarm.AddTrusted)
}

// RemoveTrusted takes an address off the trusted list.
func (c *Client) RemoveTrusted(ctx context.Context, address string) error {
	return c.list(ctx, address, c.node.swarm.RemoveTrusted)
}

// AddSeed has an address dialled when peers run low, as Config.Seeds does.
func (c *Client) AddSeed(ctx context.Context, address string) error {
	return c.list(ctx, address, c.node.swarm.AddSeed)
}

// RemoveSeed takes an address off the seeds.
func (c *Client) RemoveSeed(ctx context.Context, address string) error {
	return c.list(ctx, address, c.node.swarm.RemoveSeed)
}

func (c *Client) list(ctx context.Context, address string, change func(context.Context, peer.Addr) error) error {
	if err := c.ready(); err != nil {
		return err
	}
	a, err := c.node.wire.ParseAddr(address)
	if err != nil {
		return err
	}
	return change(ctx, a)
}
