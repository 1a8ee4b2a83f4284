// Package ledger is the embedded chain of a node: blocks, headers,
// transactions, staged blocks and state on Pebble, with a fork choice, undo
// and invariants. What a network's blocks are and when they are authentic is
// said by a Family; ledger/sequenced is one.
//
// A Ledger is a chain.Chain and a chain.TxReader. It owns one directory and
// every goroutine that it starts; Open takes the directory's lock and Close
// gives it back. Readers are many, the writer is one: Import and Stage are
// called by the node from one goroutine at a time.
//
// What is on disk is sealed: every value carries a CRC-32C over its key and
// itself, and a header is hashed again when it is read. A value that does not
// fit is an error that wraps chain.ErrCorrupt; it is neither served nor
// deleted. A full disk is chain.ErrFull: reads go on from what was committed
// last, and a later Import tries again.
//
// A hostile peer reaches this package only through the Family's checks and
// through blocks that passed them. A branch that leaves the canonical chain
// deeper than MaxReorg, or below what is final, is refused before it is
// stored, so what it may put on the disk is bounded by what its signers sign.
package ledger
