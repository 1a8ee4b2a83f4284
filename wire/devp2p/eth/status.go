package eth

import (
	"github.com/ethereum/go-ethereum/rlp"

	"github.com/starlingp2p/starling/chain"
)

// maxDifficultyBits bounds a total difficulty: no chain comes near it
// (go-ethereum eth/protocols/eth, "TD bit length").
const maxDifficultyBits = 100

// Status opens a session. Which fields travel depends on the version.
type Status struct {
	Version uint64
	Network uint64
	Genesis chain.Hash
	Fork    ForkID

	Difficulty chain.Weight // of the head; eth/68 only
	Head       chain.Hash   // the newest block
	Earliest   uint64       // the range that is served; from eth/69 on
	Latest     uint64       // the head's number; from eth/69 on
}

// Append appends the payload for a version.
func (s Status) Append(b []byte, v Version) []byte {
	var in []byte
	in = rlp.AppendUint64(in, s.Version)
	in = rlp.AppendUint64(in, s.Network)
	if v.HasDifficulty() {
		in = appendWeight(in, s.Difficulty)
		in = appendHash(in, s.Head)
		in = appendHash(in, s.Genesis)
		in = s.Fork.append(in)
	} else {
		in = appendHash(in, s.Genesis)
		in = s.Fork.append(in)
		in = rlp.AppendUint64(in, s.Earliest)
		in = rlp.AppendUint64(in, s.Latest)
		in = appendHash(in, s.Head)
	}
	return append(appendHead(b, len(in)), in...)
}

// DecodeStatus reads the payload of a version. It judges the form only.
func DecodeStatus(b []byte, v Version) (s Status, err error) {
	c := message(b)
	s.Version = c.uint()
	s.Network = c.uint()
	if v.HasDifficulty() {
		s.Difficulty = c.weight(maxDifficultyBits)
		s.Head = c.hash()
		s.Genesis = c.hash()
		s.Fork = c.forkID()
	} else {
		s.Genesis = c.hash()
		s.Fork = c.forkID()
		s.Earliest = c.uint()
		s.Latest = c.uint()
		s.Head = c.hash()
	}
	return s, c.end("status")
}
