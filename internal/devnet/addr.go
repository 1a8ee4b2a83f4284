package devnet

import "strings"

// withoutPeer cuts the peer's identity off a multiaddr, which leaves what one
// can listen on.
func withoutPeer(addr string) string {
	at, _, _ := strings.Cut(addr, "/p2p/")
	return at
}
