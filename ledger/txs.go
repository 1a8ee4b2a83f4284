package ledger

import (
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/starlingp2p/starling/chain"
)

// listedTogether is how many blocks have their transactions found at once.
const listedTogether = 16

// listing finds the transactions of blocks that are about to be imported, some
// at once, and on other processors than the importer's: to find them is to hash
// every byte of a block. A nil listing finds them when asked. One goroutine asks.
type listing struct {
	family Family
	groups []listed
	at     map[chain.Hash]int // index by the block's hash; not changed any more
	ended  atomic.Bool
	wg     sync.WaitGroup
}

// listed is those of some blocks.
type listed struct {
	blocks []chain.Block
	taken  atomic.Bool   // by whoever finds them
	done   chan struct{} // closed when they are found
	txs    [][]chain.Tx
	errs   []error
}

func (e *listed) find(f Family) {
	e.txs, e.errs = txsOf(f, e.blocks)
	close(e.done)
}

// txsOf lists the transactions of each block.
func txsOf(f Family, bs []chain.Block) (txs [][]chain.Tx, errs []error) {
	if l, ok := f.(Lister); ok {
		return l.TxsOf(bs)
	}
	txs, errs = make([][]chain.Tx, len(bs)), make([]error, len(bs))
	for i, b := range bs {
		txs[i], errs[i] = f.Txs(b)
	}
	return txs, errs
}

// list begins to find the transactions of blocks; end is called in any case.
func (l *Ledger) list(blocks []chain.Block) *listing {
	if len(blocks) < 2 {
		return nil
	}
	s := &listing{family: l.family, at: make(map[chain.Hash]int, len(blocks))}
	for i, b := range blocks {
		s.at[b.Header.Ref.Hash] = i
	}
	s.groups = make([]listed, (len(blocks)+listedTogether-1)/listedTogether)
	for i := range s.groups {
		from := i * listedTogether
		s.groups[i].blocks = blocks[from:min(from+listedTogether, len(blocks))]
		s.groups[i].done = make(chan struct{})
	}
	for range min(runtime.GOMAXPROCS(0)-1, len(s.groups)) {
		s.wg.Go(func() {
			for i := range s.groups {
				if e := &s.groups[i]; !s.ended.Load() && e.taken.CompareAndSwap(false, true) {
					e.find(s.family)
				}
			}
		})
	}
	return s
}

// end stops what is not asked for any more, and waits.
func (s *listing) end() {
	if s != nil {
		s.ended.Store(true)
		s.wg.Wait()
	}
}

// txs gives those of a block; f finds them where nobody was told to.
func (s *listing) txs(f Family, b chain.Block) ([]chain.Tx, error) {
	if s == nil {
		return f.Txs(b)
	}
	i, ok := s.at[b.Header.Ref.Hash]
	if !ok {
		return f.Txs(b)
	}
	e := &s.groups[i/listedTogether]
	i %= listedTogether
	if !sameBytes(e.blocks[i].Body, b.Body) {
		return f.Txs(b)
	}
	if e.taken.CompareAndSwap(false, true) {
		e.find(f)
	}
	<-e.done
	return e.txs[i], e.errs[i]
}

// sameBytes reports whether two slices are the same memory.
func sameBytes(a, b []byte) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}
