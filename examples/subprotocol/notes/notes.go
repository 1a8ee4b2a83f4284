package notes

import (
	"context"

	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire/devp2p"
)

// The protocol's name and version, and its messages.
const (
	Name    = "note"
	Version = 1

	ask      = 0
	answer   = 1
	messages = 2
)

// Notes speaks the protocol with the peers of one node.
type Notes struct {
	asks bool
	note string
	got  chan string
}

// New makes one that answers with a note, and asks every peer for its own first
// where asks is set.
func New(note string, asks bool) *Notes { return &Notes{asks, note, make(chan string, 1)} }

// Got are the notes of peers; of those that nobody takes, the first is kept.
func (n *Notes) Got() <-chan string { return n.got }

// Protocol is how the wire knows it.
func (n *Notes) Protocol() devp2p.Protocol {
	return devp2p.Protocol{
		Name: Name, Version: Version, Length: messages, Run: n.run,
		NodeInfo: func() any { return map[string]any{"asks": n.asks} }, // as admin_nodeInfo shows it
		PeerInfo: func(peer.ID) any { return map[string]any{"notes": "one"} },
	}
}

// run speaks with one peer until the session ends; when it returns, that ends.
func (n *Notes) run(ctx context.Context, s *devp2p.Stream) error {
	if n.asks {
		if err := s.Write(ctx, ask, []byte("who are you?")); err != nil {
			return err
		}
	}
	for {
		p, err := s.Read(ctx)
		if err != nil {
			return err
		}
		if p.Code == ask {
			if err := s.Write(ctx, answer, []byte(n.note)); err != nil {
				return err
			}
			continue
		}
		select {
		case n.got <- string(p.Payload):
		default:
		}
	}
}
