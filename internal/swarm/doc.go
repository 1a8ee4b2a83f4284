// Package swarm is the peer table of a node: whom to dial, whom to admit, whom
// to keep, whom to ban, and where peers can be found. It is the one judge of
// peers; wires only carry out what it decides.
//
// It is a pure core inside a thin shell. The core (core.Step, core.Next) takes
// events and gives effects; it does no I/O, starts no goroutine and reads no
// clock, and its randomness is seeded at construction, so that a run can be
// recorded and replayed. The shell (Swarm.Run) owns the core, runs dials, DNS
// look-ups, discovery rounds, keep-alive checks and disk writes on bounded
// workers, and hands their outcome back as events. What changes state is always
// an event; closures on the owner only ask.
//
// The node calls it: Admit, Open and Report carry the wire's side, the other
// methods serve the RPC and the embedder. Admit, Score, Peers, Bans and the
// like read a snapshot behind an atomic pointer and never wait for the owner.
//
// What a hostile peer can do here: open links, which the gate bounds by
// address and by prefix before anything is spent on them; name addresses, which
// the book credits slowly, files by source and never lets crowd out proven
// ones; send what is wrong, which costs it score, then its session, then a ban
// that new identities in the same prefix inherit; and report a clock, which
// matters only when three peers in three prefixes agree and outnumber the rest.
// Every table is bounded, and what falls over a bound is counted by reason.
package swarm
