package eth

import (
	"github.com/starlingp2p/starling/chain"
)

// NewBlock is a block in full, with the total difficulty of the chain up to it
// (eth/68).
type NewBlock struct {
	Header, Body []byte // Body as in BlockBodies
	Difficulty   chain.Weight
}

// Append appends the payload. A Body that is no list is an error of ours.
func (m NewBlock) Append(b []byte) ([]byte, error) {
	head, rest, err := joinBlock(m.Header, m.Body)
	if err != nil {
		return nil, err
	}
	td := appendWeight(nil, m.Difficulty)
	block := len(head) + len(rest)
	b = appendHead(b, listSize(block)+len(td))
	b = append(append(appendHead(b, block), head...), rest...)
	return append(b, td...), nil
}

// DecodeNewBlock reads the payload.
func DecodeNewBlock(b []byte) (m NewBlock, err error) {
	c := message(b)
	block := c.raw()
	m.Difficulty = c.weight(maxDifficultyBits)
	if err := c.end("block"); err != nil {
		return m, err
	}
	if m.Header, m.Body, err = SplitBlock(block); err != nil {
		return m, err
	}
	return m, checkBody(m.Body)
}
