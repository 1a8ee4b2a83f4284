// Package rules says which blocks of an OP Stack network may be relayed. It is
// the validation table of op-node v1.19.6 (op-node/p2p/gossip.go,
// BuildBlocksValidator) as a list of named checks: see Checks.
//
// A Rules is made once for a network, by its ledger family, and shared with
// its wire, since each runs a part of the table: the wire what is cheaper
// before decoding (Unpack, Receive), the family, behind the node's validation
// pool and its guard against a wrong clock, the rest (Judge). What the wire
// found is remembered, so that no signature and no root is computed twice for
// one message. A block that did not come through the wire is judged whole.
//
// It owns the signers, the hashes seen at recent heights, and that memory; all
// are bounded and safe for concurrent use. It starts no goroutine.
//
// A hostile peer can make it decompress and hash a message and recover one
// public key; only what the sequencer signed gets any further, and only that
// enters a memory.
package rules
