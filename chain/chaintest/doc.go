// Package chaintest checks an implementation of the contracts of package
// chain, and holds a tiny chain in memory to test networks with.
//
// Run checks every rule that the contracts state; each rule has a name, and
// the package's own tests show that a chain that breaks a rule is told so by
// that rule. A chain's test is a few lines:
//
//	func TestConformance(t *testing.T) {
//		chaintest.Run(t, chaintest.Factory{New: …, Child: …})
//	}
//
// Chain is deterministic for its Config, safe for concurrent use, and can be
// told to fail or to stall. Its blocks are authenticated by a key derived from
// the seed, so that a test can forge a branch that a correct node refuses.
// It is a toy: whoever knows the Config knows the key.
//
// Tests call this package; no part of a node does. The bytes that reach Chain
// in a test of a hostile peer are hostile: they are checked like a real
// chain's, and lengths are checked before anything is allocated. What is
// accepted stays in memory for ever.
package chaintest
