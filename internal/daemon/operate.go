package daemon

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/starlingp2p/starling/internal/rpc"
	"github.com/starlingp2p/starling/internal/why"
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
	host, port, err := net.SplitHostPort(text)
	if err != nil || host == "" || strings.ContainsAny(host, "/ ") {
		return ""
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return ""
	}
	return "host:port"
}

// ConfigReply answers starling_config, and is what "config dump" prints.
type ConfigReply struct {
	V      int     `json:"v"`
	Path   string  `json:"path"`
	Values []Value `json:"values"`
}

// Reply is the config with the origin of each value. No value is a secret: keys
// and tokens are named by their files.
func (c *Config) Reply() ConfigReply { return ConfigReply{V: 1, Path: c.path, Values: c.Values()} }

// config is the one that the node was started with, and what it took over since.
func (n *Node) config() ConfigReply {
	if n.reloads != nil {
		if now := n.reloads.now.Load(); now != nil {
			return now.Reply()
		}
	}
	return n.cfg.Reply()
}

// kindOf finds a wire by its name.
func kindOf(name string) (wireKind, error) {
	for _, k := range wires() {
		if k.name == name {
			return k, nil
		}
	}
	return wireKind{}, fmt.Errorf("wire %.40q, this program has %q", name, WireNames())
}

// takes reports whether a wire can dial an address of that form, if need be
// after asking who is there.
func (k wireKind) takes(form string) bool {
	return slices.Contains(k.forms, form) || slices.Contains(k.found, form)
}

// isSpoken reports whether a protocol of the wire is among what somebody speaks.
func (k wireKind) isSpoken(protocols []string) bool {
	return k.marks != nil && slices.ContainsFunc(protocols, k.marks)
}

// refuses says what is wrong with an address that a wire cannot take, by its form.
func (k wireKind) refuses(text string) error {
	more := ""
	if slices.Contains(k.found, "host:port") {
		more = " or HOST:PORT"
	}
	switch form := AddrForm(text); {
	case form == "":
		return fmt.Errorf("%.120q is no address; the wire %s takes %s%s", text, k.name, k.example, more)
	case !k.takes(form):
		return fmt.Errorf("%.120q is of the form %s, which the wire %s cannot dial; it takes %s%s", text, form, k.name, k.example, more)
	}
	return nil
}

// findTimeout bounds the question who is at an address.
const findTimeout = 15 * time.Second

// FullAddr gives an address as a wire dials it. One that the wire cannot take
// is an error that says what it does take; HOST:PORT may be completed by asking
// who is there, which blocks. What passes may be wrong for other reasons, which
// the wire tells.
func FullAddr(ctx context.Context, wire, text string) (string, error) {
	k, err := kindOf(wire)
	if err != nil {
		return "", err
	}
	if err := k.refuses(text); err != nil {
		return "", &AddrError{err}
	}
	if !slices.Contains(k.found, AddrForm(text)) {
		if _, err := k.addrs.ParseAddr(text); err != nil {
			return "", &AddrError{withoutPackage(err)}
		}
		return text, nil
	}
	ctx, cancel := context.WithTimeout(ctx, findTimeout)
	defer cancel()
	a, err := k.find(ctx, text, why.ProberAgent+Version)
	if err != nil {
		return "", probeError(text, err)
	}
	return a.Text, nil
}

// AddrError is an address that a wire does not take.
type AddrError struct{ Err error }

func (e *AddrError) Error() string { return e.Err.Error() }
func (e *AddrError) Unwrap() error { return e.Err }
