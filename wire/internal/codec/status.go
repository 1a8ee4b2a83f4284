package codec

import (
	"bytes"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
)

// Version is the version of the suite that a Status tells.
const Version = 1

// Capability bits of a Status. Unknown bits are kept and mean nothing.
const (
	ServesBlocks   uint64 = 1 << 0 // headers and blocks
	ServesTxs      uint64 = 1 << 1 // transactions by hash
	GivesAddrs     uint64 = 1 << 2
	TakesApp       uint64 = 1 << 3 // application requests
	ConsensusLane  uint64 = 1 << 4
	KnownCapsBits         = ServesBlocks | ServesTxs | GivesAddrs | TakesApp | ConsensusLane
	weightBytesMax        = len(chain.Weight{})
)

// Status is what each side says of itself: in the handshake, and with every
// keep-alive. Claims are hints.
type Status struct {
	Version      uint32
	Chain        chain.Status // Network has at most MaxNetwork bytes; Genesis is set
	Time         uint64       // the sender's clock, ms since 1970
	Capabilities uint64
	Agent        string // at most MaxAgent bytes; cleaned when decoded
	AnswerMax    uint64 // bytes that it answers one request with at most; 0: MaxAnswer
	ServeRate    uint64 // bytes a second that it serves one peer; 0: it does not say
	ServeBurst   uint64 // bytes beyond that at once; 0: it does not say
}

// AppendStatus appends a Status message, which fits a frame of MaxStatus bytes.
func AppendStatus(dst []byte, s Status) []byte {
	dst = appendUint(dst, 1, uint64(s.Version))
	dst = appendText(dst, 2, s.Chain.Network, MaxNetwork)
	dst = appendHash(dst, 3, s.Chain.Genesis)
	dst = appendRef(dst, 4, s.Chain.Head)
	dst = appendRef(dst, 5, s.Chain.Finalized)
	dst = appendUint(dst, 6, s.Chain.Earliest)
	dst = appendUint(dst, 7, s.Time)
	dst = appendBytes(dst, 8, bytes.TrimLeft(s.Chain.Weight[:], "\x00"))
	dst = appendUint(dst, 9, s.Capabilities)
	dst = appendText(dst, 10, s.Agent, MaxAgent)
	dst = appendUint(dst, 11, s.AnswerMax)
	dst = appendUint(dst, 12, s.ServeRate)
	return appendUint(dst, 13, s.ServeBurst)
}

// DecodeStatus reads a Status message of at most MaxStatus bytes. The result
// shares nothing with b.
func DecodeStatus(b []byte) (Status, error) {
	if len(b) > MaxStatus {
		return Status{}, fault(peer.BadFrame, "status of %d bytes, bound %d", len(b), MaxStatus)
	}
	var s Status
	c := cursor{msg: "status", rest: b}
	for c.next() {
		switch c.num {
		case 1:
			s.Version = c.uint32()
		case 2:
			s.Chain.Network = c.name(MaxNetwork)
		case 3:
			s.Chain.Genesis = c.hash()
		case 4:
			s.Chain.Head = c.ref()
		case 5:
			s.Chain.Finalized = c.ref()
		case 6:
			s.Chain.Earliest = c.uint64()
		case 7:
			s.Time = c.uint64()
		case 8:
			s.Chain.Weight = c.weight()
		case 9:
			s.Capabilities = c.uint64()
		case 10:
			s.Agent = c.text(MaxAgent)
		case 11:
			s.AnswerMax = c.uint64()
		case 12:
			s.ServeRate = c.uint64()
		case 13:
			s.ServeBurst = c.uint64()
		}
	}
	if c.err == nil && s.Chain.Genesis.IsZero() {
		c.fail("no genesis")
	}
	if c.err != nil {
		return Status{}, c.err
	}
	return s, nil
}

func (c *cursor) weight() chain.Weight {
	var w chain.Weight
	b := c.bytes()
	if len(b) > weightBytesMax || len(b) > 0 && b[0] == 0 {
		c.fail("weight of %d bytes is not a number of 256 bits in its least form", len(b))
		return w
	}
	copy(w[len(w)-len(b):], b)
	return w
}
