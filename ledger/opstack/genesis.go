package opstack

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/wire/opstack/codec"
)

// An anchor stands for a genesis whose header is not known: a tag that no list
// of RLP begins with, number, time and hash.
const (
	anchorTag  = 0x01
	anchorSize = 1 + 8 + 8 + 32
)

// maxTime keeps times within what package time can count.
const maxTime = 1 << 40

// block is the genesis as the chain's contract has it.
func (g Genesis) block() (chain.Block, error) {
	if len(g.Header) > 0 {
		e, root, err := codec.ParseHeader(g.Header)
		if err != nil {
			return chain.Block{}, fmt.Errorf("opstack: genesis header: %w", err)
		}
		if root != codec.EmptyRoot {
			return chain.Block{}, errors.New("opstack: genesis header: a genesis has no transactions")
		}
		if !g.Hash.IsZero() && g.Hash != e.BlockHash {
			return chain.Block{}, fmt.Errorf("opstack: genesis hash is %v, its header has %v", g.Hash, e.BlockHash)
		}
		return chain.Block{Header: headerOf(e, g.Header), Body: []byte{}}, nil
	}
	switch {
	case g.Hash.IsZero():
		return chain.Block{}, errors.New("opstack: genesis hash is missing: give the L2 genesis block's")
	case g.Time > maxTime:
		return chain.Block{}, fmt.Errorf("opstack: genesis time %d is no time in Unix seconds", g.Time)
	}
	b := binary.BigEndian.AppendUint64(append(make([]byte, 0, anchorSize), anchorTag), g.Number)
	b = binary.BigEndian.AppendUint64(b, g.Time)
	b = append(b, g.Hash[:]...)
	return chain.Block{
		Header: chain.Header{Ref: chain.Ref{Number: g.Number, Hash: g.Hash}, Time: codec.TimeOf(g.Time), Bytes: b},
		Body:   []byte{},
	}, nil
}
