package codec

import (
	"encoding/binary"
	"net/netip"
)

// MaxClosest is how many nodes a FindNodeAck tells: Kademlia's alpha.
const MaxClosest = 3

// FindNode asks for the nodes closest to an identity.
type FindNode struct{ Target PeerID }

// Append appends the payload.
func (f FindNode) Append(dst []byte) []byte { return append(dst, f.Target[:]...) }

// DecodeFindNode reads a payload.
func DecodeFindNode(b []byte) (f FindNode, err error) {
	r := newReader("findnode", b, Strict)
	f.Target = PeerID(r.address("target"))
	return f, r.end()
}

// Closest is a node that a FindNodeAck tells.
type Closest struct {
	ID   PeerID
	Addr netip.AddrPort // zero where the text is no IP address and port
}

// FindNodeAck answers a FindNode.
type FindNodeAck struct {
	Target  PeerID
	Found   bool           // Target is among its sender's peers
	Addr    netip.AddrPort // then its address
	Closest []Closest
}

// Append appends the payload.
func (f FindNodeAck) Append(dst []byte) []byte {
	dst = appendFlag(append(dst, f.Target[:]...), f.Found)
	dst = appendText(dst, textOf(f.Addr))
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(f.Closest)))
	for _, c := range f.Closest {
		dst = appendText(append(dst, c.ID[:]...), textOf(c.Addr))
	}
	return dst
}

// maxAddrText is the longest "ip:port".
const maxAddrText = 64

func textOf(a netip.AddrPort) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

// addrPort reads an address as text. What is no IP address with a port, such
// as a name, is a zero one: it is not dialled.
func (r *reader) addrPort(what string) netip.AddrPort {
	a, err := netip.ParseAddrPort(string(r.varbytes(what, maxAddrText)))
	if err != nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())
}

// DecodeFindNodeAck reads a payload.
func DecodeFindNodeAck(b []byte) (f FindNodeAck, err error) {
	r := newReader("findnodeack", b, Strict)
	f.Target = PeerID(r.address("target"))
	f.Found = r.flag("success")
	f.Addr = r.addrPort("address")
	for range r.counted("count", uint64(r.u32("count")), 21, MaxClosest) {
		f.Closest = append(f.Closest, Closest{PeerID(r.address("id")), r.addrPort("address")})
	}
	if err := r.end(); err != nil {
		return FindNodeAck{}, err
	}
	return f, nil
}
