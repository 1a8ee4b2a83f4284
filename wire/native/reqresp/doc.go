// Package reqresp is the request/response layer of the native wire, over any
// stream: docs/wire/native.md, sections 6 and 7.
//
// Do is the asker's side of one exchange, Answer the server's; both work on a
// fresh stream that their caller opened or accepted, end it in every case, and
// leave no goroutine behind. The native wire calls them; it owns the streams,
// bounds how many there are, and keeps one Window (serving) and one
// SelfLimiter (asking) per peer.
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
