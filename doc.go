// Package starling is the network layer of a blockchain node: plug in a chain
// and it finds peers, gossips blocks and transactions, closes gaps, syncs from
// genesis, keeps a consensus lane open and holds peers to account.
//
// A Node is made from a Config, a chain (package chain says what that is) and
// a wire (package wire; package wire/native is Starling's own). Register adds
// services, SetHandler the application's own messages, and Run does the work
// until its context ends:
//
//	w, err := native.New(native.Config{Network: "example", Status: myChain.Status})
//	node, err := starling.New(starling.Config{Seeds: seeds}, myChain, w)
//	client := node.Client() // for any goroutine, before and after Run begins
//	err = node.Run(ctx)
//
// # What it owns
//
// The node composes parts that each own their state: internal/swarm the peer
// table, internal/blocksync the sync state and the only importer of blocks,
// internal/relay what is told to whom on wires that gossip by session,
// internal/serve the budgets for answers. The node itself owns the order in
// which they start and stop, the pools in which gossip is validated, the queue
// of what waits to be published, and the subscriptions to events. It is the
// wire.Host of its wire.
//
// # Who calls it
//
// An embedder's program and the starling daemon. Client may be used from any
// goroutine; everything that it hands out is a snapshot.
//
// # What a hostile peer can do
//
// Make the node check a bounded number of its messages at a time and serve it
// within its budget. What it sends and what it asks for is charged to it by
// the rules of package peer; it is never charged for what its wire allows.
package starling
