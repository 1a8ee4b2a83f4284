package codec

import (
	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
)

// CheckRange checks that blocks are those of a range by number, in its order,
// as far as their headers tell. The lists of transactions are not looked at:
// CheckBody checks them against the headers, where they are taken.
func CheckRange(rg chain.Range, blocks []chain.Block) error {
	number, step := rg.From.Number, uint64(rg.Skip)+1
	if rg.Reverse {
		step = -step // which wraps: so does the sum
	}
	for _, b := range blocks {
		h := b.Header
		if h.Ref.Number != number {
			return fault(peer.WrongBlock, "asked for block %d, got %d", number, h.Ref.Number)
		}
		e, _, err := ParseHeader(h.Bytes)
		if err != nil {
			return err
		}
		if !Describes(e, h) {
			return fault(peer.WrongBlock, "the header of block %d is not what it says of itself", number)
		}
		if n := len(b.Extra); n != 0 && n != SignatureSize {
			return fault(peer.WrongBlock, "block %d has %d bytes beside it, want none or a signature", number, n)
		}
		number += step
	}
	return nil
}
