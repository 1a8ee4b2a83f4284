// Package turns lets few do what is large at a time, so that what is small
// waits behind none of it.
//
// A node has one Turns. Package serve takes a turn to read a large answer, and
// the session wires, through their Host, to put it together, encrypt and hash
// it. All turns together keep one processor less busy than there are: a Go
// program looks at its sockets when a processor has nothing else to do, else
// each 10 ms, and what has come then stands in line behind all that can run.
// Turns are had in the order in which they are asked for, so that a session
// that wants much is served as often as another.
//
// What a hostile peer can do: stand in line for each answer that it asks for,
// once for reading and once for writing at a time. Where a turn takes longer
// than computing could, because the work waits for a disk, the next begins.
package turns
