// Package devp2p tests the devp2p wire and the ethereum ledger against geth
// v1.17.10, run as a process by the module in interop/peers: handshakes, the
// download of a chain with its receipts, and geth's full sync from us.
package devp2p
