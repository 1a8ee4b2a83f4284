package codec

import (
	"encoding/binary"
	"net/netip"

	"github.com/starlingp2p/starling/peer"
)

// maxMembers bounds the members of a message.
const maxMembers = 512

// Member is a node of the consensus subnet.
type Member struct {
	Key  string // its public key in hex, cleaned
	Addr netip.AddrPort
}

// Members answers a GetMembers.
type Members struct{ Members []Member }

// Append appends the payload.
func (m Members) Append(dst []byte) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(m.Members)))
	for _, x := range m.Members {
		dst = appendText(appendText(dst, x.Key), textOf(x.Addr))
	}
	return dst
}

// DecodeMembers reads a payload.
func DecodeMembers(b []byte) (m Members, err error) {
	r := newReader("members", b, Strict)
	for range r.counted("count", uint64(r.u32("count")), 2, maxMembers) {
		m.Members = append(m.Members, Member{peer.Clean(string(r.varbytes("key", 2*maxKey))), r.addrPort("address")})
	}
	if err := r.end(); err != nil {
		return Members{}, err
	}
	return m, nil
}
