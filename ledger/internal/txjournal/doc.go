// Package txjournal keeps a pool's own transactions in a file, so that they
// survive a crash.
//
// The pools of the ledger's families call it, each under a lock of its own. A
// journal is a line with its version and then records with a checksum: the
// first that does not fit ends it, as a crash leaves it. What is appended is
// synced, and a rewrite replaces the file as a whole.
//
// No peer's bytes get here: only transactions that this node's users sent. The
// file itself is not trusted: lengths are checked against what is there.
package txjournal
