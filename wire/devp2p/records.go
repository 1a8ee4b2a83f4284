package devp2p

import (
	"net/netip"
	"sync"

	"github.com/ethereum/go-ethereum/p2p/enode"
	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/starlingp2p/starling/peer"
)

// maxRecords bounds the records that are remembered; the one that was not looked
// for longest goes first.
const maxRecords = 1024

// records are the newest node records that we were given or found, for people:
// nothing is decided by them. A leaf, and safe for concurrent use.
type records struct {
	mu sync.Mutex
	of *simplelru.LRU[peer.ID, *enode.Node]
}

func newRecords() *records {
	of, err := simplelru.NewLRU[peer.ID, *enode.Node](maxRecords, nil)
	if err != nil {
		panic(err) // the size is a constant
	}
	return &records{of: of}
}

// note takes a record in, unless a newer one is known. What an enode URL says is
// no record: nobody has signed it.
func (r *records) note(id peer.ID, n *enode.Node) {
	if n.Seq() == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if old, ok := r.of.Get(id); !ok || old.Seq() < n.Seq() {
		r.of.Add(id, n)
	}
}

// text is the record of a peer; empty if none is known.
func (r *records) text(id peer.ID) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n, ok := r.of.Get(id); ok {
		return n.String()
	}
	return ""
}

// PeerLink is what admin_peers shows of a peer's link: our end of it, and the
// peer's node record where discovery found it or it was given as an address.
// Both are empty if there is no session.
func (w *Wire) PeerLink(id peer.ID) (local netip.AddrPort, record string) {
	n := w.node.Load()
	if n == nil {
		return local, ""
	}
	s := n.described(id)
	if s == nil {
		return local, ""
	}
	return s.local, w.records.text(id)
}
