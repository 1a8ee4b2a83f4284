package wire

import "net/netip"

// Endpoint is the IP address and port at the other end of a link; the zero
// Endpoint where there is none.
type Endpoint = netip.AddrPort
