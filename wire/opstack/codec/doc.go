// Package codec holds the bytes that OP Stack nodes exchange: execution
// payloads in SSZ (V1 to V4), the signed envelope of gossip, the hashes that
// bind them, the messages of payload_by_number, topics, message ids and the
// opstack entry of a node record.
//
// It starts no goroutine and keeps no state; requests and answers it reads from
// and writes to the stream that it is given, whose deadlines are the caller's.
// wire/opstack and ledger/opstack call it. Where the OP specification and op-node differ it follows op-node
// v1.19.6, since that is what peers run; testdata holds golden bytes of it.
//
// Everything that it decodes may come from a hostile peer. A length is checked
// before memory is taken, what is decoded shares memory with its input, and
// every number of items is bounded by the bytes that are there. The most that a
// peer can make a node do is to decompress 10 MiB, to hash them, and to build
// a Merkle tree over the transactions in them, whose number is bounded by their
// size: see TxRoot.
package codec
