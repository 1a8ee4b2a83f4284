// Package framed is what the session wires share below their messages: one
// link as a sequence of frames, whatever the frames look like.
//
// A wire brings a Codec, which knows headers, checksums and MACs, and wraps a
// connection in a Conn. On it the wire shakes hands, frame by frame, and then
// makes a Link, whose Run reads and writes until the link ends, for one
// reason, with no goroutine left behind. Beside them stand parts that a
// session puts together as its protocol needs: Inbox, the bounded work that
// frames cause; Requests, which matches answers with what was asked; Keeper,
// the keep-alive; Tally, which counts faults by the minute.
//
//	bytes → Conn (header checked, memory granted, deadline) → Config.Handle, on the reader
//	      → Requests.Answer, Keeper.Pong, or a place in the Inbox
//	Link.Send → lane (bounded) → the writer, high lanes first → Codec.Seal → bytes
//	Requests.Ask → Link.Send with a Mark, ahead of answers → the writer opens the question → Requests.Answer
//
// # What a hostile peer can do
//
// A length costs it 64 KiB of ours at most, and memory beyond 4 KiB only out
// of the node's budget (intake.Budget), from which a frame that comes in too
// slowly is cut while others wait. A frame has 10 s and what its length takes
// at 32 KiB/s; one that drips is a fault, one on a slow link just ends it. A
// peer that does not read fills its own lanes, which are bounded in messages
// and bytes and overflow as their policy says: consensus waits briefly and
// then errs, sync waits for its context, blocks and transactions drop the
// oldest, housekeeping coalesces and then drops the oldest. Nothing read for
// 20 s ends the link. An answer to a question that has not left yet answers
// nothing, or a peer that reads nothing could have us hold it for good. Answers
// that nobody asked for, floods of pings and unknown messages are counted by the
// wire that meets them. A handler that panics costs the peer a fault and the
// node nothing.
//
// The package owns no state beyond its values and logs nothing: it tells the
// wire through the funcs of Config.
package framed
