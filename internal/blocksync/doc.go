// Package blocksync brings the chain to the best head that peers can prove,
// and keeps it there: forward from our head to a peer's, backward from a block
// that we trust to our head, and along with gossip once we are there.
//
// Core is the scheduler: pure, one for both directions. It is told what
// happened (Input), and says what to do (Effect): ask a peer, verify, stage,
// import, charge. Sync is the thin shell around it: one goroutine that owns
// the core, workers that ask and verify, and one goroutine that alone calls
// the chain's Importer. The node calls Sync; nothing here calls upwards except
// through the functions in Config.
//
// # Forward
//
// The common ancestor with a peer is probed by number (by hash where the wire
// has no numbers): our head first, then back in doubling steps, then halving.
// From there that peer, the master, gives headers, verified in batches as they
// come; all peers give the bodies of verified headers, by measured capacity;
// bodies are verified in parallel and imported in order. A master that fails
// is replaced without starting again. Wires without headers fetch whole blocks
// from all peers instead. Masters are chosen by what they deliver: a claim only
// says that a peer is worth asking. Strangers lead in the order in which they
// came, while nobody who delivered before can; those next in line are asked for
// a header meanwhile, and who is there takes over.
//
// # Backward
//
// A trusted hash names its parent, and so on down. What counts as trusted: a
// target of SetTarget, and the parent of a block that was offered, since
// only blocks that Checker.Check accepted, authentic ones, may be offered.
// Offered blocks whose parent is missing wait in quarantine (memory, bounded);
// what links to the target but not yet to our chain is staged (disk, found
// again after a crash); what links to both is imported. Headers come by hash
// from the trusted one downwards, one answer overlapping the next by one,
// since a header's hash is proven only together with its parent. On a wire
// without headers, ranges of blocks are asked by number in parallel; such a
// wire must itself compute Ref.Hash from the bytes. Headers that the chain cannot
// judge from above (chain.ErrUnjudged) end the job, and a sync forward goes first
// for a while.
//
// # What a hostile peer can do
//
// It can claim anything, and be asked for it: three undelivered heads are a
// FalseHead, and each costs one request. Under ever new names it leads only
// while nobody can who proved something, and not before those who came first;
// what it failed to deliver is asked of the proven. It can be silent, and lose
// its rank at the first timeout and its turn within the deadline. It can send
// what was not asked, or does not link, or fails verification, and pays for it.
// It can not make us hold more than a bounded number of bytes, import out of
// order, or wait for it for ever; it cannot keep us from what one honest peer
// serves.
// Sentences of the threat catalogue are named in the tests.
//
// # Bounds
//
// Config.MaxBytes bounds what is held and what was asked for, by its expected
// size; one answer more is let in if it holds the lowest block that is
// missing, so that progress never waits for itself. Offered blocks take at
// most half of it; over that the furthest ahead is dropped. Config.MaxStagedBytes
// bounds what is staged on disk, beside a bound of 2^20 blocks: over it a sync
// backwards goes on with headers alone, and fetches bodies once they are linked
// to our chain; a path of over 16384 more is not followed. Every drop is
// counted, by its reason, in Snapshot.Drops.
package blocksync
