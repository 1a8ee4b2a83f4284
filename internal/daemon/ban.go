package daemon

import (
	"context"
	"encoding/json"
	"time"

	"github.com/starlingp2p/starling/internal/rpc"
	"github.com/starlingp2p/starling/peer"
)

// BanReply is one entry of starling_bans.
type BanReply struct {
	Who     string    `json:"who"` // an identity or an address prefix
	Until   time.Time `json:"until"`
	Reason  string    `json:"reason"`
	ByScore bool      `json:"by_score"`
}

// Bounds of what starling_ban takes.
const (
	maxBanSeconds = 10 * 365 * 24 * 60 * 60
	maxBanReason  = 200 // bytes
	maxIDText     = 128 // bytes
)

func (n *Node) bans() []BanReply {
	out := []BanReply{}
	for _, b := range n.node.Client().Bans() {
		out = append(out, BanReply{Who: b.Who, Until: b.Until, Reason: b.Reason, ByScore: b.ByScore})
	}
	return out
}

// callBan takes an identity, seconds (0: the next step of the ladder) and a reason.
func (n *Node) callBan(ctx context.Context, params json.RawMessage) (any, error) {
	var (
		id, reason string
		seconds    int64
	)
	if err := rpc.Params(params, &id, &seconds, &reason); err != nil {
		return nil, err
	}
	if err := checkID(id); err != nil {
		return nil, err
	}
	if seconds < 0 || seconds > maxBanSeconds {
		return nil, rpc.BadParams("a ban of %d seconds, want 0 to %d", seconds, maxBanSeconds)
	}
	if len(reason) > maxBanReason {
		return nil, rpc.BadParams("reason has %d bytes, want at most %d", len(reason), maxBanReason)
	}
	return true, n.node.Client().Ban(ctx, peer.ID(id), time.Duration(seconds)*time.Second, reason)
}

func (n *Node) callUnban(ctx context.Context, params json.RawMessage) (any, error) {
	var id string
	if err := rpc.Params(params, &id); err != nil {
		return nil, err
	}
	if err := checkID(id); err != nil {
		return nil, err
	}
	return true, n.node.Client().Unban(ctx, peer.ID(id))
}

func checkID(id string) error {
	if id == "" || len(id) > maxIDText {
		return rpc.BadParams("identity has %d bytes, want 1 to %d", len(id), maxIDText)
	}
	return nil
}
