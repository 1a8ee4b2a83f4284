// Command ontology measures Starling on the Ontology wire beside the real
// v1.0.0 and the plainest client that speaks its protocol, in turn on the same
// machine, and prints ratios of medians.
//
//	go run ./ontology [-rounds 5] [-blocks 20000] [-full 2000] [-txs 100] [-write FILE] [-profile DIR]
//
// One real v1.0.0, a process of its own, makes a chain of empty blocks and
// serves it for all of this; another does the same with transactions in each
// block. In each round
//
//   - a bare client fetches all headers from that server over one connection,
//     then all blocks, many questions at once, and keeps and checks nothing; for
//     information it does so again and asks for blocks while headers still come;
//   - Starling, a whole node with its ledger on disk, syncs the same from the
//     same: each header verified, each body checked, fetched and imported;
//   - another real v1.0.0 downloads it as it does: it runs each block;
//   - the same bare client fetches all of it from Starling.
//
// Last, Starling sends to some sessions while another reads nothing of what it
// has asked for, and without that one.
//
// Clocks run from the dial to the last block; for v1.0.0's own download from
// its first block to its last. Nothing here is part of the product; the peers
// are processes of our own on loopback.
package main
