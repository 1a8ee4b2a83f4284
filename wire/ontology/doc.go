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
//	StopServer            the end of Node.Run's context
//	GetConnectionCnt      Client.Status, Inbound and Outbound; Client.Peers
//	GetId                 Client.Status, Self (NonceOf gives its number)
//	GetPort               Client.Status, Addrs
//	GetSyncPort           the same; GetConsPort: Config.ConsensusListen (v1.0.0 says 0 to both)
//	GetVersion            Client.Peers tells each peer's (Agent); ours is Config.Soft, the protocol's 0
//	GetTime               env.Wall; Client.Status tells whether the peers' clocks agree
//	GetConnectionState    Client.Peers: whoever is listed is established
//	GetNeighborAddrs      Client.Peers, Addr and Listen; Client.KnownPeers has those without a session
//	GetRelayState         always on: it is in each Version
//	GetNodeType           Config.Validator
//	TransmitConsensusMsg  Client.SendConsensus to one peer
//	Xmit of a transaction Client.PublishTxs
//	Xmit of a block       Client.PublishBlock, which announces it
//	Xmit of consensus     Client.SendConsensus to all
//	Xmit of a hash        Client.PublishBlock or PublishTxs: peers fetch what they lack
//
// # What a hostile peer can do
//
// The link is neither encrypted nor authenticated, and who a peer is, is its
// word. So reputation goes by address (Caps.ProvenIdentity is false), and a
// session is known by nonce and address: a nonce that somebody else has claimed
// first keeps nobody's session from being, and only a newer link of the same
// address takes an older one's place.
// Before a handshake is over a link costs a buffer of 16 KiB and frames of
// 1 KiB; it has 5 s to say its version and 10 s in all, and 64 of them are
// under way at once. A session costs less than 16 MiB, whatever it sends: what
// nobody asked for is read past, transactions of a block are not kept, and of
// blocks that nobody has taken yet 5 MiB are. What a command may carry is bounded for each; unknown
// ones are read past and counted; "disconnect" is obeyed by nobody. Work that
// messages cause waits in bounded queues by class, so that a stalled one holds
// up no other. Addresses count only in answer to a question of ours, and go to
// the node's book, which gives each source a credit; nothing here dials.
package ontology
