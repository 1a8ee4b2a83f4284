// Package relay spreads transactions and blocks on wires that gossip by
// session: it pushes in full, announces, and fetches what others announced.
// Wires with topics do not need it.
//
// Core is the decider: pure, told what happened (Event), and saying what to do
// (Effect). It holds hashes, never the bytes of a transaction: those stay in
// the pool until the moment of sending. Relay is the thin shell around it: one
// goroutine that owns the core, and for each peer one that sends, one that
// fetches transactions and one that fetches blocks. The node calls Relay;
// nothing here calls upwards except through the functions in Config.
//
// # Transactions
//
// A new transaction goes in full to a few peers, chosen by a keyed hash over
// peer and sender, so that one sender's transactions take one way and arrive in
// order; the others hear its hash. What is too large, and what the wire never
// pushes, is only announced. How many hear it at once, and whether the rest
// hear it later, is the Policy. A peer that is known to have a transaction is
// never told of it. Answers follow the policy too: while a transaction is told
// to few, it is given to those who were told, and a peer that was given it
// counts as one that has it.
//
// What a peer announces, and our pool lacks, waits half a second for somebody
// to push it, and is then asked for: of one peer at a time, one request to a
// peer, with the next announcer's turn if it does not come.
//
// # Blocks
//
// A block goes in full to the root of the number of peers that lack it, once it
// has passed its check and its parent is known, and is announced to the others
// once it is part of our chain. Where nothing tells a forged block
// (CoreConfig.OwnBlocksOnly), that holds for our own blocks only: whoever can tell
// one drops the peer that passed it on, so one lie would cost us all honest peers.
//
// A block that a peer announces, and our chain lacks, is fetched as geth fetched
// it up to v1.13 (eth/fetcher/block_fetcher.go), if its number is at most 7 under
// our head and 32 over it. It waits half a second for somebody to push it
// (arriving). Then its header is asked for by hash (fetching), 100 ms later its
// body together with others (gathering, completing), and the block takes the way
// of one that was pushed (handed): check, push, import, announcement. A header
// whose parent is fetched too, or was pushed, waits for it to be imported (linking). One peer is
// asked for a block at a time, and one request is under way with a peer; who does
// not answer within 5 s rests, and the next who announced the block has its turn.
// Of one peer 256 announcements wait at the most, and 64 headers without their
// import, or 256 KiB of them. Differently from geth, the body of an empty block is asked for as any
// other: what is empty is the chain's to know.
//
// What is not fetched, or not to its end, is a hint to the sync: what comes before
// the gate opens, is too far from our head, or over the bounds; whose parent is
// not known; what nobody delivered. So are those who announced a block, once it is
// imported.
//
// # The gate
//
// Until the chain is in sync, what is announced is dropped, at nobody's charge,
// and no block is told of: all of it would be judged at an old head. Whoever
// makes blocks opens the gate too. That nobody claims more opens it as well; it
// shuts again for the first peer that does, until a sync has come to its end once.
// What is sought as it shuts is let go, and of blocks the sync gets a hint.
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
//
// The same holds for blocks: what it announces and does not deliver costs one
// request each, at a pace that falls to one a minute, and every third silence
// costs it; another header than that of the hash, or another number than it
// announced, costs it at once, and a block that the chain rejects costs its
// deliverer what pushing it would. Every thousand announcements a minute that are
// not taken, since too many wait or they are far from our head, cost it too. It can
// make us hold 64 headers, of 256 KiB and one more, and one answer, and hold one
// block up for 5 s.
//
// Queues to a peer that does not read are bounded, the oldest goes first.
// Every drop is counted by its reason.
package relay
