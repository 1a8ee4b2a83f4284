// Package scenario proves whole nodes in virtual time. It has no code but its
// tests: each runs several starling.Nodes, with the native wire on the links
// of sim/bed and a chain of chain/chaintest, in a bubble of testing/synctest,
// and takes hours of their time in seconds of ours.
//
// The network of a test is a lab. Its nodes have public addresses, each in a
// prefix of its own, so that every rule that counts addresses and prefixes is
// in force. One node may be the producer: it makes a block each interval, on
// its head. Nodes are started, stopped, killed, restarted, cut off and
// partitioned, and their clocks set wrong; the test waits for conditions in
// virtual time.
//
// Whatever a scenario is about, a lab checks at its end that no node banned or
// charged another honest one, that each node stopped within 5 s, and that
// nothing is left running.
//
// The links are those of the bed and their transport has no cryptography:
// nothing here is evidence about Noise, TLS, QUIC or real sockets. Nobody
// calls this package.
package scenario
