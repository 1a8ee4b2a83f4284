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
// A hostile peer can make it check a signature and hash transactions; what it
// can store is bounded by what the sequencer signs, and by what descends from
// that by hash.
package opstack
