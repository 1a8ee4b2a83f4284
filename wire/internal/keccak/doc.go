// Package keccak is Keccak-256 where a wire's time goes into it: as a stream that
// never ends, whose digest is asked for at each frame (RLPx's MACs), and of many
// messages at once (the transactions of a block, the nodes of their trie, the
// blocks of a range).
//
// Where the processor has AVX-512, a round of one state takes two thirds of the
// instructions of go-ethereum's, since there is a xor of three and a register for
// each word, and eight states are permuted in hardly more time than one. On other
// machines the package is go-ethereum's code, with which tests compare it.
//
// Packages wire/devp2p/rlpx and wire/opstack/codec call it. A hostile peer decides
// how many messages there are, and how long each is: no memory depends on that,
// and the time of all is at most half as much again as one by one, where a single
// long one outlasts the rest.
package keccak
