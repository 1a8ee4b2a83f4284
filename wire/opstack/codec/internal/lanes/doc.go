// Package lanes hashes many messages with Keccak-256 at once: one permutation
// of it takes a processor with AVX-512 hardly longer for eight states than for one.
// The transactions of a block, the nodes of their trie, and the blocks of a
// range are such messages. On other machines they are hashed one by one.
//
// The codec calls it. A hostile peer decides how many messages there are, and
// how long each is: no memory depends on that, and the time of all is at most half
// as much again as one by one, where a single long one outlasts the rest.
package lanes
