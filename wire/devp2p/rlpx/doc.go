// Package rlpx is the encrypted transport under every devp2p session: the
// EIP-8 handshake and the frames of the RLPx specification, version 4, with
// snappy (EIP-706) over them.
//
// The wire calls it: Initiate or Respond runs the handshake on a link, and the
// Conn that comes of it reads and writes messages, a code and a payload each.
// One goroutine may read while another writes. The package starts no goroutine
// and owns a Conn's buffers only; the link's deadlines are its caller's during
// the handshake, and the Conn's own for reading frames, once Timeouts are set.
//
// What a hostile peer can do: claim lengths, which are checked before anything
// is allocated, and then read in steps as the bytes come, so that a claim costs
// the one who makes it as much as us; send points off the curve, keys of zero
// and truncated ciphertexts, which all end in ErrHandshake and a closed link;
// flip bits, which fail a MAC; and send snappy that unfolds, whose claim is held
// against what the format can hold and against the bound before a byte is
// decoded. Until Establish a connection holds less than 64 KiB.
package rlpx
