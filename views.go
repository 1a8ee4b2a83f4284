package starling

import (
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// Peer is a peer with an open session, as the node sees it now.
type Peer struct {
	Info      peer.Info
	Claims    chain.Status // what it says of its chain
	Score     float64      // from -100 to 100
	Latency   time.Duration
	Static    bool // dialled for ever: static, or trusted unless the wire waits for those
	Trusted   bool
	Protected bool
}

// KnownPeer is an entry of the address book.
type KnownPeer struct {
	ID      peer.ID // empty where only the address is known
	Addr    peer.Addr
	Source  wire.Source
	Proven  bool        // a session was open there once
	Tried   time.Time   // the last dial; zero where there was none
	Seen    time.Time   // the last session; zero where there was none
	Avoided peer.Reason // why it is not dialled for now
}

// Status is where the node stands now.
type Status struct {
	Self              peer.ID
	Wire              string
	Addrs             []peer.Addr
	Chain             chain.Status
	Inbound, Outbound int
	Bans              int    // in force
	BansByScore       uint64 // ever, since the start
	Sync              SyncStatus
	ClockSuspect      bool
}

// SyncStatus is where the sync stands.
type SyncStatus struct {
	Mode      string // "starting", "idle", "synced", "forward", "backward", "behind", "stuck"
	Target    uint64 // the number that it works towards; 0: none
	Outdone   bool   // a peer claims more than we have, unproven
	Stuck     string // why it makes no progress; empty: it does, or need not
	Cause     string // a fixed word for Stuck
	BytesHeld int    // blocks in memory that wait
	Staged    int    // blocks on disk that a backward sync has fetched and not imported yet
}

// Peers are the open sessions.
func (c *Client) Peers() []Peer {
	var out []Peer
	dialled := !c.node.wire.Caps().TrustedCall
	for _, p := range c.node.swarm.Peers() {
		out = append(out, Peer{
			Info: p.Info, Claims: c.node.host.claims(p.Info.ID), Score: p.Score, Latency: p.RTT,
			Static: p.Static || p.Trusted && dialled, Trusted: p.Trusted, Protected: p.Protected,
		})
	}
	return out
}

// KnownPeers are peers of the address book, at most max of them.
func (c *Client) KnownPeers(max int) []KnownPeer {
	var out []KnownPeer
	for _, k := range c.node.swarm.Known(max) {
		out = append(out, KnownPeer{ID: k.ID, Addr: k.Addr, Source: k.Source, Proven: k.Tried, Tried: k.LastTry, Seen: k.LastOK, Avoided: k.Marked})
	}
	return out
}

// Status is where the node stands.
func (c *Client) Status() Status {
	n := c.node
	s := Status{Wire: n.wire.Caps().Name, Addrs: n.wire.Addrs(), Chain: n.chain.Status(), ClockSuspect: n.swarm.ClockSuspect()}
	if w, ok := n.wire.(wire.Identified); ok {
		s.Self = w.Self()
	}
	for _, p := range n.swarm.Peers() {
		if p.Info.Direction == peer.Inbound {
			s.Inbound++
		} else {
			s.Outbound++
		}
	}
	s.Bans = len(n.swarm.Bans())
	s.BansByScore = n.counts.bansByScore.Load()
	y := n.sync.Status()
	s.Sync = SyncStatus{Mode: string(y.Mode), Target: y.Target.Number, Outdone: y.Outdone, Stuck: y.StuckReason, Cause: string(y.StuckCause), BytesHeld: y.BytesHeld, Staged: y.Fetched}
	return s
}
