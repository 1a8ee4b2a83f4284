package devp2p

import (
	"crypto/ecdsa"
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"

	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/p2p/enode"

	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// Scheme is that of the addresses here.
const Scheme = "enode"

// maxAddr bounds an address: a record of 300 bytes in base64, or an enode.
const maxAddr = 512

// IDOf is the identity with that public key: its 64 bytes in hex.
func IDOf(key *ecdsa.PublicKey) peer.ID { return peer.ID(hex.EncodeToString(exportID(key))) }

func exportID(key *ecdsa.PublicKey) []byte { return crypto.FromECDSAPub(key)[1:] }

// keyOf is the inverse of IDOf; nil if there is no such key.
func keyOf(id peer.ID) *ecdsa.PublicKey {
	b, err := hex.DecodeString(string(id))
	if err != nil || len(b) != 64 {
		return nil
	}
	key, err := crypto.UnmarshalPubkey(append([]byte{4}, b...))
	if err != nil {
		return nil
	}
	return key
}

// ParseAddr implements wire.Wire: enode://KEY@HOST:PORT, where HOST may be a
// name, with ?discport=PORT where the UDP port is another; or a node record,
// enr:..., that has an IP address and a TCP port.
// A record is remembered, for PeerLink.
func (w *Wire) ParseAddr(s string) (peer.Addr, error) {
	a, n, err := parse(s)
	if err == nil && w.records != nil { // a zero Wire only reads
		w.records.note(IDOf(n.Pubkey()), n)
	}
	return a, err
}

// ParseAddr reads an address, as Wire.ParseAddr does.
func ParseAddr(s string) (peer.Addr, error) {
	a, _, err := parse(s)
	return a, err
}

func parse(s string) (peer.Addr, *enode.Node, error) {
	bad := func(format string, args ...any) (peer.Addr, *enode.Node, error) {
		return peer.Addr{}, nil, fmt.Errorf("devp2p: address %.80q: %s: write it as enode://KEY@10.0.0.1:30303", s, fmt.Sprintf(format, args...))
	}
	if len(s) > maxAddr {
		return bad("%d bytes, at most %d", len(s), maxAddr)
	}
	n, err := enode.Parse(enode.ValidSchemes, s)
	if err != nil {
		return bad("%v", err)
	}
	key := n.Pubkey()
	if key == nil || n.TCP() == 0 {
		return bad("a key and a TCP port are needed")
	}
	host := n.Hostname()
	if host == "" {
		if !n.IPAddr().IsValid() {
			return bad("an IP address or a name is needed")
		}
		host = n.IPAddr().String()
	}
	return addrOf(IDOf(key), host, n.TCP(), n.UDP()), n, nil
}

// addrOf puts an address together; a udp port of 0 is that of TCP.
func addrOf(id peer.ID, host string, tcp, udp int) peer.Addr {
	u := url.URL{Scheme: Scheme, User: url.User(string(id)), Host: net.JoinHostPort(host, strconv.Itoa(tcp))}
	if udp != 0 && udp != tcp {
		u.RawQuery = "discport=" + strconv.Itoa(udp)
	}
	return peer.Addr{Scheme: Scheme, Text: u.String()}
}

// parts takes an address apart.
func parts(a peer.Addr) (id peer.ID, host string, port uint16, ok bool) {
	u, err := url.Parse(a.Text)
	if err != nil || a.Scheme != Scheme || u.Scheme != Scheme || u.User == nil {
		return "", "", 0, false
	}
	n, err := strconv.ParseUint(u.Port(), 10, 16)
	return peer.ID(u.User.Username()), u.Hostname(), uint16(n), err == nil && n != 0
}

// Locate implements wire.Locator.
func (w *Wire) Locate(a peer.Addr) (wire.Endpoint, peer.ID, bool) {
	id, host, port, ok := parts(a)
	if !ok {
		return wire.Endpoint{}, "", false
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return wire.Endpoint{}, id, false
	}
	return netip.AddrPortFrom(ip.Unmap(), port), id, true
}
