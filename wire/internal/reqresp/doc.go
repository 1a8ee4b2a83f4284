// Package reqresp is the request/response layer between Starlings, over any
// stream: docs/wire/native.md, sections 6 and 7. The native wire is made of it,
// and other libp2p wires speak it to peers that turn out to be Starlings.
//
// Do is the asker's side of one exchange, Answer the server's; both work on a
// fresh stream that their caller opened or accepted, end it in every case, and
// leave no goroutine behind. A Peer does both with one peer, within its memory
// and that of all, which is Shared: a wire makes one a session, owns the
// streams, and bounds how many there are.
//
// Errors say whose doing it was: *wire.Refusal where the other side declined,
// naming the limit; *wire.Fault where it broke a rule that can be checked;
// ErrTimeout where it was too slow for us, which is no fault by itself; the
// cause of ctx where the caller gave up. Anything else is the link's.
//
// What a hostile peer can do: hold an exchange for its deadlines, and make us
// hold an answer of the bytes that it really sent, at most AnswerMax; asking,
// make the server produce one answer, which the node's budgets pay for; never
// read, which blocks the goroutine of that one stream until its deadline. Its
// acknowledgements only ever slow down its own answers.
package reqresp
