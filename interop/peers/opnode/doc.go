// Package opnode runs op-node's own P2P stack as a process that a test steers:
// the host, gossip, discovery and the sync server of a rollup node, over a chain
// that is a pure function of its parameters. It never imports Starling.
//
// A module for each release links it with that release of op-node. Package steer
// tells how it is spoken to. Its commands:
//
//	start      Params: Start. Answers Ready.
//	connect    Addr: a multiaddr.
//	disconnect Peer.
//	peers      Answers the connected peers' IDs.
//	topics     Answers how many peers listen on each of the four topics.
//	meshes     Answers how many peers the mesh of each of them has.
//	block      Number: of the chain. Answers Block.
//	publish    Number: signs and gossips that block; Mode, unless empty, spoils it: bad-signature, bad-hash.
//	sync       Number and End: asks the sync client for the blocks between them (v1.19.0).
//	request    Peer and Number: asks by the raw protocol. Answers the bytes in hex.
//	opp2p      Addr: a URL or a socket's path; calls every method of opp2p_* there with op-node's own client. Params: a
//	           token, if it needs one.
//	measure    Params: Measure. Judges gossiped messages as op-node does, and answers Measured.
//	served     Answers how often each block was served, by its number.
//	scores     Answers op-node's gossip scores of its peers.
package opnode
