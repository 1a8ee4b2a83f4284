// Package devp2p is the wire of Ethereum's networks: RLPx over TCP, the base
// protocol, eth/68 to eth/70, and protocols of the embedder's beside them on
// one session. The bytes are in packages rlpx, base and eth below it;
// docs/wire/devp2p.md says what is spoken.
//
// The node calls it as a wire.Wire. It owns its listener, its links and every
// goroutine between them, and no opinion about peers: the Host decides who may
// stay. It asks Host.Admit before and after the handshakes and holds at most
// Config.MaxPending of them at once.
//
//	dial, accept → RLPx (5 s with Hello) → Admit with the identity → Hello → first to finish
//	      → Status both ways (5 s) → Host.Open → framed.Link, until it ends
//
// Of two links with one peer the one stays that finishes its Hello first. Where
// both sides dial at once, which they cannot see alike, the side with the higher
// identity decides and the other follows.
//
// # What a hostile peer can do
//
// Before Hello: claim lengths and send points off the curve, at the price that
// rlpx names; say nothing, for 5 s. Behind it: send messages of 10 MiB, out of
// the node's budget of memory; requests, of which 64 wait, one is served at a
// time, and each is bounded by the protocol's limits before the Host is asked;
// gossip, of which 64 messages or 12 MiB wait for the Host's check, the newest
// dropped; answers to nothing and unknown messages, which are counted and
// charged; pings, one a second of which are answered.
package devp2p
