package discv

import (
	"crypto/ecdsa"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common/mclock"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/p2p/discover/v4wire"
	"github.com/ethereum/go-ethereum/p2p/discover/v5wire"
	"github.com/ethereum/go-ethereum/p2p/enode"
)

// stranger is a UDP socket that says to a node what a test makes it say.
type stranger struct {
	*net.UDPConn
	key *ecdsa.PrivateKey
	at  netip.AddrPort
	to  netip.AddrPort
}

func newStranger(t testing.TB, k *ecdsa.PrivateKey, ip string, to *Pair) *stranger {
	t.Helper()
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(ip), 0)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	s := &stranger{UDPConn: c, key: k, at: c.LocalAddr().(*net.UDPAddr).AddrPort()}
	if to != nil {
		s.aim(to)
	}
	return s
}

// aim says whom it talks to.
func (s *stranger) aim(to *Pair) {
	self := to.Self()
	s.to = netip.AddrPortFrom(self.IPAddr(), uint16(self.UDP()))
}

// ping5 is a first packet of discv5's, which is answered by a challenge.
func ping5(t testing.TB, s *stranger, p *Pair) []byte {
	t.Helper()
	db, err := enode.OpenDB("")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	codec := v5wire.NewCodec(enode.NewLocalNode(db, s.key), s.key, mclock.System{}, nil)
	b, _, err := codec.Encode(p.Self().ID(), s.to.String(), &v5wire.Ping{ReqID: []byte{1}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (s *stranger) send(t testing.TB, b []byte) int {
	t.Helper()
	n, err := s.WriteToUDPAddrPort(b, s.to)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// say sends a packet of discv4 and gives its length and hash.
func (s *stranger) say(t testing.TB, p v4wire.Packet) (n int, hash []byte) {
	t.Helper()
	b, hash, err := v4wire.Encode(s.key, p)
	if err != nil {
		t.Fatal(err)
	}
	return s.send(t, b), hash
}

func later() uint64 { return uint64(time.Now().Add(time.Hour).Unix()) }

func (s *stranger) ping() *v4wire.Ping {
	return &v4wire.Ping{Version: 4, From: v4wire.NewEndpoint(s.at, 0), To: v4wire.NewEndpoint(s.to, 0), Expiration: later()}
}

// signed is a packet of any type and body, with a hash and signature that hold.
func (s *stranger) signed(kind byte, body []byte) []byte {
	b := append(make([]byte, 32+65), kind)
	b = append(b, body...)
	sig, err := crypto.Sign(crypto.Keccak256(b[32+65:]), s.key)
	if err != nil {
		panic(err)
	}
	copy(b[32:], sig)
	copy(b, crypto.Keccak256(b[32:]))
	return b
}

// heard is what came to a stranger until the pong to a ping of its own.
type heard struct {
	bytes   int
	packets []v4wire.Packet
	sizes   []int
	asks    int // how many pings were sent for it: a datagram may be lost
}

// upToPong reads until the answer to a ping comes. The node answers in the
// order in which it reads, so what it had to say before is there by then. Pings
// of the node's are answered if answer is set.
func (s *stranger) upToPong(t testing.TB, answer bool) (out heard) {
	t.Helper()
	var mine [][]byte
	ask := func() {
		_, hash := s.say(t, s.ping())
		mine = append(mine, hash)
		out.asks++
	}
	ask()
	buf := make([]byte, 2048)
	for range 100 {
		s.SetReadDeadline(time.Now().Add(2 * time.Second))
		n, err := s.Read(buf)
		if err != nil {
			ask() // a datagram was lost
			continue
		}
		p, _, hash, err := v4wire.Decode(buf[:n])
		if err != nil {
			out.bytes, out.packets, out.sizes = out.bytes+n, append(out.packets, nil), append(out.sizes, n)
			continue // of discv5
		}
		switch p := p.(type) {
		case *v4wire.Pong:
			for _, h := range mine {
				if string(h) == string(p.ReplyTok) {
					return out
				}
			}
		case *v4wire.Ping:
			if answer {
				s.say(t, &v4wire.Pong{To: v4wire.NewEndpoint(s.to, 0), ReplyTok: append([]byte(nil), hash...), Expiration: later()})
			}
		}
		out.bytes, out.packets, out.sizes = out.bytes+n, append(out.packets, p), append(out.sizes, n)
	}
	t.Fatal("no pong came")
	return out
}

// has reports whether a packet of that kind came.
func (h heard) has(kind byte) bool {
	for _, p := range h.packets {
		if p != nil && p.Kind() == kind {
			return true
		}
	}
	return false
}
