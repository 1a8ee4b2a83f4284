// Package chain holds the contracts that a chain developer implements to put
// a chain on Starling, and the values that they speak of: Hash, Ref, Header,
// Block, Tx, Status, Verdict.
//
// A chain is a Reader, a Checker and an Importer; together they are a Chain.
// TxPool, Consensus, TxReader, Weigher, HeadersChecker and BodiesChecker are
// roles that a chain may have besides, LocalTxPool one that a TxPool may have,
// and TxFinder one of a TxReader: the node looks for them. No contract here ever
// gains a method, since strangers implement them; new needs become new roles.
// Package chain/chaintest checks an implementation.
//
// The package owns no state and imports only the standard library and peer.
// Blocks and transactions that reach a Checker come from hostile peers:
// their bytes are bounded in length by the wire and otherwise arbitrary.
package chain
