// Package relay spreads transactions and blocks on wires that gossip by
// session: it pushes in full, announces, and fetches what others announced.
// Wires with topics do not need it.
//
// Core is the decider: pure, told what happened (Event), and saying what to do
// (Effect). It holds hashes, never the bytes of a transaction: those stay in
// the pool until the moment of sending. Relay is the thin shell around it: one
// goroutine that owns the core, and for each peer one that sends and one that
// fetches. The node calls Relay; nothing here calls upwards except through the
// functions in Config.
//
// # Transactions
//
// A new transaction goes in full to a few peers, chosen by a keyed hash over
// peer and sender, so that one sender's transactions take one way and arrive in
// order; the others hear its hash. What is too large, and what the wire never
// pushes, is only announced. How many hear it at once, and whether the rest
// hear it later, is the Policy. A peer that is known to have a transaction is
// never told of it.
//
// What a peer announces, and our pool lacks, waits half a second for somebody
// to push it, and is then asked for: of one peer at a time, one request to a
// peer, with the next announcer's turn if it does not come.
//
// # Blocks
//
// A block goes in full to the root of the number of peers that lack it, once it
// has passed its check and its parent is known, and is announced to the others
// once it is part of our chain. Fetching announced blocks is the sync's work.
//
// # A new peer
//
// hears of all that is pending, in packs; one pack is under way at a time over
// all new peers, the next of them is drawn at random, and one that cannot be
// sent to loses what was left.
//
// # What a hostile peer can do
//
// It can announce what does not exist: 4096 hashes wait at the most, more are
// dropped and cost it; each costs one request of ours, and it is asked only
// while it answers. It cannot make us ask two peers for one transaction at a
// time, nor the same peer twice for one. It can lie about kind and size, and
// pays when it delivers; a peer that announced the same honestly does not.
// Queues to a peer that does not read are bounded, the oldest goes first.
// Every drop is counted by its reason.
package relay
