// Package steertest is the test's side of package steer: it builds the real
// peers' programs, runs them as processes that end with the test, sends them
// commands and waits for what they tell.
//
// The tests in the folders of interop call it. A peer that hangs is killed ten
// seconds after its input has ended; one that does not answer fails the test
// when its patience is over.
package steertest
