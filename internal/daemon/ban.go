package daemon

import (
	"context"
	"encoding/json"
	"net/netip"
	"strings"
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
	MaxBanFor     = maxBanSeconds * time.Second
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

// callBan takes an identity, an address or a prefix, seconds (0: the next step
// of the ladder), a reason, and whether to force it.
func (n *Node) callBan(ctx context.Context, params json.RawMessage) (any, error) {
	var (
		who, reason string
		seconds     int64
		force       bool
	)
	if err := rpc.Params(params, &who, &seconds, &reason, &force); err != nil {
		return nil, err
	}
	if seconds < 0 || seconds > maxBanSeconds {
		return nil, rpc.BadParams("a ban of %d seconds, want 0 to %d", seconds, maxBanSeconds)
	}
	if len(reason) > maxBanReason {
		return nil, rpc.BadParams("reason has %d bytes, want at most %d", len(reason), maxBanReason)
	}
	id, prefix, err := whom(who)
	if err != nil {
		return nil, err
	}
	d := time.Duration(seconds) * time.Second
	if prefix.IsValid() {
		return true, n.node.Client().BanPrefix(ctx, prefix, d, reason, force)
	}
	if id, err = identity(n.stack.wire.Caps().Name, id); err != nil {
		return nil, err
	}
	return true, n.node.Client().Ban(ctx, id, d, reason)
}

func (n *Node) callUnban(ctx context.Context, params json.RawMessage) (any, error) {
	var who string
	if err := rpc.Params(params, &who); err != nil {
		return nil, err
	}
	id, prefix, err := whom(who)
	if err != nil {
		return nil, err
	}
	if prefix.IsValid() {
		return true, n.node.Client().UnbanPrefix(ctx, prefix)
	}
	return true, n.node.Client().Unban(ctx, id)
}

// whom reads what a ban is about: an identity, or a prefix, of full length
// where it is one address.
func whom(text string) (peer.ID, netip.Prefix, error) {
	if err := checkID(text); err != nil {
		return "", netip.Prefix{}, err
	}
	if a, err := netip.ParseAddr(text); err == nil {
		a = a.WithZone("").Unmap()
		return "", netip.PrefixFrom(a, a.BitLen()), nil
	}
	if p, err := netip.ParsePrefix(text); err == nil {
		return "", p.Masked(), nil
	}
	if strings.ContainsAny(text, "/@") {
		return "", netip.Prefix{}, rpc.BadParams("%.100q is neither an identity nor an IP address nor a prefix as in \"192.0.2.0/24\"", text)
	}
	return peer.ID(text), netip.Prefix{}, nil
}

// identity refuses what can be nobody's identity on a wire: a ban of it would
// keep nobody away, and look as if it did. Where addresses of a wire hold no
// identity, only what was meant as an address is refused.
func identity(wire string, id peer.ID) (peer.ID, error) {
	bad := func(want string) error {
		return rpc.BadParams("%.100q is no identity of the wire %s; want %s, an IP address or a prefix as in \"192.0.2.0/24\"", string(id), wire, want)
	}
	if strings.ContainsAny(string(id), ".:/@ ") {
		return "", bad("an identity")
	}
	k, err := kindOf(wire)
	if err != nil || !strings.Contains(k.example, "ID") {
		return id, nil
	}
	addr, err := k.addrs.ParseAddr(strings.Replace(k.example, "ID", string(id), 1))
	if err != nil {
		return "", bad("the ID in " + k.example)
	}
	_, known, ok := k.addrs.Locate(addr)
	if !ok || known == "" {
		return "", bad("the ID in " + k.example)
	}
	return known, nil
}

func checkID(id string) error {
	if id == "" || len(id) > maxIDText {
		return rpc.BadParams("identity has %d bytes, want 1 to %d", len(id), maxIDText)
	}
	return nil
}
