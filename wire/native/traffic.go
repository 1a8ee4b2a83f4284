package native

import (
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/internal/codec"
)

var _ wire.Metered = (*Wire)(nil)

// Traffic implements wire.Metered. Gossip counts every copy, duplicates too,
// and its data without what pubsub adds; an answer counts as one message.
func (w *Wire) Traffic() map[wire.TrafficKey]wire.Traffic { return w.traffic.Counts() }

// Protocols as they are counted.
const (
	onGossip    = "gossip"
	onRequest   = "request"
	onStatus    = "status"
	onConsensus = "consensus"
	onGoodbye   = "goodbye"
)

// countGossip counts a copy of a gossiped message. The topic is the peer's
// text, so only ours have a name of their own.
func (n *node) countGossip(topic string, inbound bool, bytes int) {
	kind := "other"
	switch names := n.w.names; topic {
	case names.Block:
		kind = "block"
	case names.Tx:
		kind = "txs"
	case names.Consensus:
		kind = "consensus"
	default:
		if _, ok := names.AppName(topic); ok {
			kind = "app"
		}
	}
	n.w.traffic.Count(onGossip, kind, inbound, bytes)
}

// countAsked counts a request and what came back for it, asked being who
// asked. Nothing is counted of a stream that carried nothing.
func (n *node) countAsked(kind string, byRemote bool, request, answer int) {
	if request > 0 {
		n.w.traffic.Count(onRequest, kind, byRemote, request)
	}
	if answer > 0 {
		n.w.traffic.Count(onRequest, kind+"-answer", !byRemote, answer)
	}
}

// count counts a message on a stream of frames.
func (n *node) count(protocol string, inbound bool, payload int) {
	n.w.traffic.Count(protocol, protocol, inbound, codec.FrameSize(payload))
}
