// Package devp2p tests the devp2p wire and the ethereum ledger against geth
// v1.17.10 and v1.13.15, each run as a process by the modules in interop/peers:
// handshakes, the download of a chain with its receipts and geth's full sync
// from us after the Merge, and a chain that is followed and passed on by total
// difficulty while a clique signer seals it; and that nodes find each other by
// discv4 and by discv5, and transactions cross from one geth to another
// through the ethereum ledger's pool, in stars and over bridges. What was
// downloaded with receipts is served to another Starling, receipts included.
// Blocks that a clique signer seals are counted on their way through us, an
// embedder's protocols are spoken with geth's p2p.Server, and geth keeps us
// through minutes of traffic.
//
// A starling process shows blocks, peers and itself as geth's RPC does, geth's
// own client drives it, chain files go both ways between it and geth, and geth
// follows the clique network that it seals.
package devp2p
