package codec

import (
	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
)

// CheckRange checks that blocks are those of a range by number, in its order,
// as far as their headers tell, and gives how many are before the first that is
// not. The lists of transactions are not looked at: CheckBody checks them against
// the headers, where they are taken.
func CheckRange(rg chain.Range, blocks []chain.Block) (good int, err error) {
	number, step := rg.From.Number, uint64(rg.Skip)+1
	if rg.Reverse {
		step = -step // which wraps: so does the sum
	}
	for i, b := range blocks {
		h := b.Header
		if h.Ref.Number != number {
			what := peer.WrongBlock
			if ahead := int64(h.Ref.Number - number); i > 0 && (ahead > 0) != rg.Reverse {
				what = peer.ShortAnswer // the one between is left out
			} else if i > 0 {
				what = peer.UnorderedAnswer
			}
			return i, fault(what, "asked for block %d, got %d", number, h.Ref.Number)
		}
		e, _, err := ParseHeader(h.Bytes)
		if err != nil {
			return i, err
		}
		if !Describes(e, h) {
			return i, fault(peer.WrongBlock, "the header of block %d is not what it says of itself", number)
		}
		if n := len(b.Extra); n != 0 && n != SignatureSize {
			return i, fault(peer.WrongBlock, "block %d has %d bytes beside it, want none or a signature", number, n)
		}
		number += step
	}
	return len(blocks), nil
}
