// Package opstack is the wire of OP Stack networks: a member that op-node
// v1.14 to v1.19 and Kona take for one of theirs. docs/wire/opstack.md writes
// down what it speaks.
//
//   - The host is libp2p over TCP with Noise, then yamux, or mplex for peers
//     that need it. There is no handshake of the chain's own: a connection is a
//     session once identify names no other chain. What a peer has is known by
//     the blocks that its gossip brings.
//   - Blocks are gossiped on four topics, one for each payload version. A
//     message is decompressed once; copies are known by their compressed bytes.
//     The validation table is package codec/rules: the wire runs its first part,
//     the chain behind Host.Check the rest.
//   - Blocks are asked for by number, one a request, at a pace that op-node
//     serves, and served at twice the pace at which op-node asks. Starlings know
//     each other and ask for ranges, by the native wire's request layer.
//
// The node calls it through the contracts of package wire; it calls the
// wire.Host. A hostile peer can make it decompress and hash what it gossips, at
// most four messages of a topic at once, and read one block a request within
// the peer's own rate. Every queue is bounded; what is dropped is counted.
package opstack
