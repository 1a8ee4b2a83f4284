// Package codec turns Starling's own messages, those of the native wire, into
// bytes and back, as docs/wire/native.md has them: frames, packed frames, and one file a message.
//
// The wire, its request layer and its gossip call it; it owns no state but
// pools of scratch buffers, starts no goroutine and sets no deadline.
//
// Append functions append to the caller's slice and cannot fail: what they
// are given is ours and within bounds. Decode functions read hostile bytes.
// They check lengths before they allocate, allocate in proportion to the
// input, never panic, and fail with a *wire.Fault that names the offense.
// Values that they return alias the input unless they say otherwise: the
// caller hands the input over and neither changes nor reuses it.
//
// What a hostile peer can do: make a decoder spend time and memory in
// proportion to the bytes that it sent (at most 22 times, for snappy), within
// the cap that the caller passes.
package codec
