package chain

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/starlingp2p/starling/peer"
)

// Errors that the node branches on. Implementations wrap them.
var (
	// ErrNotFound: the chain has no such block, header or transaction.
	ErrNotFound = errors.New("chain: not found")
	// ErrUnknownParent: a block's parent is neither imported nor in the same call.
	ErrUnknownParent = errors.New("chain: unknown parent")
	// ErrInvalid: the data breaks a rule of the chain. Whoever delivered it pays.
	ErrInvalid = errors.New("chain: invalid")
	// ErrUnjudged: nobody can tell yet whether headers are right, for want of the
	// ancestors from which it follows, with which the same may be judged. It is
	// nobody's fault.
	ErrUnjudged = errors.New("chain: cannot be judged without its ancestors")
	// ErrReorgTooDeep: taking the block would undo more than the chain allows.
	ErrReorgTooDeep = errors.New("chain: reorganisation too deep")
	// ErrCorrupt: what is stored does not match its hash, or breaks an
	// invariant. It is neither served nor deleted; the operator must act.
	ErrCorrupt = errors.New("chain: stored data is corrupt")
	// ErrFull: the disk took no more. Reads go on; the call may be repeated.
	ErrFull = errors.New("chain: storage is full")
)

// Reader gives out what the chain holds. Every method is safe for concurrent
// use. All but Status may read the disk and end early with ctx.
type Reader interface {
	// Status never blocks and reads no disk: the node calls it for every handshake.
	Status() Status
	// Header gives one header: by hash where ref has one, staged ones included,
	// else the canonical one of that number. ErrNotFound if there is none.
	Header(ctx context.Context, ref Ref) (Header, error)
	// Block is Header, with the body.
	Block(ctx context.Context, ref Ref) (Block, error)
	// Headers gives canonical headers (those of a branch where the hash of
	// r.From is on one, which may end early) until one is missing, r.Count or
	// r.MaxBytes is reached. Staged ones are in no range. ErrNotFound if the first
	// is missing.
	Headers(ctx context.Context, r Range) ([]Header, error)
	// Blocks is Headers, with the bodies.
	Blocks(ctx context.Context, r Range) ([]Block, error)
}

// Checker tells valid data from invalid. Every method is pure or reads only
// what is immutable; all are called concurrently from validation workers, with
// data from hostile peers.
type Checker interface {
	// Check says whether a block that was gossiped may be relayed: cheap
	// checks, cheapest first, that need no parent. Accept covers the whole
	// block, body and Extra too: the node lets the first copy that was accepted
	// stand for its hash and ignores later ones, so a block whose body or Extra
	// does not belong to its header must not be accepted. A chain that cannot
	// tell that here has Extra empty in gossip, or checks that it is.
	Check(Block) Verdict
	// VerifyHeaders checks that each header links to the one before it (the
	// first to parent) and is authentic. n headers are good; the error tells
	// what is wrong with the next and wraps ErrInvalid, or ErrUnjudged where that
	// cannot be told, or is nil if n is all.
	VerifyHeaders(parent Header, hs []Header) (n int, err error)
	// VerifyBody checks body and extra against a verified header. Its error
	// wraps ErrInvalid.
	VerifyBody(h Header, body, extra []byte) error
}

// Importer takes blocks in. The node calls it from one goroutine at a time.
// Its methods may write the disk and block.
type Importer interface {
	// Import takes blocks whose headers and bodies are verified, in order, each
	// the child of the one before; the parent of the first is imported. The
	// first n are durable when it returns: they survive kill -9 and power loss.
	// A block that is imported already counts and changes nothing. Whether they
	// become the head is the chain's fork choice: see Status. An error that
	// wraps ErrInvalid, ErrUnknownParent or ErrReorgTooDeep is about block n;
	// any other is our own trouble.
	Import(ctx context.Context, blocks []Block) (n int, err error)
	// Stage keeps blocks that are linked to a trusted target but whose parent
	// is missing, durably. Header and Block find them by hash; Import of the
	// same block removes it from the stage.
	Stage(ctx context.Context, blocks []Block) error
	// Staged lists the staged blocks by ascending number.
	Staged(ctx context.Context) ([]Ref, error)
}

// Chain is what an embedder plugs in.
type Chain interface {
	Reader
	Checker
	Importer
}

// BodiesChecker is a role of a chain that verifies bodies quicker together than
// one by one.
type BodiesChecker interface {
	// VerifyBodies is VerifyBody of each block: errs[i] is what it says of
	// bs[i]. Like it, it is called concurrently; the node gives it some tens of
	// blocks at most, of any senders.
	VerifyBodies(bs []Block) (errs []error)
}

// VerifyBodies has bodies verified together by a chain with that role, and one
// by one by any other. Where a role's answer does not fit, none is verified, and
// no sender is to blame.
func VerifyBodies(c Checker, bs []Block) []error {
	if together, ok := c.(BodiesChecker); ok {
		errs := together.VerifyBodies(bs)
		if len(errs) != len(bs) {
			errs = slices.Repeat([]error{fmt.Errorf("chain: VerifyBodies told %d errors of %d blocks, want one each, or nil", len(errs), len(bs))}, len(bs))
		}
		return errs
	}
	errs := make([]error, len(bs))
	for i, b := range bs {
		errs[i] = c.VerifyBody(b.Header, b.Body, b.Extra)
	}
	return errs
}

// HeadersChecker is a role of a Checker that may have to read much of its own
// chain before it can verify headers.
type HeadersChecker interface {
	// VerifyHeadersContext is VerifyHeaders, and gives up when ctx ends: its
	// error then wraps the context's and not ErrInvalid.
	VerifyHeadersContext(ctx context.Context, parent Header, hs []Header) (n int, err error)
}

// VerifyHeaders has headers verified for as long as ctx lets a Checker with that
// role; by any other they are verified to the end.
func VerifyHeaders(ctx context.Context, c Checker, parent Header, hs []Header) (n int, err error) {
	if until, ok := c.(HeadersChecker); ok {
		return until.VerifyHeadersContext(ctx, parent, hs)
	}
	return c.VerifyHeaders(parent, hs)
}

// Weigher is a role of a chain whose wire sends blocks together with the weight
// of the branch up to them.
type Weigher interface {
	// Weigh gives the weight of the branch up to h. The header need not be
	// imported, but its parent must be: else it is ErrUnknownParent. It may read
	// the disk.
	Weigh(ctx context.Context, h Header) (Weight, error)
}

// TxReader is a role of a chain that finds imported transactions.
type TxReader interface {
	// Tx may read the disk. ErrNotFound if the transaction is in no canonical block.
	Tx(ctx context.Context, hash Hash) (Tx, error)
}

// TxFinder is a role of a TxReader that tells what it costs.
type TxFinder interface {
	// FindTx is Tx, and tells how many bytes were read for it: those of a block,
	// as a rule. They count where nothing was found too.
	FindTx(ctx context.Context, hash Hash) (tx Tx, read int, err error)
}

// TxPool is a role: transactions that wait for a block. Every method is safe
// for concurrent use and none waits for a peer.
type TxPool interface {
	// Has reports whether the transaction is in the pool, or was found unfit
	// so recently that it need not be fetched.
	Has(hash Hash) bool
	// Get gives a transaction of the pool.
	Get(hash Hash) (Tx, bool)
	// Add offers transactions from peers and gives a verdict for each. The
	// bytes are hostile: Hash and Sender are what the pool computes, whatever
	// the caller filled in. It may use CPU for signatures; it reads no disk.
	//
	// The verdicts decide about relaying: gossip brings transactions in
	// bundles, a call for each, and a bundle is relayed as it came, if one in it
	// is accepted and none is rejected. So where one is accepted, Ignored says
	// of another that it is authentic: it costs whoever relays it nothing. One
	// that was not looked at gets Ignored(Unchecked), which keeps its bundle
	// from being relayed. After a forged one a pool may leave the rest
	// unchecked, since the bundle is lost anyway.
	Add(txs []Tx) []Verdict
	// Pending gives transactions fit for the next block, best first, at most
	// max of them and at most maxBytes in sum (0: no bound).
	Pending(max, maxBytes int) []Tx
	// Subscribe gives transactions as they enter the pool, until ctx ends and
	// the channel is closed. A reader that lags loses the oldest.
	Subscribe(ctx context.Context) <-chan []Tx
}

// LocalTxPool is a role of a TxPool that treats this node's own transactions
// apart: they are journalled and never evicted for others.
type LocalTxPool interface {
	// AddLocal is TxPool.Add for transactions of our own. It may write the disk.
	AddLocal(ctx context.Context, txs []Tx) []Verdict
	// Local gives those of them that still wait, in an order in which a pool
	// can take them. The node tells its peers of them again now and then.
	Local() []Tx
}

// Consensus is a role: the engine behind the consensus lane.
type Consensus interface {
	// Handle takes a consensus message from a peer. It may block up to the
	// node's validation deadline; calls are concurrent.
	Handle(ctx context.Context, from peer.ID, msg []byte) Verdict
	// Validators names those that may speak now. It must be quick: the node
	// keeps links and slots for those whose peer is known.
	Validators(ctx context.Context) []Validator
}

// Validator is a member of the consensus. Peer is empty where it is not known.
type Validator struct {
	Key  []byte
	Peer peer.ID
}
