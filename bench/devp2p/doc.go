// Command devp2p measures the devp2p wire beside go-ethereum, and prints what
// docs/performance.md tells of it.
//
//	go run ./devp2p [-rounds 5] [-blocks 2000] [-only sync|sessions|serving|relay] [-write FILE]
//
// It has four parts, each of rounds in which both sides are measured in turn:
//
//   - sync: a node of ours downloads a chain with its receipts from a geth, into
//     a ledger on disk, every root checked; a fresh geth full-syncs the same
//     from the same one, into memory. geth executes the blocks: ours does not.
//   - sessions: messages of 1 MiB and 1 KiB over loopback through two of our
//     links, with lanes, deadlines and budgets of memory, and through two of
//     go-ethereum's bare p2p/rlpx. They are the benchmarks of wire/devp2p/rlpx.
//   - serving: one client, which is go-ethereum's p2p/rlpx, asks a node of ours
//     and a geth that have the same chain for single headers, 192 headers and
//     128 bodies, eight requests at a time; budgets are off. Then it asks for
//     a header each 2 ms, alone and beside 25 greedy clients, which ask for the
//     most that there is as fast as they can, in a process that runs where no
//     other wants to, and read what comes without decrypting it; budgets are
//     as by default.
//   - relay: what the policies of transaction relay cost in virtual time. They
//     are a test of internal/relay, and repeat to the byte.
//
// The nodes are processes of their own: geth is interop/peers/geth-1.17.10, ours
// is this program again. All of it stays on loopback.
package main
