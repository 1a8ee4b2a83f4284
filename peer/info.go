package peer

import (
	"net/netip"
	"strings"
	"time"
	"unicode/utf8"
)

// Direction tells which side opened a link.
type Direction uint8

// Inbound links were opened by the other side, Outbound ones by us.
const (
	Inbound Direction = iota
	Outbound
)

// String is "inbound" or "outbound".
func (d Direction) String() string {
	if d == Outbound {
		return "outbound"
	}
	return "inbound"
}

// Info is what a wire knows of a peer with which it has a session. It is a
// snapshot and may be kept.
type Info struct {
	ID        ID
	Wire      string         // "native", "devp2p", …
	Addr      Addr           // the remote end of the session's first link
	Endpoint  netip.AddrPort // the same as IP address and port; zero where there is none
	Listen    []Addr         // where it says that it can be dialled; at most 16
	Direction Direction
	Proven    bool     // the handshake proved that the peer owns ID
	Agent     string   // what it calls itself, cleaned
	Protocols []string // what it speaks, cleaned; at most 64
	Opened    time.Time
}

// MaxText is the longest text of a remote that is kept or shown, in bytes.
const MaxText = 256

// Clean makes text from a remote safe to log, show and keep: at most MaxText
// bytes, valid UTF-8, no control characters.
func Clean(s string) string {
	if len(s) > MaxText {
		s = s[:MaxText]
		for len(s) > 0 && !utf8.RuneStart(s[len(s)-1]) {
			s = s[:len(s)-1]
		}
		if r, n := utf8.DecodeLastRuneInString(s); r == utf8.RuneError && n == 1 {
			s = s[:len(s)-1] // the lead byte of the rune that was cut
		}
	}
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || r < 0x20 || r == 0x7f || (r >= 0x80 && r < 0xa0) || r == 0x2028 || r == 0x2029 || (r >= 0x202a && r <= 0x202e) || (r >= 0x2066 && r <= 0x2069) {
			return '?'
		}
		return r
	}, s)
}
