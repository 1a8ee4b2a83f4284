package daemon

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// aNode is whoever listens at an address, as the probers of each wire find it.
type aNode struct {
	libp2p   []string // the protocols that it speaks; nil: it does not speak libp2p
	ontology bool
	reason   peer.Reason // with which a greeting that it does not know ends
	asked    []string
}

func (n *aNode) kinds() []wireKind {
	kinds := wires()
	for i, k := range kinds {
		kinds[i].probe = func(context.Context, string, string, uint32) (wire.Probed, error) {
			n.asked = append(n.asked, k.name)
			refused := &peer.RefusedError{Reason: n.reason, Detail: "failed to dial nobody: all dials failed * [/ip4/127.0.0.1/tcp/1] what came"}
			switch {
			case k.find != nil && n.libp2p == nil:
				return wire.Probed{}, refused
			case k.find != nil:
				return wire.Probed{Peer: peer.Info{ID: "somebody", Protocols: n.libp2p}}, nil
			case !n.ontology:
				return wire.Probed{Steps: []wire.ProbeStep{{Name: "session", Err: refused}}}, nil
			}
			return wire.Probed{Peer: peer.Info{ID: "somebody"}}, nil
		}
	}
	return kinds
}

// HOST:PORT does not say what is spoken there; whoever answers does.
func TestTheWiresAreTriedInTurn(t *testing.T) {
	tests := []struct {
		name  string
		node  aNode
		wire  string
		speak []string // wires that are said to be spoken
		asked []string
	}{
		{"native", aNode{libp2p: []string{"/ipfs/id/1.0.0", "/starling/status/1"}}, "native", []string{"native"}, []string{"native"}},
		{"opstack", aNode{libp2p: []string{"/opstack/req/payload_by_number/10/0"}}, "opstack", []string{"opstack"}, []string{"native", "opstack"}},
		{"others on libp2p", aNode{libp2p: []string{"/ipfs/bitswap/1.2.0"}}, "native", nil, []string{"native"}},
		{"ontology", aNode{ontology: true, reason: peer.HandshakeFailed}, "ontology", []string{"ontology"}, []string{"native", "ontology"}},
		{"one who waits", aNode{ontology: true, reason: peer.DialTimeout}, "ontology", []string{"ontology"}, []string{"native", "ontology"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			k, _, tries, err := guess(t.Context(), tt.node.kinds(), "127.0.0.1:1")
			var speak []string
			for _, try := range tries {
				if try.Speaks {
					speak = append(speak, try.Wire)
				} else if try.Reason == "" {
					t.Errorf("%s is not spoken for no reason", try.Wire)
				}
			}
			if err != nil || k.name != tt.wire || !slices.Equal(speak, tt.speak) || !slices.Equal(tt.node.asked, tt.asked) {
				t.Errorf("wire %q after %q, %+v, %v; want %q after %q", k.name, tt.node.asked, tries, err, tt.wire, tt.asked)
			}
		})
	}
}

// Whoever speaks none is told what was tried; where nobody listens one try is enough.
func TestWhoSpeaksNoWireIsTold(t *testing.T) {
	mute := aNode{reason: peer.HandshakeFailed}
	_, _, tries, err := guess(t.Context(), mute.kinds(), "127.0.0.1:1")
	if len(tries) != 3 || !errors.Is(err, errNoWire) {
		t.Fatalf("%+v, %v", tries, err)
	}
	text := probeError("127.0.0.1:1", err).Error()
	for _, want := range []string{"127.0.0.1:1", "(native, opstack, ontology: handshake-failed: what came)", "--network ID", "enode://"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q does not say %q", text, want)
		}
	}
	if strings.Contains(text, "all dials failed") {
		t.Errorf("%q tells how libp2p dials", text)
	}
	gone := aNode{reason: peer.DialFailed}
	if _, _, tries, err := guess(t.Context(), gone.kinds(), "127.0.0.1:1"); err == nil || errors.Is(err, errNoWire) || len(tries) != 0 || len(gone.asked) != 1 {
		t.Errorf("where nobody listens %q were asked: %+v, %v", gone.asked, tries, err)
	}
}
