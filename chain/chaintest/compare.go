package chaintest

import (
	"bytes"
	"fmt"

	"github.com/starlingp2p/starling/chain"
)

// sameHeader says how got differs from want.
func sameHeader(got, want chain.Header) error {
	switch {
	case got.Ref != want.Ref:
		return fmt.Errorf("got block %s, want %s", got.Ref, want.Ref)
	case got.Parent != want.Parent:
		return fmt.Errorf("block %s came with parent %s, want %s", want.Ref, got.Parent, want.Parent)
	case !got.Time.Equal(want.Time):
		return fmt.Errorf("block %s came with time %v, want %v", want.Ref, got.Time, want.Time)
	case !bytes.Equal(got.Bytes, want.Bytes):
		return fmt.Errorf("block %s came with other header bytes: %d of them, want %d", want.Ref, len(got.Bytes), len(want.Bytes))
	}
	return nil
}

// sameBlock says how got differs from want.
func sameBlock(got, want chain.Block) error {
	if err := sameHeader(got.Header, want.Header); err != nil {
		return err
	}
	switch {
	case !bytes.Equal(got.Body, want.Body):
		return fmt.Errorf("block %s came with another body: %d bytes, want %d", want.Ref(), len(got.Body), len(want.Body))
	case !bytes.Equal(got.Extra, want.Extra):
		return fmt.Errorf("block %s came with another extra: %d bytes, want %d", want.Ref(), len(got.Extra), len(want.Extra))
	}
	return nil
}

// refs gives the refs of blocks.
func refs(blocks []chain.Block) []chain.Ref {
	out := make([]chain.Ref, len(blocks))
	for i, b := range blocks {
		out[i] = b.Ref()
	}
	return out
}

// copyBlock is b in memory of its own.
func copyBlock(b chain.Block) chain.Block {
	b.Header.Bytes = bytes.Clone(b.Header.Bytes)
	b.Body = bytes.Clone(b.Body)
	b.Extra = bytes.Clone(b.Extra)
	return b
}

// flip is b with one bit of one byte turned, in memory of its own.
func flip(b []byte, at int) []byte {
	b = bytes.Clone(b)
	b[at] ^= 1
	return b
}
