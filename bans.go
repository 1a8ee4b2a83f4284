package starling

import "time"

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
