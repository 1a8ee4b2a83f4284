package starling

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// Handler is the application's side of its own messages. The node calls it
// from a bounded pool, several calls at once; without one, requests are
// refused and topics ignored.
type Handler interface {
	// HandleRequest answers a peer's request, which is at most 1 MiB; so is the
	// answer. An error refuses it; its text does not reach the peer.
	HandleRequest(ctx context.Context, from peer.ID, req []byte) ([]byte, error)
	// HandleBroadcast judges a message on one of the application's topics: only
	// what it accepts is relayed, and what it rejects is charged to the peer
	// that delivered it.
	HandleBroadcast(ctx context.Context, from peer.ID, topic string, msg []byte) chain.Verdict
}

// SetHandler sets the application's handler, once and before Run.
func (n *Node) SetHandler(h Handler) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.started {
		return ErrTooLate
	}
	if n.handler != nil {
		return fmt.Errorf("starling: a handler of type %T is set already", n.handler)
	}
	n.handler = h
	return nil
}

// protocolName is the form of a Protocol's Name.
var protocolName = regexp.MustCompile(`^[a-z0-9._-]{1,64}$`)

// addProtocols takes the protocols that a part brings.
func (n *Node) addProtocols(ps []Protocol) error {
	for _, p := range ps {
		if !protocolName.MatchString(p.Name) {
			return fmt.Errorf("it brings a protocol named %.80q; a name has 1 to 64 of a-z, 0-9, '.', '_' and '-'", p.Name)
		}
		if _, taken := n.protocols[p.Name]; taken {
			return fmt.Errorf("protocol %q is another service's, or twice in this one", p.Name)
		}
		if p.Request == nil && p.Broadcast == nil {
			return fmt.Errorf("protocol %q has neither Request nor Broadcast", p.Name)
		}
		n.protocols[p.Name] = p
	}
	return nil
}

// joinTopics joins the topics that services brought.
func (n *Node) joinTopics(ctx context.Context) error {
	for _, name := range slices.Sorted(maps.Keys(n.protocols)) {
		if n.protocols[name].Broadcast == nil {
			continue
		}
		t, ok := n.wire.(wire.Topical)
		if !ok {
			return fmt.Errorf("starling: topic %q: %w", name, wire.ErrUnsupported)
		}
		if err := t.JoinTopic(ctx, name); err != nil {
			return fmt.Errorf("starling: topic %q: %w", name, err)
		}
	}
	return nil
}

// answerApp answers a request of the application or of a service.
func (n *Node) answerApp(ctx context.Context, from peer.ID, r wire.AppRequest) ([]byte, error) {
	if r.Protocol == "" {
		if n.handler == nil {
			return nil, &wire.Refusal{Code: wire.RefusedUnsupported, Text: "no handler"}
		}
		return n.handler.HandleRequest(ctx, from, r.Bytes)
	}
	p, ok := n.protocols[r.Protocol]
	if !ok || p.Request == nil {
		return nil, &wire.Refusal{Code: wire.RefusedUnsupported, Text: "no such protocol"}
	}
	return p.Request(ctx, from, r.Bytes)
}

// judgeApp judges a broadcast of the application or of a service.
func (n *Node) judgeApp(ctx context.Context, from peer.ID, m wire.App) chain.Verdict {
	if p, ok := n.protocols[m.Topic]; ok && p.Broadcast != nil {
		return p.Broadcast(ctx, from, m.Bytes)
	}
	if n.handler == nil {
		return chain.Ignored("no-handler")
	}
	return n.handler.HandleBroadcast(ctx, from, m.Topic, m.Bytes)
}
