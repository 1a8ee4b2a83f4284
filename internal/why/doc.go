// Package why says why: for a node and for a peer, what stands in the way of
// sessions, of sync and of being heard, since when, how often, and what to do
// about it.
//
// It owns a pure core: events and counts go in, questions are answered, nothing
// is read and no clock is asked. The daemon feeds it and serves its answers; the
// command line prints them. One table says what each reason, offense, cause and
// error means and what helps.
//
// A hostile peer controls the texts in events, which are cleaned where they
// enter, and how many events there are and of how many identities: what is kept
// of one peer, of all of them and of counts is bounded, the oldest goes first,
// and no peer's events push out the counts.
package why
