package ledger

import (
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/starlingp2p/starling/chain"
)

// listing finds the transactions of blocks that are about to be imported, on
// other processors than the importer's: to find them is to hash every byte of a
// block. A nil listing finds them when asked. One goroutine asks.
type listing struct {
	family Family
	blocks []listed
	at     map[chain.Hash]int // index by the block's hash; not changed any more
	ended  atomic.Bool
	wg     sync.WaitGroup
}

// listed is those of one block.
type listed struct {
	block chain.Block
	taken atomic.Bool   // by whoever finds them
	done  chan struct{} // closed when they are found
	txs   []chain.Tx
	err   error
}

func (e *listed) find(f Family) {
	e.txs, e.err = f.Txs(e.block)
	close(e.done)
}

// list begins to find the transactions of blocks; end is called in any case.
func (l *Ledger) list(blocks []chain.Block) *listing {
	helpers := min(runtime.GOMAXPROCS(0)-1, len(blocks)-1)
	if helpers <= 0 {
		return nil
	}
	s := &listing{family: l.family, blocks: make([]listed, len(blocks)), at: make(map[chain.Hash]int, len(blocks))}
	for i, b := range blocks {
		s.blocks[i].block, s.blocks[i].done = b, make(chan struct{})
		s.at[b.Header.Ref.Hash] = i
	}
	for range helpers {
		s.wg.Go(func() {
			for i := range s.blocks {
				if e := &s.blocks[i]; !s.ended.Load() && e.taken.CompareAndSwap(false, true) {
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
	if !ok || !sameBytes(s.blocks[i].block.Body, b.Body) {
		return f.Txs(b)
	}
	e := &s.blocks[i]
	if e.taken.CompareAndSwap(false, true) {
		e.find(f)
	}
	<-e.done
	return e.txs, e.err
}

// sameBytes reports whether two slices are the same memory.
func sameBytes(a, b []byte) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}
