// Package ontology is the family of Ontology networks for package ledger: what
// their blocks are, and when they are authentic. It verifies who signed a
// header, that a body and the tree of all blocks belong to it, and links; it
// runs no contract, so it knows no state, and takes the root of the state that
// travels behind a block as it came.
//
//   - Family is a ledger.Family and a ledger.Executor: its state is the merkle
//     tree over the transaction roots of all blocks.
//   - Pool is a chain.TxPool: transactions whose encoding, proofs and gas are
//     right, bounded by payer, in bytes and in count.
//   - Consensus is a chain.Consensus that listens: messages of those whom the
//     chain names, for whoever subscribes.
//   - Genesis computes the genesis block of a network, as the node does:
//     MainNet, Polaris, or a configuration file's.
//
// # What is verified, and by whose rules
//
// In DBFT and solo networks, by v1.0.0's and everybody's rules: the listed
// keys are those that the parent names (Header.NextBookkeeper), and n - (n-1)/3
// of the n have signed the hash. In VBFT networks v1.0.0 verifies no signature
// at all. Here the newest release's rules hold: the listed keys are distinct
// members of the chain configuration in force, at least C+1 of them, and
// n - 6n/7 of its n members have signed: one, where n is 7. That is what the
// network itself asks for, and little. The configuration is taken from the
// headers: from the one whose number a header names.
//
// In addition each header's block root is checked when its block is imported,
// as newer releases do and v1.0.0 does not.
//
// # What a hostile peer can do
//
// It can make a node check signatures, of which there are at most as many as
// keys in force, squared; that keys are in force is checked first. It cannot
// get a header taken that is not signed. Bodies whose transactions occur twice
// are refused, though their root be right.
//
// It can send transactions whose payer owns nothing, and offer for them what it
// will never pay: without state that cannot be told. They are bounded by payer
// and in sum, and leave the pool after 1024 blocks. A forged copy of a
// transaction, whose hash does not cover its signatures, hides nothing.
package ontology
