// Package ethereum is the family of Ethereum's networks: blocks and headers as
// go-ethereum encodes them, checked without executing them.
//
// A ledger.Ledger calls it. A Body is the list [transactions, uncles] or
// [transactions, uncles, withdrawals] of the eth protocol; Extra is empty, or
// the block's receipts as eth/69 has them, each [type, status or root,
// cumulative gas, logs]. The weight of a block is the total difficulty up to
// it, and one more for each block after the Merge, which has no difficulty.
//
// What is checked: the links between headers, their form at each fork, gas
// limit, base fee and blob fee, difficulty under proof of work (Ethereum's rules
// and Ethereum Classic's), signers under clique; bodies against their
// transaction, uncle and withdrawals roots, and receipts against theirs and the
// header's bloom and gas. What is not: the seal of proof of work, uncles' own
// rules, the state root, and whether a transaction may be executed. Under proof
// of work the right difficulty is only a number that nobody need have worked for:
// a header costs nothing to forge, and a chain of it proves nothing beyond its
// claim. A block of proof of work that is gossiped is taken only on top of one that
// is here. Where a genesis file names a consensus that is not geth's, not even the
// difficulty is checked. After the Merge authenticity is that of the target that
// the caller trusts (NeedsTarget), and an unanchored header is only linked, never
// authentic.
//
// The family keeps no chain. Its only state is a bounded cache of clique's
// signers, which it can always make again from the headers of its Attach'ed
// reader. It starts no goroutine. A hostile peer can send any bytes as headers
// and bodies: decoding is strict and bounded by their length, and whatever is
// wrong wraps chain.ErrInvalid.
//
// EngineAPI is what a consensus client calls after the Merge: it names the
// targets that an Ethereum node syncs to, and what is final. It looks at
// payloads and executes none, so it calls none valid and builds none. Who calls
// it has the secret of the listener, which is the daemon's, and is trusted with
// where the chain is; what it sends is decoded as strictly as a peer's, and 1024
// heads of it are kept.
//
// Sealer makes the empty blocks of a private clique network; FileReader and
// AppendBlock are the files of geth export; Show is a block as geth's RPC has it.
//
// Pool holds transactions that wait, without a state: form, signature, chain,
// fees and blobs' proofs are checked, balances are not, and nonces only as far
// as blocks tell them. So a stranger can fill it with transactions that never
// pay, if each bids more than those that it pushes out; they leave after hours,
// own ones are apart, and no sender has more than 64.
package ethereum
