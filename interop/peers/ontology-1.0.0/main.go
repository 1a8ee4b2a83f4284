// Command ontology is Ontology v1.0.0 as a library, for tests to talk to: its
// ledger, pool, P2P server and consensus as they are. It never imports Starling.
// It listens on all interfaces and its settings are globals: one node a process,
// where the machine allows it in a network namespace of its own.
//
// Package steer tells how it is spoken to. Its commands:
//
//	start    Params: start. Answers ready.
//	height   Answers the heights of the headers and of the blocks, and the head's hash.
//	block    Number. Answers the block's bytes in hex and its hash.
//	peers    Answers how many are established, and their addresses.
//	extend   Number: makes blocks up to that height and imports them (solo).
//	send     Count: signed transactions into the own pool. Answers their hashes.
//	has      Mode: the hash of a transaction in hex. Answers whether pool or ledger have it.
package main

import "github.com/starlingp2p/starling/interop/peers/steer"

func main() { steer.Main(start) }
