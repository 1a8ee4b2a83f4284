package codec

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/ethereum/go-ethereum/p2p/enr"
	"github.com/ethereum/go-ethereum/rlp"
)

// ENREntry is the "opstack" entry of a node record: which chain a node is on.
type ENREntry struct {
	ChainID uint64
	Version uint64 // 0 is the only one there is
}

var _ enr.Entry = ENREntry{}

// ENRKey implements enr.Entry.
func (ENREntry) ENRKey() string { return "opstack" }

// EncodeRLP implements rlp.Encoder: a byte string of two LEB128 numbers.
func (e ENREntry) EncodeRLP(w io.Writer) error {
	b := binary.AppendUvarint(nil, e.ChainID)
	return rlp.Encode(w, binary.AppendUvarint(b, e.Version))
}

// maxENREntry is what is read of an entry: two numbers take 20 bytes, and
// op-node ignores what follows them.
const maxENREntry = enr.SizeLimit

// DecodeRLP implements rlp.Decoder.
func (e *ENREntry) DecodeRLP(s *rlp.Stream) error {
	kind, size, err := s.Kind()
	if err != nil {
		return fmt.Errorf("opstack: record entry: %w", err)
	}
	if kind == rlp.List || size > maxENREntry {
		return fmt.Errorf("opstack: record entry of %d bytes is no short byte string", size)
	}
	b, err := s.Bytes()
	if err != nil {
		return fmt.Errorf("opstack: record entry: %w", err)
	}
	id, n := binary.Uvarint(b)
	if n <= 0 {
		return fmt.Errorf("opstack: record entry %x: the chain id is no number of 64 bits", b)
	}
	version, m := binary.Uvarint(b[n:])
	if m <= 0 {
		return fmt.Errorf("opstack: record entry %x: the version is no number of 64 bits", b)
	}
	*e = ENREntry{ChainID: id, Version: version}
	return nil
}

// OnChain reports whether a node record is one of a node of a chain.
func OnChain(r *enr.Record, chainID uint64) bool {
	var e ENREntry
	return r.Load(&e) == nil && e.ChainID == chainID && e.Version == 0
}
