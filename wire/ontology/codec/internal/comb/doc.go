// Package comb verifies many ECDSA signatures of one P-256 key at a third of
// the cost of crypto/ecdsa: an Ontology chain is signed by the same few keys for
// thousands of blocks, and most of the time of a first sync goes into that.
//
// A Key holds multiples of its point, so that its half of a verification takes
// 33 additions and no doubling. Package codec calls it, for keys that a chain
// has named and that sign much; the group's arithmetic is filippo.io/nistec's,
// which is what crypto/ecdsa runs on.
//
// # What a hostile peer can do
//
// It chooses digests and signatures, never keys. Nothing here is secret: what
// the time of a verification tells is public. Whatever it sends, Verify says
// what crypto/ecdsa says.
package comb
