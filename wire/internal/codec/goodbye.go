package codec

import (
	"github.com/starlingp2p/starling/peer"
)

// Goodbye tells why the sender is about to close. It is recorded, never obeyed.
type Goodbye struct {
	Reason peer.Reason // one without a code travels as peer.ByRemote
	Detail string      // at most MaxText bytes; cleaned when decoded
}

// goodbyeCodes is the table of section 5: a reason's code is its index. It is
// never reordered.
var goodbyeCodes = [...]peer.Reason{
	1:  peer.Stopping,
	2:  peer.WrongNetwork,
	3:  peer.WrongGenesis,
	4:  peer.TooManyPeers,
	5:  peer.TooManyInbound,
	6:  peer.Duplicate,
	7:  peer.Banned,
	8:  peer.PrefixBanned,
	9:  peer.LowScore,
	10: peer.NetRestricted,
	11: peer.AddrUnwanted,
	12: peer.TooManyFromAddr,
	13: peer.TooManyInPrefix,
	14: peer.HandshakeRate,
	15: peer.HandshakesFull,
	16: peer.Self,
	17: peer.WrongIdentity,
	18: peer.KeyType,
	19: peer.NoCommonProto,
	20: peer.HandshakeFailed,
	21: peer.BackOff,
	22: peer.HandshakeSlow,
	23: peer.BadScore,
	24: peer.Useless,
	25: peer.Idle,
	26: peer.Slow,
	27: peer.Requested,
	28: peer.Auxiliary,
	29: peer.Internal,
}

// GoodbyeCode is the code of a reason; 0 for those that have none.
func GoodbyeCode(r peer.Reason) uint32 {
	for code, known := range goodbyeCodes {
		if code > 0 && known == r {
			return uint32(code)
		}
	}
	return 0
}

// GoodbyeReason is the reason of a code; peer.ByRemote for those that we do not know.
func GoodbyeReason(code uint32) peer.Reason {
	if code == 0 || code >= uint32(len(goodbyeCodes)) {
		return peer.ByRemote
	}
	return goodbyeCodes[code]
}

// AppendGoodbye appends a Goodbye message, which fits a frame of MaxGoodbye bytes.
func AppendGoodbye(dst []byte, g Goodbye) []byte {
	dst = appendUint(dst, 1, uint64(GoodbyeCode(g.Reason)))
	return appendText(dst, 2, g.Detail, MaxText)
}

// DecodeGoodbye reads a Goodbye message of at most MaxGoodbye bytes. The
// result shares nothing with b.
func DecodeGoodbye(b []byte) (Goodbye, error) {
	if len(b) > MaxGoodbye {
		return Goodbye{}, fault(peer.BadFrame, "goodbye of %d bytes, bound %d", len(b), MaxGoodbye)
	}
	g := Goodbye{Reason: peer.ByRemote}
	c := cursor{msg: "goodbye", rest: b}
	for c.next() {
		switch c.num {
		case 1:
			g.Reason = GoodbyeReason(c.uint32())
		case 2:
			g.Detail = c.text(MaxText)
		}
	}
	if c.err != nil {
		return Goodbye{}, c.err
	}
	return g, nil
}
