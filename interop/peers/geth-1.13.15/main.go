// Command geth is go-ethereum v1.13.15 as a library, for tests to talk to: the
// last release of the total-difficulty era. It speaks eth/68, seals a clique
// chain and syncs with the peer of the highest difficulty. It never imports
// Starling, and is for loopback only: it has known holes.
//
// Build it with -ldflags=-checklinkname=0. Package steer tells how it is spoken
// to. Its commands:
//
//	start     Params: start. Answers ready.
//	connect   Addr: an enode or ENR, dialled and redialled.
//	trust     Addr: as connect, over the limits.
//	peers     Answers what admin_peers does.
//	head      Answers number, hash and total difficulty.
//	block     Number: of its own chain. Answers its RLP in hex and its hash.
//	seal      Seals from now on. rest: no longer; answers when no block comes any more.
//	send      Count: transfers into the own pool, as local ones. Answers their hashes.
//	call      Params: method and args, of its RPC. Answers the result.
//	pool      Answers the hashes of what is pending.
package main

import "github.com/starlingp2p/starling/interop/peers/steer"

func main() { steer.Main(start) }
