package starling

import (
	"context"
	"net/netip"
	"time"

	"github.com/starlingp2p/starling/internal/swarm"
)

// Ban is a ban in force.
type Ban struct {
	Who     string // an identity or an address prefix
	Until   time.Time
	Reason  string
	ByScore bool
}

// Bans are the bans in force, those of identities before those of prefixes.
func (c *Client) Bans() []Ban {
	var out []Ban
	for _, b := range c.node.swarm.Bans() {
		out = append(out, Ban{Who: b.Target.String(), Until: b.Until, Reason: b.Reason, ByScore: b.Auto})
	}
	return out
}

// BanPrefix is Ban for all addresses in a prefix; 0 is an hour. Without force,
// one that is wider than /16 (IPv6: /32), or that holds a static or trusted
// peer, is refused.
func (c *Client) BanPrefix(ctx context.Context, p netip.Prefix, d time.Duration, reason string, force bool) error {
	if err := c.ready(); err != nil {
		return err
	}
	if force {
		return c.node.swarm.ForceBan(ctx, swarm.ByPrefix(p), d, reason)
	}
	return c.node.swarm.Ban(ctx, swarm.ByPrefix(p), d, reason)
}

// UnbanPrefix lifts a ban of a prefix, which is given exactly as it was banned.
func (c *Client) UnbanPrefix(ctx context.Context, p netip.Prefix) error {
	if err := c.ready(); err != nil {
		return err
	}
	return c.node.swarm.Unban(ctx, swarm.ByPrefix(p))
}
