package daemon

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/starlingp2p/starling/internal/rpc"
	"github.com/starlingp2p/starling/peer"
)

// PingReply answers starling_ping.
type PingReply struct {
	V  int     `json:"v"`
	Ms float64 `json:"ms"`
}

// callPing measures the round trip to a peer that has a session.
func (n *Node) callPing(ctx context.Context, params json.RawMessage) (any, error) {
	var id string
	if err := rpc.Params(params, &id); err != nil {
		return nil, err
	}
	if err := checkID(id); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	took, err := n.node.Client().Ping(ctx, peer.ID(id))
	if err != nil {
		return nil, err
	}
	return PingReply{V: 1, Ms: float64(took.Microseconds()) / 1000}, nil
}

// pingTimeout bounds the wait for a pong.
const pingTimeout = 10 * time.Second

// AddrForm names the form of an address by its look: "enode", "enr",
// "multiaddr", "host:port", or empty.
func AddrForm(text string) string {
	switch {
	case strings.HasPrefix(text, "enode://"):
		return "enode"
	case strings.HasPrefix(text, "enr:"):
		return "enr"
	case strings.HasPrefix(text, "/"):
		return "multiaddr"
	}
	if at := strings.LastIndexByte(text, ':'); at > 0 && at+1 < len(text) && strings.Trim(text[at+1:], "0123456789") == "" {
		return "host:port"
	}
	return ""
}

// addrForms are the forms that a wire can dial, and one written out.
func addrForms(wire string) (forms []string, example string) {
	switch wire {
	case "opstack":
		return []string{"multiaddr", "enr", "enode"}, "/ip4/1.2.3.4/tcp/9222/p2p/ID or enr:…"
	case "devp2p":
		return []string{"enode", "enr"}, "enode://KEY@1.2.3.4:30303 or enr:…"
	case "ontology":
		return []string{"host:port"}, "1.2.3.4:20338"
	}
	return []string{"multiaddr"}, "/ip4/1.2.3.4/tcp/4001/p2p/ID"
}

// CheckAddr says of an address that a wire cannot take what it does take. What
// passes may be wrong for other reasons, which the wire tells.
func CheckAddr(wire, text string) error {
	forms, example := addrForms(wire)
	switch form := AddrForm(text); {
	case form == "":
		return fmt.Errorf("%.120q is no address; the wire %s takes %s", text, wire, example)
	case !slices.Contains(forms, form):
		return fmt.Errorf("%.120q is of the form %s, which the wire %s cannot dial; it takes %s", text, form, wire, example)
	}
	return nil
}
