// Command bench measures Starling side by side with the plainest program that
// does the same work, and prints the ratio of their times.
//
//	go run . [-rounds 5] [-blocks 4096] [-size 65536] [-more=false] [-only sync|rpc] [-write FILE] [-profile DIR]
//
// The work is a first sync: blocks of one signed data transaction each go from
// one process to another over loopback and end on the disk of the second.
//
//   - Starling: the first process is a node with the chain in its ledger, the
//     second a fresh node that has the first as its static peer. Everything is
//     as in a daemon: handshake, requests, verification of each header and
//     body, execution, import. Only serving budgets are off.
//   - Baseline: the first process reads the same keys and values out of that
//     same Pebble in order and sends them in writes of 1 MiB over one TCP
//     stream with Noise and yamux; the second puts them into a Pebble with the
//     same options. It checks nothing.
//
// Both stop the clock when the last block is synced to disk, and both start it
// when the second process has opened its empty store and is about to dial. The
// baseline syncs as often as the ledger did, after the same share of the
// bytes: each Import of the Starling run of that round was noted for it.
//
// Two more are for information: a baseline that goes on receiving while it
// commits, and Starling with serving budgets and pacing as they are by default.
//
// A second measurement has one daemon sync the same chain from another, alone
// and with 50 hostile clients at its RPC: floods, batches, bombs, requests that
// come a byte at a time, subscribers and streams that read nothing, guesses at
// the token. The clock goes from the dial to the last block.
//
// The parent starts one process for each end, one pair at a time, and talks to
// them over their standard input and output. Nothing here is part of the
// product; peers are processes of our own.
package main
