package codec

import (
	"encoding/binary"
	"fmt"

	"github.com/starlingp2p/starling/chain"
)

// Version is the layout of an execution payload. It follows from the fork that
// is active at the payload's time.
type Version uint8

// The versions: before Canyon; Canyon and Delta; Ecotone to Holocene; Isthmus
// and later.
const (
	V1 Version = iota + 1
	V2
	V3
	V4
)

// fixedSize is the length of a payload's fixed part, by version.
var fixedSize = [...]int{V1: 508, V2: 512, V3: 528, V4: 560}

// String is "V1" to "V4".
func (v Version) String() string { return fmt.Sprintf("V%d", uint8(v)) }

// Valid reports whether v is one of the versions.
func (v Version) Valid() bool { return v >= V1 && v <= V4 }

// Enveloped reports whether a parent beacon block root travels before the
// payload.
func (v Version) Enveloped() bool { return v >= V3 }

const (
	withdrawalSize = 44
	bloomSize      = 256
)

// Payload is a decoded execution payload. Slices share the memory that it was
// decoded from; none is ever changed.
type Payload struct {
	Version       Version
	ParentHash    chain.Hash
	FeeRecipient  [20]byte
	StateRoot     chain.Hash
	ReceiptsRoot  chain.Hash
	LogsBloom     [bloomSize]byte
	PrevRandao    chain.Hash
	Number        uint64
	GasLimit      uint64
	GasUsed       uint64
	Time          uint64 // Unix seconds
	ExtraData     []byte
	BaseFee       [32]byte // big-endian
	BlockHash     chain.Hash
	Txs           []byte // an SSZ list of byte lists; see Transactions
	Withdrawals   []byte // from V2 on; 44 bytes each
	BlobGasUsed   uint64 // from V3 on
	ExcessBlobGas uint64 // from V3 on
	// WithdrawalsRoot is from V4 on. With EmptyRoot op-node encodes the layout
	// of V3, which then does not decode as V4; so does AppendPayload.
	WithdrawalsRoot chain.Hash
}

// layout is the version that the encoding has.
func (p *Payload) layout() Version {
	if p.Version == V4 && p.WithdrawalsRoot == EmptyRoot {
		return V3
	}
	return p.Version
}

// Size is the length of the encoding in bytes.
func (p *Payload) Size() int {
	n := fixedSize[p.layout()] + len(p.ExtraData) + len(p.Txs)
	if p.Version >= V2 {
		n += len(p.Withdrawals)
	}
	return n
}

// AppendPayload appends the encoding of p, whose Version must be valid and
// whose lists within their bounds: what DecodePayload gave, or a producer made.
func AppendPayload(dst []byte, p *Payload) []byte {
	le := binary.LittleEndian
	v := p.layout()
	fixed := fixedSize[v]
	dst = append(dst, p.ParentHash[:]...)
	dst = append(dst, p.FeeRecipient[:]...)
	dst = append(dst, p.StateRoot[:]...)
	dst = append(dst, p.ReceiptsRoot[:]...)
	dst = append(dst, p.LogsBloom[:]...)
	dst = append(dst, p.PrevRandao[:]...)
	dst = le.AppendUint64(dst, p.Number)
	dst = le.AppendUint64(dst, p.GasLimit)
	dst = le.AppendUint64(dst, p.GasUsed)
	dst = le.AppendUint64(dst, p.Time)
	dst = le.AppendUint32(dst, uint32(fixed))
	for i := len(p.BaseFee) - 1; i >= 0; i-- {
		dst = append(dst, p.BaseFee[i])
	}
	dst = append(dst, p.BlockHash[:]...)
	dst = le.AppendUint32(dst, uint32(fixed+len(p.ExtraData)))
	if v >= V2 {
		dst = le.AppendUint32(dst, uint32(fixed+len(p.ExtraData)+len(p.Txs)))
	}
	if v >= V3 {
		dst = le.AppendUint64(dst, p.BlobGasUsed)
		dst = le.AppendUint64(dst, p.ExcessBlobGas)
	}
	if v >= V4 {
		dst = append(dst, p.WithdrawalsRoot[:]...)
	}
	dst = append(dst, p.ExtraData...)
	dst = append(dst, p.Txs...)
	if v >= V2 {
		dst = append(dst, p.Withdrawals...)
	}
	return dst
}

// DecodePayload decodes an execution payload of a version, with all checks of
// op-node's decoder. The result shares b's memory, which must not change
// afterwards. It takes no memory that depends on b.
func DecodePayload(b []byte, v Version) (*Payload, error) {
	if !v.Valid() {
		return nil, fmt.Errorf("opstack: payload version %d is unknown", v)
	}
	fixed := fixedSize[v]
	if len(b) < fixed {
		return nil, bad("payload %s has %d bytes, its fixed part takes %d", v, len(b), fixed)
	}
	p := &Payload{Version: v}
	c := cursor{b: b}
	copy(p.ParentHash[:], c.next(32))
	copy(p.FeeRecipient[:], c.next(20))
	copy(p.StateRoot[:], c.next(32))
	copy(p.ReceiptsRoot[:], c.next(32))
	copy(p.LogsBloom[:], c.next(bloomSize))
	copy(p.PrevRandao[:], c.next(32))
	p.Number, p.GasLimit, p.GasUsed, p.Time = c.u64(), c.u64(), c.u64(), c.u64()
	extraAt := int(c.u32())
	for i, x := range c.next(32) {
		p.BaseFee[31-i] = x
	}
	copy(p.BlockHash[:], c.next(32))
	txsAt, endTxs := int(c.u32()), len(b)
	if v >= V2 {
		endTxs = int(c.u32())
	}
	if v >= V3 {
		p.BlobGasUsed, p.ExcessBlobGas = c.u64(), c.u64()
	}
	if v >= V4 {
		copy(p.WithdrawalsRoot[:], c.next(32))
	}
	switch {
	case extraAt != fixed:
		return nil, bad("payload %s: extra data begins at %d, want %d", v, extraAt, fixed)
	case txsAt < extraAt || txsAt > extraAt+MaxExtraData || txsAt > len(b):
		return nil, bad("payload %s of %d bytes: transactions begin at %d, extra data at %d has at most %d", v, len(b), txsAt, extraAt, MaxExtraData)
	case endTxs < txsAt || endTxs > len(b):
		return nil, bad("payload %s of %d bytes: withdrawals begin at %d, transactions at %d", v, len(b), endTxs, txsAt)
	}
	p.ExtraData = b[extraAt:txsAt:txsAt]
	p.Txs = b[txsAt:endTxs:endTxs]
	if err := checkTxs(p.Txs); err != nil {
		return nil, err
	}
	if v >= V2 {
		p.Withdrawals = b[endTxs:len(b):len(b)]
		if n := len(p.Withdrawals); n%withdrawalSize != 0 || n/withdrawalSize > MaxWithdrawals {
			return nil, bad("payload %s: %d bytes of withdrawals, want a multiple of %d and at most %d of them", v, n, withdrawalSize, MaxWithdrawals)
		}
	}
	return p, nil
}

// cursor reads a fixed part whose length was checked.
type cursor struct {
	b  []byte
	at int
}

func (c *cursor) next(n int) []byte {
	c.at += n
	return c.b[c.at-n : c.at]
}

func (c *cursor) u64() uint64 { return binary.LittleEndian.Uint64(c.next(8)) }
func (c *cursor) u32() uint32 { return binary.LittleEndian.Uint32(c.next(4)) }
