// Package ontology is the wire of Ontology networks: v1.0.0 and the newest
// release, on the same node.
//
// A Wire listens, dials and shakes hands as the peer's release does, and gives
// the node sessions: one link for everything and, with nodes before v1.7.0, a
// second one for consensus, which is attached only if address and nonce are
// those of a session. Package codec has the messages; docs/wire/ontology.md
// says what is spoken, and what is not. The node calls it through package wire.
//
// # What other modules could ask of v1.0.0's P2P actor, and whom to ask here
//
//	connection count     Client.Peers, its length
//	own id               Wire.Self
//	version, port        Config.Soft; Wire.Addrs
//	time                 the clock in wire.Skewed, and env.Wall
//	connection state     peer.Info of Client.Peers
//	neighbour addresses  peer.Info.Addr and Listen
//	relay state          always on: it is in each Version
//	node type            Config.Validator
//	transmit consensus   Client.SendConsensus
//	send a transaction   Client.PublishTxs
//	send a block         Client.PublishBlock, which announces it
//	send a hash          the same: peers fetch what they lack
//
// # What a hostile peer can do
//
// The link is neither encrypted nor authenticated, and who a peer is, is its
// word. So reputation goes by address (Caps.ProvenIdentity is false), and a
// nonce that somebody else has claimed first keeps nobody else's session from
// being: only a newer link of the same address takes an older one's place.
// Before a handshake is over a link costs a buffer of 16 KiB and frames of
// 1 KiB; it has 5 s to say its version and 10 s in all, and 64 of them are
// under way at once. What a command may carry is bounded for each; unknown
// ones are read past and counted; "disconnect" is obeyed by nobody. Work that
// messages cause waits in bounded queues by class, so that a stalled one holds
// up no other. Addresses count only in answer to a question of ours, and go to
// the node's book, which gives each source a credit; nothing here dials.
package ontology
