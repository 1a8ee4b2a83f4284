// Package keyfile reads and writes identity keys in the forms that nodes keep
// them in: 64 hex digits (geth's nodekey, op-node's p2p.priv.path, and our
// sequencer's seed), libp2p's protobuf, and the web3 keystore of version 3 with
// a password.
//
// The starling command calls it. It owns no file (package secret reads and makes
// them), and nothing here meets a peer. A hostile key is bounded in the memory
// that its derivation may ask for. No error names a secret.
package keyfile
