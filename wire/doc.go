// Package wire holds the contracts between the node and a protocol suite that
// carries it: Wire, Session and Host, the messages and requests that pass
// between them, and Caps, by which services choose what to ask for.
//
// A wire turns links into sessions: it listens, makes one attempt for each
// Dial, runs the handshakes, and hands an open session to its Host. The Host,
// which is the node, decides who may stay. A wire holds no opinion about peers
// and never retries: it reports. The package owns no state; it imports only
// the standard library and the contracts below it. Package wire/wiretest
// checks an implementation.
//
// What a hostile peer sends has been bounded and decoded by the wire before it
// becomes a Message or a Request here; whether it is true is the Host's
// business.
package wire
