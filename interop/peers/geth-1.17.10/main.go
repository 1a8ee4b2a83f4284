// Command geth is go-ethereum v1.17.10 as a library, for tests to talk to: a
// node with its real P2P server, eth protocol, downloader and pool, on a chain
// that is a pure function of its parameters. It never imports Starling.
//
// Package steer tells how it is spoken to. Its commands:
//
//	start     Params: start. Answers ready.
//	connect   Addr: an enode or ENR, dialled and redialled.
//	trust     Addr: as connect, over the limits.
//	peers     Answers what admin_peers does.
//	head      Answers number and hash.
//	block     Number: of the chain. Answers its RLP in hex, its hash and its receipts' count.
//	target    Number: syncs to that block of the chain, as a consensus client would have it.
//	extend    Number: makes the chain that long, and imports it.
//	synced    Takes transactions from now on.
//	send      Count: transfers into the own pool, as local ones. Answers their hashes.
//	call      Params: method and args, of its RPC. Answers the result.
//	drive     Addr: an Engine API, Params: its secret, Number: of the chain. Has that node follow the
//	          block as a consensus client would, and answers what it said.
//	pool      Answers the hashes of what is pending.
package main

import "github.com/starlingp2p/starling/interop/peers/steer"

func main() { steer.Main(start) }
