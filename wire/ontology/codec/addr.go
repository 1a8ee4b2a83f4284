package codec

import (
	"encoding/binary"
	"net/netip"
)

const (
	addrHead = 8
	addrSize = 44
	// MaxAddrs is how many addresses of a message are read, as every release does.
	MaxAddrs = 64
)

// PeerAddr is an address of a peer, as another peer tells it.
type PeerAddr struct {
	Time          int64 // Unix nanoseconds; newer releases send 0
	Services      uint64
	Addr          netip.Addr
	Port          uint16
	ConsensusPort uint16 // always 0
	Nonce         uint64
}

// Addr tells addresses.
type Addr struct {
	Addrs []PeerAddr
	More  int // addresses beyond MaxAddrs, which were not read
}

// Append appends the payload.
func (a Addr) Append(dst []byte) []byte {
	le := binary.LittleEndian
	dst = le.AppendUint64(dst, uint64(len(a.Addrs)))
	for _, p := range a.Addrs {
		dst = le.AppendUint64(dst, uint64(p.Time))
		dst = le.AppendUint64(dst, p.Services)
		ip := netip.AddrFrom16([16]byte{}).As16()
		if p.Addr.IsValid() {
			ip = p.Addr.As16()
		}
		dst = append(dst, ip[:]...)
		dst = le.AppendUint16(dst, p.Port)
		dst = le.AppendUint16(dst, p.ConsensusPort)
		dst = le.AppendUint64(dst, p.Nonce)
	}
	return dst
}

// DecodeAddr reads a payload. Addresses beyond MaxAddrs are counted only.
func DecodeAddr(b []byte, d Dialect) (a Addr, err error) {
	r := newReader("addr", b, d)
	n := r.counted("count", r.u64("count"), addrSize, 1<<32)
	keep := min(n, MaxAddrs)
	for range keep {
		var p PeerAddr
		p.Time = int64(r.u64("time"))
		p.Services = r.u64("services")
		if ip := r.take(16, "ip"); ip != nil {
			p.Addr = netip.AddrFrom16([16]byte(ip)).Unmap()
		}
		p.Port = r.u16("port")
		p.ConsensusPort = r.u16("consensus port")
		p.Nonce = r.u64("id")
		a.Addrs = append(a.Addrs, p)
	}
	a.More = n - keep
	r.take(a.More*addrSize, "addresses")
	if err := r.end(); err != nil {
		return Addr{}, err
	}
	return a, nil
}
