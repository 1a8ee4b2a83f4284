// Package keyfile reads and writes identity keys in the forms that nodes keep
// them in: 64 hex digits (geth's nodekey, op-node's p2p.priv.path, and our
// sequencer's seed), libp2p's protobuf, and the web3 keystore of version 3 with
// a password.
//
// The starling command calls it. It owns no file: what it writes is new, of
// mode 0600, whole or not at all. Nothing here meets a peer. A hostile file is
// bounded in size and in the memory that its key derivation may ask for, and a
// file that others can read is refused. No error names a secret.
package keyfile
