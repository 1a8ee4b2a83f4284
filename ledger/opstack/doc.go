// Package opstack is the family of OP Stack networks: OP Mainnet, Base and
// their like, as a ledger keeps them. A block is a payload envelope:
//
//   - its header is the execution layer's, in RLP, so that a block's hash is
//     what every client of the network says it is;
//   - its body is the list of transactions as it lies in the payload (SSZ);
//   - its extra is the sequencer's signature of 65 bytes where the block came
//     by gossip, and empty where it came by sync. Nothing rests on it later.
//
// Family is a ledger.Family and Heads the three heads that OP nodes speak of.
//
// What makes a block authentic is the sequencer's signature when it is
// gossiped, and for all others that it is an ancestor of such a block, by its
// hash: so a network of this family syncs backwards from a trusted block and
// never forward on a peer's word (blocksync's BackwardOnly). No state is kept and
// nothing is executed.
//
// A genesis is often known by number, hash and time only, since its header holds
// the root of a state of gigabytes. Such an anchor stands for it: it is the
// chain's first block and is not served.
//
// Beside the ledger there are those who make and hand on its blocks. Producer is
// the sequencer of a private chain, and signs through a Signer: a key of its own,
// or RemoteSigner, which asks an op-signer. WatchSigner keeps up who signs the
// network's blocks, by a Source: a file, or L1Source, which asks an L1 node.
// Feeder has an execution client follow the unsafe head, through Engine. The
// daemon constructs and runs all of them; Producer, Feeder and WatchSigner each
// work in the goroutine that runs them, and wait for those that they start.
//
// A hostile peer can make it check a signature and hash transactions; what it
// can store is bounded by what the sequencer signs, and by what descends from
// that by hash. The HTTP servers that RemoteSigner, L1Source and Engine call are
// the operator's, and are not trusted with memory or time: an answer is bounded
// in bytes, a call in time, a redirect is not followed, since it would take
// secrets elsewhere, and their texts are cleaned. What a lying one can do is its
// part: an L1 node names who may sign, an op-signer signs or not, and an
// execution client stays behind.
package opstack
