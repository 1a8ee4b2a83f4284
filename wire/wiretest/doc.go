// Package wiretest checks an implementation of wire.Wire.
//
// Run is the conformance suite: a wire's own tests call it with a Factory that
// makes nodes of that wire, and every rule of the contracts in package wire
// that can be seen from outside is tried. What a wire cannot do, as its Caps
// tell, is not asked of it, but must fail as the contract says. Checks lists
// the rules one by one, as funcs that return an error, so that a suite can be
// tested itself: see the mutants.
//
// Host is a node for tests that records what a wire tells it.
//
// The package is used by tests only. It starts no goroutine that outlives a
// check and owns no state.
package wiretest
