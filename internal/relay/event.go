package relay

import (
	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// Judged is a block that was fetched, and what our chain says of it. One that
// it accepts is on its way to the import.
type Judged struct {
	Hash   chain.Hash
	Action chain.Action
}

// Event is what the core is told. The set is sealed.
type Event interface{ event() }

// Tx is what the core knows of a transaction.
type Tx struct {
	wire.TxID
	Sender string // equal for transactions of one sender; may be empty
}

// The events.
type (
	// Joined: a session is open.
	Joined struct{ Peer peer.ID }
	// Left: it has ended.
	Left struct{ Peer peer.ID }
	// Added: transactions entered our pool.
	Added struct{ Txs []Tx }
	// Seen: From has delivered these transactions, whether they are any good is
	// not known yet; or it got them as an answer.
	Seen struct {
		From   peer.ID
		Hashes []chain.Hash
	}
	// Settled: our pool has looked at these transactions, and need not see them
	// again.
	Settled struct{ Hashes []chain.Hash }
	// Announced: From says that it has these transactions. Known are those of
	// them that our pool has or does not want.
	Announced struct {
		From  peer.ID
		Txs   []wire.TxID
		Known []chain.Hash
	}
	// Fetched: the answer to a Fetch. Got are the transactions as they came;
	// Open are those of them that are wanted still: the pool did not look at
	// them, or they were not what their hash stands for. Failed: there was no
	// answer; Silent: not even a refusal, within FetchTimeout.
	Fetched struct {
		From   peer.ID
		Got    []wire.TxID
		Open   []chain.Hash
		Failed bool
		Silent bool
	}
	// Sent: a Push or an Announce to a peer was carried out, or failed.
	Sent struct {
		To     peer.ID
		Queue  Queue
		Failed bool
	}
	// Pending: what the pool holds, for a ReadPending.
	Pending struct {
		To  peer.ID
		Txs []wire.TxID
	}
	// Checked: a block passed its check and its parent is known here. From
	// delivered it; empty: it is our own.
	Checked struct {
		From   peer.ID
		Block  chain.Block
		Weight chain.Weight // of the branch up to it
	}
	// Imported: blocks became part of our chain.
	Imported struct{ Refs []chain.Ref }
	// Synced: a sync has ended at Head.
	Synced struct{ Head chain.Ref }
	// BlockSeen: From has a block.
	BlockSeen struct {
		From peer.ID
		Hash chain.Hash
	}
	// BlockAnnounced: From says that it has a block that our chain lacks, if it is
	// Near. Head is the number of our chain's head.
	BlockAnnounced struct {
		From   peer.ID
		Ref    chain.Ref
		Weight chain.Weight // of the branch up to it; zero: it did not say
		Head   uint64
	}
	// Refused: From announced N blocks more than it may have waiting for us.
	Refused struct {
		From peer.ID
		N    int
	}
	// HeaderFetched: the answer to a FetchHeader. Known: our chain has it by now;
	// Linked: it has the parent; Head is the number of its head. Failed: there was
	// no answer; Silent: not even a refusal, within FetchTimeout.
	HeaderFetched struct {
		From   peer.ID
		Header chain.Header
		Known  bool
		Linked bool
		Head   uint64
		Failed bool
		Silent bool
	}
	// BodiesFetched: the answer to a FetchBodies. Given are the blocks that came,
	// as they were judged; Failed and Silent are as in HeaderFetched.
	BodiesFetched struct {
		From   peer.ID
		Given  []Judged
		Failed bool
		Silent bool
	}
	// Gate opens once the chain is in sync, and may shut again if that was not so.
	// While it is shut, nothing that is announced is fetched, and no block is told
	// of.
	Gate struct{ Open bool }
	// Tick: the time that Next gave has come.
	Tick struct{}
)

func (Joined) event()         {}
func (Left) event()           {}
func (Added) event()          {}
func (Seen) event()           {}
func (Settled) event()        {}
func (Announced) event()      {}
func (Fetched) event()        {}
func (Sent) event()           {}
func (Pending) event()        {}
func (Checked) event()        {}
func (Synced) event()         {}
func (Imported) event()       {}
func (BlockSeen) event()      {}
func (BlockAnnounced) event() {}
func (Refused) event()        {}
func (HeaderFetched) event()  {}
func (BodiesFetched) event()  {}
func (Gate) event()           {}
func (Tick) event()           {}

// Queue names what a peer is sent; of each, one is under way at a time.
type Queue uint8

// The queues.
const (
	Pushes Queue = iota
	Announces
	Blocks
	numQueues
)

// String is the queue's name.
func (q Queue) String() string {
	switch q {
	case Pushes:
		return "pushes"
	case Announces:
		return "announces"
	case Blocks:
		return "blocks"
	}
	return "unknown"
}

// Effect is what the core wants done. The set is sealed.
type Effect interface{ effect() }

// The effects.
type (
	// Push sends transactions of the pool in full; those that have left it are
	// left out. Answered by Sent.
	Push struct {
		To     peer.ID
		Hashes []chain.Hash
	}
	// Announce sends hashes. Answered by Sent.
	Announce struct {
		To  peer.ID
		Txs []wire.TxID
	}
	// PushBlock sends a block in full. Answered by Sent.
	PushBlock struct {
		To     peer.ID
		Block  chain.Block
		Weight chain.Weight
	}
	// AnnounceBlock sends a block's name. Answered by Sent.
	AnnounceBlock struct {
		To     peer.ID
		Ref    chain.Ref
		Weight chain.Weight
	}
	// Fetch asks a peer for transactions, within FetchTimeout. Answered by
	// Fetched.
	Fetch struct {
		From peer.ID
		Txs  []wire.TxID
	}
	// ReadPending asks the pool for all that it holds. Answered by Pending.
	ReadPending struct{ To peer.ID }
	// FetchHeader asks a peer for the header of a block, by its hash, within
	// FetchTimeout. Answered by HeaderFetched.
	FetchHeader struct {
		From peer.ID
		Ref  chain.Ref
	}
	// FetchBodies asks a peer for the bodies of blocks, within FetchTimeout, and
	// has the blocks judged. Answered by BodiesFetched.
	FetchBodies struct {
		From    peer.ID
		Headers []chain.Header
	}
	// Hint says of a peer that it claims a block: what it has of its chain is for
	// the sync to find out.
	Hint struct {
		From   peer.ID
		Ref    chain.Ref
		Weight chain.Weight
	}
	// Withhold keeps a transaction from those who ask, but for peers that know of
	// it and those that a Push or an Announce tells of it, until Release.
	Withhold struct {
		Hash  chain.Hash
		Known []peer.ID
	}
	// Release ends a Withhold.
	Release struct{ Hash chain.Hash }
	// Charge makes a peer pay.
	Charge struct {
		Peer    peer.ID
		Offense peer.Offense
		Detail  string
	}
)

func (Push) effect()          {}
func (Announce) effect()      {}
func (PushBlock) effect()     {}
func (AnnounceBlock) effect() {}
func (Fetch) effect()         {}
func (FetchHeader) effect()   {}
func (FetchBodies) effect()   {}
func (Hint) effect()          {}
func (ReadPending) effect()   {}
func (Withhold) effect()      {}
func (Release) effect()       {}
func (Charge) effect()        {}
