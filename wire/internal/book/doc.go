// Package book keeps what a wire on go-libp2p has with each peer: its
// connections, a dial of ours that is under way, and its session. It decides
// which of two sessions stays, remembers for some seconds those that have ended,
// and charges who is at fault.
//
// The wires native and opstack own one Book for each run, and one set of Tasks,
// the goroutines that the run waits for and the parts that it takes down. The
// book's lock is a leaf that nobody waits under; it also guards what a wire keeps
// with a link.
//
// A hostile peer may open many connections and let them end: an entry lives as
// long as its connection, and of ended sessions the last 256 are kept. It may
// dial while we dial, or again and again: of two sessions the one that the lower
// ID dialled stays, and both sides come to the same. A handler that panics costs
// it a charge and the process nothing.
package book
