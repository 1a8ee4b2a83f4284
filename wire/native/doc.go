// Package native is Starling's own wire on go-libp2p, as docs/wire/native.md
// has it: a status handshake that makes a connection a session, topics for
// blocks, transactions and consensus, requests over fresh streams, and a lane
// of its own for consensus messages.
//
// New makes a Wire, which the node runs; the node's side of the conversation
// is the wire.Host that Run is given. The codec is in wire/internal/codec, the
// request layer in wire/internal/reqresp, since Starlings speak it on other
// wires too, and what other libp2p wires need in wire/internal/p2phost.
//
// The package owns the sessions: which connection to a peer is one, and which
// of two stays. It never waits under its lock. Each session has a goroutine
// that keeps the status exchange going, and one that writes consensus while
// there is something to write.
//
// What a hostile peer can do: hold a connection for 10 s without a session, or
// 30 s in all; hold 64 request streams, each for its deadlines; make a handler
// decode what its budget allows; answer with 16 MiB at once, which count
// against the node's decode budget; break a session and pay for it. Each queue is
// bounded: the consensus lane waits briefly and then errs, gossip drops and
// reports wire.Dropped, requests wait for their context. A panic in a handler
// costs the peer a charge and the process nothing.
package native
