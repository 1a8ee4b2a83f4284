// Package keccak is Keccak-256 as RLPx's MACs need it: of a stream that never
// ends, whose digest is asked for at each frame. Of what RLPx costs it is the
// greatest part by far. Where the processor has AVX-512 a round takes two thirds
// of the instructions of go-ethereum's, since it has a xor of three and registers
// for the whole state; elsewhere the package is go-ethereum's.
//
// Package rlpx calls it. It takes no memory that depends on what a peer sends.
package keccak
