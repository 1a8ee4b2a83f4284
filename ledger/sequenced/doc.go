// Package sequenced is a family of networks in which one ed25519 key, the
// sequencer's, signs a block each interval. It is the example of how a chain
// plugs into the ledger, and enough of a chain to be useful: accounts with
// balances, signed transfers, and transactions that carry data.
//
//   - Family is a ledger.Family and ledger.Executor: encoding, rules, state.
//   - Pool holds transactions that wait for a block; own ones are journalled.
//   - Producer is the sequencer: it builds a block on the head each interval.
//
// # Encoding
//
// All numbers are big-endian and every encoding is of one form: what decodes
// encodes to the same bytes, and bytes left over are an error.
//
//	header (161 bytes): version 1 · chain 8 · number 8 · parent 32 ·
//	    time in Unix milliseconds 8 · root 32 · transactions 4 · body bytes 4 · signature 64
//	body: each transaction with its length in four bytes before it
//	transfer: kind 1 · chain 8 · from 32 · nonce 8 · fee 8 · to 32 · amount 8 · signature 64
//	data:     kind 2 · chain 8 · from 32 · nonce 8 · fee 8 · length 4 · payload · signature 64
//
// The chain field is the first eight bytes of the genesis hash. Signatures are
// over a domain text, the whole genesis hash and SHA-256 of the bytes before
// the signature, so that none counts on another chain. A block's hash is
// SHA-256 of the header, signature included. A transaction's hash is SHA-256
// over that digest and the signature. The root is a Merkle tree (RFC 6962
// §2.1) over the transactions' hashes. The genesis header has no signature;
// its parent field is a digest of the network's parameters.
//
// # What a hostile peer can do
//
// It can make a node check signatures: one for a gossiped block, one for each
// transaction, after the checks that cost less. It can't get a block relayed
// without the sequencer's signature, and of a sequencer that signs several
// blocks at one height six are relayed. What the pool holds is bounded per
// sender and in all.
package sequenced
