// Package env is what a node takes from the world outside: the wall clock,
// randomness and the links that it dials and listens on.
//
// It owns nothing. A node's embedder hands the values in once, at
// construction, and every package below reads them from there; tests and the
// simulator hand in others. Timers are not here: shells use package time,
// which testing/synctest fakes, and only the wall clock is injected, since a
// wall clock that lies is a case that we test.
//
// A hostile peer can touch none of this, except that Network carries its
// bytes: whoever reads from a link sets the deadlines and the bounds.
package env
