package wire

import (
	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
)

// Request is what a peer can be asked. The set is sealed; a kind that a wire
// lacks is ErrUnsupported, and Caps tells beforehand.
//
// MaxBytes is how much of an answer a wire can send, so that nothing is read for
// what is left out; 0: as much as whoever answers gives. It goes into no
// message, and one item is given however large it is.
type Request interface{ request() }

// The requests.
type (
	// GetHeaders asks for headers; answered by Headers.
	GetHeaders struct{ Range chain.Range }
	// GetBodies asks for the bodies of blocks by hash; answered by Bodies. Headers,
	// where whoever asks has them, are those of Hashes, one for each: a wire whose
	// answers do not name their blocks tells by them which body is whose.
	// BodiesOnly: what a wire has to ask for apart to put it beside the bodies
	// (Body.Extra) is not wanted. It goes into no message.
	GetBodies struct {
		Hashes     []chain.Hash
		Headers    []chain.Header
		MaxBytes   int
		BodiesOnly bool
	}
	// GetBlocks asks for a range of whole blocks; answered by Blocks.
	GetBlocks struct{ Range chain.Range }
	// GetBlocksByHash asks for whole blocks; answered by Blocks.
	GetBlocksByHash struct {
		Hashes   []chain.Hash
		MaxBytes int
	}
	// GetReceipts asks for the receipts of blocks by hash; answered by Receipts.
	GetReceipts struct {
		Hashes   []chain.Hash
		MaxBytes int
	}
	// GetTxs asks for transactions by hash; answered by TxList. With Pooled it
	// asks for none that a block has: that is all the question means on some
	// wires, and blocks do not keep all of a transaction that was sent about.
	GetTxs struct {
		Hashes   []chain.Hash
		MaxBytes int
		Pooled   bool
	}
	// GetAddrs asks for addresses of other peers; answered by Addrs.
	GetAddrs struct{ Max int }
	// AppRequest is the application's own; answered by AppResponse. Protocol
	// is empty for the node's Handler, or the name that a service brought.
	AppRequest struct {
		Protocol string
		Bytes    []byte
	}
)

func (GetHeaders) request()      {}
func (GetBodies) request()       {}
func (GetBlocks) request()       {}
func (GetBlocksByHash) request() {}
func (GetReceipts) request()     {}
func (GetTxs) request()          {}
func (GetAddrs) request()        {}
func (AppRequest) request()      {}

// Response answers a Request. The set is sealed.
type Response interface{ response() }

// The responses. Lists hold what the peer had, in the order that was asked
// for, and may be shorter than the request. Bodies and Receipts leave out what
// the peer lacks, so Hashes tells what each entry belongs to.
type (
	Headers struct{ Headers []chain.Header }
	Bodies  struct {
		Hashes []chain.Hash
		Bodies []Body
	}
	Blocks   struct{ Blocks []chain.Block }
	Receipts struct {
		Hashes   []chain.Hash
		Receipts [][]byte
	}
	TxList      struct{ Txs []chain.Tx }
	Addrs       struct{ Addrs []peer.Addr }
	AppResponse struct{ Bytes []byte }
)

// Body is a block's body, with what travels beside it.
type Body struct{ Body, Extra []byte }

func (Headers) response()     {}
func (Bodies) response()      {}
func (Blocks) response()      {}
func (Receipts) response()    {}
func (TxList) response()      {}
func (Addrs) response()       {}
func (AppResponse) response() {}

// KindOf is the fixed name of a request, fit for a metric label.
func KindOf(r Request) string {
	switch r.(type) {
	case GetHeaders:
		return "headers"
	case GetBodies:
		return "bodies"
	case GetBlocks, GetBlocksByHash:
		return "blocks"
	case GetReceipts:
		return "receipts"
	case GetTxs:
		return "txs"
	case GetAddrs:
		return "addrs"
	case AppRequest:
		return "app"
	}
	return "unknown"
}
