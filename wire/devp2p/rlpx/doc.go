// Package rlpx is the encrypted transport under every devp2p session: the
// EIP-8 handshake and the frames of the RLPx specification, version 4, with
// snappy (EIP-706) over them.
//
// The wire calls it: Initiate or Respond runs the handshake on a link, and the
// Codec that comes of it turns messages, a code and a payload each, into frames
// and back. Reading and writing them, with deadlines and a budget of memory, is
// package framed's. The package starts no goroutine and owns no state but a
// Codec's ciphers; the link's deadlines during the handshake are its caller's.
//
// What a hostile peer can do: claim lengths, which are checked before anything
// is allocated, and whose bytes framed takes in steps as they come; send points
// off the curve, keys of zero and truncated ciphertexts, which all end in
// ErrHandshake and a closed link; flip bits, which fail a MAC; and send snappy
// that unfolds, whose claim is held against what the format can hold and
// against the bound before a byte is decoded. Until Establish a message has
// 2 KiB at most, and a connection holds less than 64 KiB.
package rlpx
