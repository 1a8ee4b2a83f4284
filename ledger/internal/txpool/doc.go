// Package txpool has the parts that the families' transaction pools share: what
// a pool holds, by hash, and its sums; the way in for the transactions of peers
// and for this node's own ones, which a journal keeps; the order of what goes
// into a block; the walk from one head to another; and the subscribers.
//
// It owns the journal, the subscribers and the counts of what was turned away;
// which transactions a pool takes, and why, is the family's own. The pools of
// ledger/sequenced, ledger/ethereum and ledger/ontology call it. A hostile peer
// fills what is bounded here: a subscriber that lags loses the oldest, and after
// one transaction that costs much to refuse the rest of its bundle is not looked
// at.
package txpool
