package daemon

import (
	"net/netip"
)

// router is who maps our ports: what the config says, and else, as in geth, any
// router on a public network. Not where it would be of no use, or a surprise: on
// loopback, where others are told another address, and on private networks.
func (e *Ethereum) router(network Network, listen string) string {
	if e.NAT != "" {
		return e.NAT
	}
	if network.Preset == "" || network.NoListen || len(network.Advertise) > 0 {
		return "none"
	}
	if at, err := netip.ParseAddrPort(listen); err == nil && at.Addr().IsLoopback() {
		return "none"
	}
	return "any"
}
