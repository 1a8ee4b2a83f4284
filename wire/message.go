package wire

import "github.com/starlingp2p/starling/chain"

// Message is what peers tell each other unasked. The set is sealed; switch
// over it with a default, since it may grow.
type Message interface{ message() }

// The messages.
type (
	// Block is a block in full. Weight is that of the branch up to it, for wires
	// whose message has it; zero where it is not known. The weight that a peer
	// sends is its claim, and is reported as Claimed.
	Block struct {
		Block  chain.Block
		Weight chain.Weight
	}
	// BlockAnnounce says that the sender has a block.
	BlockAnnounce struct {
		Ref    chain.Ref
		Weight chain.Weight
	}
	// Txs are transactions in full. From a peer Bytes is filled in, and Hash and
	// Kind, computed from it, by wires that gossip by session.
	Txs struct{ Txs []chain.Tx }
	// TxAnnounce says that the sender has transactions.
	TxAnnounce struct{ Txs []TxID }
	// Consensus is a message of the chain's consensus, opaque to us.
	Consensus struct{ Bytes []byte }
	// App is the application's own broadcast on one of its topics.
	App struct {
		Topic string
		Bytes []byte
	}
)

// TxID announces one transaction. Kind and Size are 0 where the wire does not
// carry them.
type TxID struct {
	Hash chain.Hash
	Kind byte
	Size uint32 // bytes
}

func (Block) message()         {}
func (BlockAnnounce) message() {}
func (Txs) message()           {}
func (TxAnnounce) message()    {}
func (Consensus) message()     {}
func (App) message()           {}
